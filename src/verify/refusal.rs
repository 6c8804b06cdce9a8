//! Which days must not be rebuilt. Wrong is worse than not repaired: a day's log is trusted only if it
//! holds just the requests that folds have counted of that day, and no row by day tells of another writer.

use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::day::Day;
use super::derivable::Derivable;
use super::difference::Difference;
use crate::error::{Error, Result};
use crate::fold::write::counted_days;
use crate::settings;

const SHARED_HINT: &str = "Another writer, such as a LiteLLM proxy, shares the day; leave it out of the range, because its daily rows cannot be told from the log.";
const NOT_CHARGED_HINT: &str = "Wait until LiteLLM's projector has applied the deliveries. Set parked ones back to pending when what their last_error names is fixed. A log row is left out while a delivery of its request id is pending or parked.";
const TRIMMED_HINT: &str = "Log rows were deleted, were moved to another table or were not written; leave the day out of the range, because its daily rows are all that is left of it.";

/// Refuses where no log is written.
pub fn of_settings() -> Result<()> {
    if settings::write_spend_logs() {
        return Ok(());
    }
    refuse(
        "litellm_spend.rebuild() needs the log, and litellm_spend.write_spend_logs is off",
        "What is folded without a log cannot be rebuilt from it; switch it on if the days that you rebuild have their log.",
    )
}

/// Refuses a day whose log is not, or not only, what folds have counted.
pub fn of_day(
    client: &mut SpiClient,
    date: &str,
    day: &Day,
    differences: &[(&Derivable, Vec<Difference>)],
) -> Result<()> {
    let Some(counted) = counted_days::find(client, date)? else {
        return refuse(
            format!("{date} cannot be rebuilt: no fold has counted a request of that day"),
            "Its daily rows and its log come from another writer; leave the day out of the range.",
        );
    };
    let logged = day.requests;
    if logged.count < counted.count && day.not_charged > 0 {
        return refuse(
            format!(
                "{date} cannot be rebuilt: its log holds {} of {} requests, and {} more that LiteLLM has not charged yet",
                logged.count, counted.count, day.not_charged
            ),
            NOT_CHARGED_HINT,
        );
    }
    if logged.count < counted.count {
        return refuse(
            format!("{date} cannot be rebuilt: its log holds {} of {} requests", logged.count, counted.count),
            TRIMMED_HINT,
        );
    }
    if logged.count > counted.count {
        return refuse(
            format!(
                "{date} cannot be rebuilt: its log holds {} requests, of which folds have counted {}",
                logged.count, counted.count
            ),
            SHARED_HINT,
        );
    }
    if logged.fingerprint != counted.fingerprint || day.unreadable_rows > 0 {
        return refuse(
            format!("{date} cannot be rebuilt: its log holds other requests than those that folds have counted"),
            SHARED_HINT,
        );
    }
    for (table, differences) in differences {
        let name = &table.target.table.name;
        if differences.iter().any(Difference::is_without_request) {
            return refuse(
                format!("{date} cannot be rebuilt: {name} has a row without a request in the log"),
                "Another writer made it, or it was made by hand; litellm_spend.verify() lists it with no logged number. Delete it if it is wrong, or leave the day out of the range.",
            );
        }
        if differences.iter().any(Difference::exceeds_log) {
            return refuse(
                format!("{date} cannot be rebuilt: a row of {name} counts more requests than the log"),
                "Another writer may add to it without a log, or it was changed by hand; litellm_spend.verify() lists it. Correct it if it is wrong, or leave the day out of the range.",
            );
        }
    }
    Ok(())
}

fn refuse(message: impl Into<String>, hint: &'static str) -> Result<()> {
    Err(Error::refused(PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, message, hint))
}
