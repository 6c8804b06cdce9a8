//! Decides which days must not be rebuilt. A wrong number is worse than an unrepaired one. A day's log is trusted only
//! if it holds exactly the requests that folds have counted for that day, and if no daily row shows another writer.

use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::day::Day;
use super::derivable::Derivable;
use super::difference::Difference;
use crate::error::{Error, Result};
use crate::fold::write::counted_days;
use crate::settings;

const SHARED_HINT: &str = "Leave the day out of the range. Another writer, such as a LiteLLM proxy, shares the day, so the log cannot give its daily rows.";
const NOT_CHARGED_HINT: &str = "Wait until LiteLLM's projector has applied the deliveries. Fix the cause in the last_error of parked deliveries, then set them back to pending. A log row is left out while a delivery of its request id is pending or parked.";
const TRIMMED_HINT: &str = "Leave the day out of the range. Some of its log rows were deleted, moved to another table or never written, so its daily rows are its only complete record.";

/// Refuses if no log is written.
pub fn of_settings() -> Result<()> {
    if settings::write_spend_logs() {
        return Ok(());
    }
    refuse(
        "litellm_spend.rebuild() needs the log, and litellm_spend.write_spend_logs is off",
        "Switch litellm_spend.write_spend_logs on if the days that you rebuild have their log. Spend that was folded without a log cannot be rebuilt from it.",
    )
}

/// Refuses a day unless its log holds exactly the requests that folds have counted.
pub fn of_day(
    client: &mut SpiClient,
    date: &str,
    day: &Day,
    differences: &[(&Derivable, Vec<Difference>)],
) -> Result<()> {
    let Some(counted) = counted_days::find(client, date)? else {
        return refuse(
            format!("{date} cannot be rebuilt: no fold has counted a request of that day"),
            "Leave the day out of the range. Its daily rows and its log come from another writer.",
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
            format!("{date} cannot be rebuilt: its log holds other requests than folds have counted"),
            SHARED_HINT,
        );
    }
    for (table, differences) in differences {
        let name = &table.target.table.name;
        if differences.iter().any(Difference::is_without_request) {
            return refuse(
                format!("{date} cannot be rebuilt: {name} has a row without a request in the log"),
                "Delete the row if it is wrong, or leave the day out of the range. Another writer or a person created the row. litellm_spend.verify() lists it with no logged number.",
            );
        }
        if differences.iter().any(Difference::exceeds_log) {
            return refuse(
                format!("{date} cannot be rebuilt: a row of {name} counts more requests than the log"),
                "Correct the row if it is wrong, or leave the day out of the range. Another writer may add to it without a log, or a person changed it. litellm_spend.verify() lists it.",
            );
        }
    }
    Ok(())
}

fn refuse(message: impl Into<String>, hint: &'static str) -> Result<()> {
    Err(Error::refused(PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, message, hint))
}
