//! Sums that end at the limits of their column. A client that may record can fill a column, with as many records as
//! that takes. An error there would hold every fold from then on, or reject each record of that key. LiteLLM's tables
//! hold sums in `bigint` and `double precision`. Only a site's own change makes a column narrower.

use crate::targets::Table;

/// The largest finite float.
const MOST_DOLLARS: &str = "pg_catalog.float8 '1.7976931348623157e308'";

/// The expression that adds `added` to `held`, the value of the table's column. Both are expressions of the column's
/// type.
pub fn sum(table: &Table, column: &str, held: &str, added: &str) -> String {
    let (least, most) = match table.integer_range(column) {
        Some((least, most)) => (format!("pg_catalog.int8 '{least}'"), format!("pg_catalog.int8 '{most}'")),
        None if table.is_of_type(column, "double precision") => (format!("-{MOST_DOLLARS}"), MOST_DOLLARS.to_owned()),
        None => return format!("{held} + {added}"),
    };
    // The difference cannot leave the range. A sum that is infinite or NaN stays as it is, without an error.
    format!(
        "CASE WHEN {added} > 0 AND {held} > {most} - {added} AND {held} <= {most} THEN {most}
              WHEN {added} < 0 AND {held} < {least} - {added} AND {held} >= {least} THEN {least}
              ELSE {held} + {added} END"
    )
}
