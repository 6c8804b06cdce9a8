//! The states of the deliveries in LiteLLM's ledger, `LiteLLM_SpendLogDelivery`, and whether a table shows them.

use super::table::Table;

/// The condition for a delivery that the projector has not applied yet. The projector applies a pending delivery. It
/// applies a parked delivery after an operator has set it to pending again.
pub const IS_OPEN: &str = "d.state IN ('pending', 'parked')";
const OPEN_STATES: [&str; 2] = ["pending", "parked"];
const TEXTS: [&str; 2] = ["text", "character varying"];

pub const SHAPE_HINT: &str = "Run LiteLLM's migrations, or rename the table if it is not LiteLLM's. LiteLLM's table \
    shows which log rows LiteLLM has charged, and without it budget windows cannot be counted correctly.";
/// Why the states of deliveries cannot be read; `None` if they can.
pub fn obstacle(table: &Table) -> Option<String> {
    for name in ["delivery_id", "request_id", "state"] {
        let Some(column) = table.columns.get(name) else {
            return Some(format!("{} has no column {name}", table.name));
        };
        let is_text = TEXTS.contains(&column.type_name.as_str());
        let has_states = OPEN_STATES.iter().all(|state| column.labels.iter().any(|label| label == state));
        let is_readable = is_text || (name == "state" && has_states);
        if !is_readable {
            return Some(format!("{} has a column {name} of another type than LiteLLM's", table.name));
        }
    }
    // A delivery without an id cannot be locked.
    table.is_nullable("delivery_id").then(|| format!("{} lets its column delivery_id be NULL", table.name))
}
