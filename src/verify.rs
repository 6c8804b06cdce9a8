//! `litellm_spend.verify` and `litellm_spend.rebuild`: add up the log of some days again, with the code that folds use,
//! and compare the daily tables with the sums. Totals of entities are not compared, because the log does not reach back
//! to their beginning.

use litellm_spend_core::litellm::tables::Role;
use litellm_spend_core::moment::Moment;
use pgrx::datum::Date;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use crate::error::{Error, Result};
use crate::fold::admit::deliveries;
use crate::fold::version;
use crate::postgres::jsonb::Jsonb;
use crate::postgres::{own_tables, pinned_settings, subtransaction, timestamp};
use crate::staging::cursor::Cursor;
use crate::targets::Targets;
use difference::{Difference, Pair};

mod day;
mod derivable;
mod difference;
mod refusal;
mod repair;
mod sums;

type Row = (Date, &'static str, Jsonb, &'static str, Option<AnyNumeric>, Option<AnyNumeric>, AnyNumeric);

/// Returns each number of the daily tables that differs from the sum of the log of these UTC days: its table, row and
/// column, both values (NULL where there is no such row), and by how much the stored value is too large. Money may
/// differ by one part in a thousand million. Counts must be equal.
#[pg_extern(volatile, parallel_unsafe, security_definer, schema = "litellm_spend")]
#[search_path(pg_catalog, pg_temp)]
#[allow(clippy::type_complexity)]
fn verify(
    from_date: Date,
    to_date: Date,
) -> std::result::Result<
    TableIterator<
        'static,
        (
            name!(day, Date),
            name!(target, &'static str),
            name!(key, Jsonb),
            name!(column_name, &'static str),
            name!(logged, Option<AnyNumeric>),
            name!(stored, Option<AnyNumeric>),
            name!(difference, AnyNumeric),
        ),
    >,
    ErrorReport,
> {
    let days = days(from_date, to_date)?;
    let rows = pinned_settings::pinned(|| Spi::connect_mut(|client| compare(client, days, Purpose::Verify)))?;
    Ok(TableIterator::new(rows))
}

/// Sets the numbers that `verify` lists to the values of the log, and returns them as they were. Unless `dry_run` is
/// false, it only returns them. It refuses a day whose log holds anything but the requests that folds have counted. No
/// fold runs until the transaction ends, and LiteLLM's projector does not touch the requests of these days.
#[pg_extern(volatile, parallel_unsafe, security_definer, schema = "litellm_spend")]
#[search_path(pg_catalog, pg_temp)]
#[allow(clippy::type_complexity)]
fn rebuild(
    from_date: Date,
    to_date: Date,
    dry_run: default!(bool, true),
) -> std::result::Result<
    TableIterator<
        'static,
        (
            name!(day, Date),
            name!(target, &'static str),
            name!(key, Jsonb),
            name!(column_name, &'static str),
            name!(logged, Option<AnyNumeric>),
            name!(stored, Option<AnyNumeric>),
            name!(difference, AnyNumeric),
        ),
    >,
    ErrorReport,
> {
    let days = days(from_date, to_date)?;
    refusal::of_settings()?;
    let purpose = if dry_run { Purpose::DryRun } else { Purpose::Rebuild };
    let rows = pinned_settings::pinned(|| -> Result<Vec<Row>> {
        own_tables::lock_patiently()?;
        version::check()?;
        Spi::connect_mut(|client| {
            // From here on no fold changes the compared tables.
            Cursor::lock(client)?;
            if purpose == Purpose::Rebuild {
                lock_deliveries(&days)?;
            }
            compare(client, days, purpose)
        })
    })?;
    Ok(TableIterator::new(rows))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Verify,
    DryRun,
    Rebuild,
}

/// Locks the open deliveries of the requests that LiteLLM logged on these days and has not charged yet. This comes
/// before the lock of any row that LiteLLM's projector may hold.
fn lock_deliveries(days: &std::ops::RangeInclusive<i32>) -> Result<()> {
    let (_, first) = day_of(*days.start())?;
    let (_, last) = day_of(*days.end())?;
    let condition = "l.\"startTime\" BETWEEN $1 AND $2 + interval '1 day'";
    deliveries::lock(condition, &[timestamp::timestamp(first).into(), timestamp::timestamp(last).into()])?;
    Ok(())
}

/// The result for one day.
struct Compared {
    rows: Vec<Row>,
    doubtful: u64,
    unreadable: u64,
    not_charged: i64,
}

/// Compares the days one by one, so that only one day is in memory. Unless the day is repaired, its locks are released
/// before the next day, so a migration waits for one day at most.
fn compare(client: &mut SpiClient, days: std::ops::RangeInclusive<i32>, purpose: Purpose) -> Result<Vec<Row>> {
    let (mut rows, mut doubtful, mut unreadable, mut not_charged) = (Vec::new(), 0, 0, 0);
    for number in days {
        let compared = match purpose {
            Purpose::Rebuild => compare_day(client, number, purpose)?,
            Purpose::Verify | Purpose::DryRun => {
                subtransaction::rehearse(|| compare_day(client, number, purpose)).map_err(Error::Failed)?
            }
        };
        rows.extend(compared.rows);
        doubtful += compared.doubtful;
        unreadable += compared.unreadable;
        not_charged += compared.not_charged;
    }
    if doubtful > 0 || unreadable > 0 {
        notice!(
            "the log is not exact for {doubtful} requests (logged at exactly midnight, or with a number clamped to \
             its column): their daily rows were not compared; {unreadable} log rows could not be read"
        );
    }
    if not_charged > 0 {
        notice!(
            "log rows left out, because LiteLLM's proxy has not charged them yet: {not_charged} (their deliveries in \
             \"{}\" are pending or parked)",
            Role::Deliveries.table()
        );
    }
    Ok(rows)
}

fn compare_day(client: &mut SpiClient, number: i32, purpose: Purpose) -> Result<Compared> {
    let targets = match purpose {
        Purpose::Rebuild => Targets::lock(client)?,
        Purpose::Verify | Purpose::DryRun => Targets::lock_to_read(client, derivable::is_read)?,
    };
    let Some(log) = targets.get(Role::Log).map(|target| &target.table) else {
        return Err(Error::held(
            format!("there is no \"{}\" to add up", Role::Log.table()),
            "Daily rows can be verified only where LiteLLM's log is kept.",
        ));
    };
    let tables = derivable::tables(&targets, log);
    for table in &tables {
        log.require_owner_reads(&table.target.table)?;
    }
    let (date, midnight) = day_of(number)?;
    let day = day::read(client, &targets, log, &tables, midnight)?;
    let mut compared = Compared {
        rows: Vec::new(),
        doubtful: day.doubtful_rows,
        unreadable: day.unreadable_rows,
        not_charged: day.not_charged,
    };
    let differences: Vec<(&derivable::Derivable, Vec<Difference>)> = tables
        .iter()
        .zip(&day.stored)
        .map(|(table, stored)| (table, difference::find(table, stored, &day)))
        .filter(|(_, found)| !found.is_empty())
        .collect();
    if differences.is_empty() {
        return Ok(compared);
    }
    if purpose != Purpose::Verify {
        refusal::of_day(client, &midnight.utc_date(), &day, &differences)?;
    }
    for (table, found) in &differences {
        if purpose == Purpose::Rebuild {
            repair::write(client, table, &day, found)?;
        }
        for each in found {
            compared.rows.push(row(date, table, each)?);
        }
    }
    Ok(compared)
}

fn row(date: Date, table: &derivable::Derivable, found: &Difference) -> Result<Row> {
    let (logged, stored, difference) = match found.pair {
        Pair::Count { logged, stored } => (
            logged.map(AnyNumeric::from),
            stored.map(AnyNumeric::from),
            AnyNumeric::from(i128::from(stored.unwrap_or(0)) - i128::from(logged.unwrap_or(0))),
        ),
        Pair::Dollars { logged, stored } => (
            logged.map(numeric).transpose()?,
            stored.map(numeric).transpose()?,
            numeric(stored.unwrap_or(0.0) - logged.unwrap_or(0.0))?,
        ),
    };
    let name = table.role.table();
    let key = Jsonb::from_json(&found.key_document(table)).ok_or_else(|| {
        Error::held(format!("a key of {name} is not text"), "Look for damaged text in its key columns.")
    })?;
    Ok((date, name, key, found.column, logged, stored, difference))
}

fn numeric(dollars: f64) -> Result<AnyNumeric> {
    AnyNumeric::try_from(dollars).map_err(|_| {
        Error::held(
            "a daily table holds a sum of money that is not a number",
            "Look for NaN or infinity in its columns.",
        )
    })
}

/// The days as Postgres counts them, from 2000-01-01.
fn days(from: Date, to: Date) -> Result<std::ops::RangeInclusive<i32>> {
    let refuse = |message: &str| {
        let hint = "Name the first and the last UTC day, both included.";
        Err(Error::refused(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, message, hint))
    };
    if from.is_infinity() || from.is_neg_infinity() || to.is_infinity() || to.is_neg_infinity() {
        return refuse("infinity is not a day that can be compared");
    }
    if from > to {
        return refuse("the first day is later than the last");
    }
    Ok(from.to_pg_epoch_days()..=to.to_pg_epoch_days())
}

fn day_of(number: i32) -> Result<(Date, Moment)> {
    const MICROS: i64 = 86_400_000_000;
    let date = timestamp::date(number);
    Ok((date, timestamp::moment(i64::from(number).saturating_mul(MICROS))))
}
