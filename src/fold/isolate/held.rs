//! What this process knows about rows that other sessions hold. A fold leaves out the records that need these rows
//! before it writes anything for them. It looks at the rows again now and then, less and less often.

use std::cell::RefCell;
use std::collections::HashSet;
use std::time::{Duration, Instant};

use litellm_spend_core::backoff::Backoff;
use litellm_spend_core::litellm::tables::Role;
use litellm_spend_core::pace::Pace;
use litellm_spend_core::record::SpendRecord;
use litellm_spend_core::totals::entities::EntityId;
use litellm_spend_core::totals::{Totals, budget_windows};
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::contention;
use crate::error::{Error, Result};
use crate::fold::pace;
use crate::fold::row_key::Key;
use crate::fold::write::budget_windows::Windows;
use crate::fold::write::{entities, members};
use crate::targets::Targets;

/// The longest pause between two looks. A held record counts at most this long after its row is free.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

thread_local! {
    static HELD: RefCell<Held> = RefCell::new(Held::default());
}

#[derive(Default)]
struct Held {
    keys: HashSet<Key>,
    /// A description for people of what holds the rows.
    description: String,
    backoff: Backoff,
    look_at: Option<Instant>,
}

/// Notes rows that other sessions hold. Returns false if all of them were known.
pub fn add(targets: &Targets, keys: Vec<Key>) -> Result<bool> {
    let mut all = HELD.with_borrow(|held| held.keys.clone());
    let before = all.len();
    all.extend(keys);
    let is_news = all.len() > before;
    if is_news {
        set(targets, all)?;
    }
    Ok(is_news)
}

fn set(targets: &Targets, keys: HashSet<Key>) -> Result<()> {
    let description = match keys.is_empty() {
        true => String::new(),
        false => Spi::connect_mut(|client| contention::described(client, targets, &keys))?,
    };
    HELD.with_borrow_mut(|held| {
        held.keys = keys;
        held.description = description;
        if held.look_at.is_none() {
            held.look_at = Some(Instant::now() + held.backoff.fail().min(LONGEST_PAUSE));
        }
    });
    Ok(())
}

/// The rows of `keys` that are not known to be held.
pub fn unknown(mut keys: Vec<Key>) -> Vec<Key> {
    HELD.with_borrow(|held| keys.retain(|key| !held.keys.contains(key)));
    keys
}

/// The rows that are known to be held.
pub fn keys() -> HashSet<Key> {
    HELD.with_borrow(|held| held.keys.clone())
}

/// Whether any row is known to be held.
pub fn any() -> bool {
    HELD.with_borrow(|held| !held.keys.is_empty())
}

/// Whether it is time to look at the rows again.
pub fn is_due() -> bool {
    HELD.with_borrow(|held| !held.keys.is_empty() && held.look_at.is_none_or(|at| at <= Instant::now()))
}

/// Makes the next look at the rows due at once.
pub fn make_due() {
    HELD.with_borrow_mut(|held| held.look_at = None);
}

/// Looks at the rows again. Returns true if one of them may be free. A row that does not exist yet counts as free,
/// because only an insert of it can tell.
pub fn look_again(targets: &Targets) -> Result<bool> {
    let keys: Vec<Key> = HELD.with_borrow(|held| held.keys.iter().cloned().collect());
    let look = contention::held(targets, &keys)?;
    if !look.busy.is_empty() {
        pace::change(Pace::wait_longer);
    }
    let still: HashSet<Key> = look.held.into_iter().collect();
    let came_free = still.len() < keys.len();
    HELD.with_borrow_mut(|held| held.look_at = None);
    set(targets, still)?;
    Ok(came_free)
}

/// Notes that postponed records were counted, so that the next look is soon again.
pub fn relax() {
    HELD.with_borrow_mut(|held| held.backoff.succeed());
}

/// How long until the rows are looked at again; `None` if no row is held.
pub fn next_look() -> Option<Duration> {
    HELD.with_borrow(|held| {
        let at = held.look_at.filter(|_| !held.keys.is_empty())?;
        Some(at.saturating_duration_since(Instant::now()))
    })
}

/// A description for people of what holds records back; `None` if nothing does.
pub fn description() -> Option<String> {
    HELD.with_borrow(|held| (!held.keys.is_empty()).then(|| held.description.clone()))
}

/// The error that so much is held that nothing is counted until it is free.
pub fn refusal() -> Error {
    Error::refused(
        PgSqlErrorCode::ERRCODE_OBJECT_IN_USE,
        format!("{}, and most records need them", description().unwrap_or_default()),
        "End these transactions. Use pg_terminate_backend() if their clients are gone. The fold then goes on.",
    )
}

/// Which of these records need a row or lock that is held.
pub fn needed_by(client: &mut SpiClient, targets: &Targets, records: &[SpendRecord]) -> Result<Vec<bool>> {
    let keys = HELD.with_borrow(|held| held.keys.clone());
    if keys.is_empty() {
        return Ok(vec![false; records.len()]);
    }
    let roles: HashSet<Role> = keys.iter().filter(|key| key.team().is_none()).map(|key| key.role).collect();
    let teams: HashSet<&str> = keys.iter().filter_map(Key::team).collect();
    let of_teams: Vec<EntityId> =
        records.iter().map(member_of).filter(|(team, user)| teams.contains(team) && !user.is_empty()).collect();
    let to_create = members::lacking_of(client, targets, &of_teams)?;
    let needs = |record: &SpendRecord| {
        !to_create.is_empty() && entities::is_among(&to_create, &member_of(record))
            || !roles.is_empty() && needs_row(targets, &keys, &roles, record)
    };
    Ok(records.iter().map(needs).collect())
}

fn member_of<'r>(record: &'r SpendRecord) -> EntityId<'r> {
    (&record.identity.team_id, &record.identity.user)
}

fn needs_row(targets: &Targets, keys: &HashSet<Key>, roles: &HashSet<Role>, record: &SpendRecord) -> bool {
    let mut totals = Totals::new(|kind| targets.daily_shape(kind));
    totals.add(record);
    let needs = |role: &Role| match role {
        Role::Log => keys.iter().any(|key| key.role == *role && key.parts == [record.request_id.as_ref()]),
        Role::WindowSpend | Role::Deliveries => keys.iter().any(|key| key.role == *role && is_of_windows(key, record)),
        role => targets.get(*role).is_some_and(|target| {
            let of_record = contention::keys_of(*role, target, &totals, &Windows::default());
            of_record.iter().any(|key| keys.contains(key))
        }),
    };
    roles.iter().any(needs)
}

fn is_of_windows(key: &Key, record: &SpendRecord) -> bool {
    budget_windows::HOLDERS
        .into_iter()
        .any(|holder| budget_windows::holder_id(holder, record).is_some_and(|id| key.is_of_windows_of(holder, id)))
}
