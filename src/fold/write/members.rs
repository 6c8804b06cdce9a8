//! Team memberships. LiteLLM creates the row of a member who is on the team's roster, under an advisory lock of the
//! team, and no other row. LiteLLM's team endpoints take that lock before they touch rows of teams and users, and its
//! projector takes it before it charges them. The fold therefore takes the lock before it locks any row (invariant 8).
//! Only teams with a row to create are locked, so that a batch of many teams does not fill the lock table. LiteLLM's
//! projector locks every team that it charges. The fold takes some of the same locks in the same order, which causes no
//! deadlock.

use std::collections::HashSet;

use litellm_spend_core::litellm::tables::{EntityKind, Role};
use litellm_spend_core::totals::entities::{EntityId, EntitySpend};
use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::entities::{self, Ids};
use crate::error::{Error, Result};
use crate::fold::row_key::Key;
use crate::postgres::{owner, plans};
use crate::targets::{Target, Targets};

const KIND: EntityKind = EntityKind::TeamMember;

/// The most teams that one fold locks, because all sessions of the server share its lock table
/// (`max_locks_per_transaction`).
const MOST_LOCKED: usize = 1_000;

/// Locks the teams of members who have no row and are on the roster, and returns those members.
///
/// # Errors
/// The teams are too many for one fold.
pub fn lock_rosters(client: &mut SpiClient, targets: &Targets, spend: &EntitySpend) -> Result<Ids> {
    let (Some(target), Some(teams)) = (targets.get(Role::Entity(KIND)), targets.get(Role::Entity(EntityKind::Team)))
    else {
        return Ok(Ids::new());
    };
    if spend.is_empty() {
        return Ok(Ids::new());
    }
    let lacking = lacking(client, target, teams, spend.keys())?;
    if lacking.is_empty() {
        return Ok(lacking);
    }
    let mut of_members: Vec<&str> = lacking.iter().map(|(team, _)| team.as_str()).collect();
    // Teams are locked in byte order.
    of_members.sort_unstable();
    of_members.dedup();
    if of_members.len() > MOST_LOCKED {
        return Err(Error::refused(
            PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY,
            format!("members of {} teams are new, and one fold does not lock so many", of_members.len()),
            "No action is needed. A smaller fold follows by itself.",
        ));
    }
    for team in of_members {
        lock_team(client, team)?;
    }
    // A member may have left the team before it was locked.
    on_roster(client, teams, spend.keys().filter(|id| entities::is_among(&lacking, id)))
}

/// Writes the spend of team members. Creates the rows of the members in `to_make`.
pub fn write(client: &mut SpiClient, targets: &Targets, spend: &EntitySpend, to_make: &Ids) -> Result<()> {
    let Some(target) = targets.get(Role::Entity(KIND)).filter(|_| !spend.is_empty()) else { return Ok(()) };
    owner::act_as(client, target.table.owner, |client| {
        let updated = entities::update(client, KIND, target, spend)?;
        let made = spend.iter().filter(|(id, _)| entities::is_among(to_make, id) && !entities::is_among(&updated, id));
        entities::create(KIND, target, made)
    })
}

/// The teams that a fold locks for these members.
pub fn teams_to_lock<'k>(
    client: &mut SpiClient,
    targets: &Targets,
    keys: impl Iterator<Item = &'k &'k Key>,
) -> Result<HashSet<String>> {
    let ids: Vec<EntityId> = keys.map(|key| (key.parts[0].as_str(), key.parts[1].as_str())).collect();
    Ok(lacking_of(client, targets, &ids)?.into_iter().map(|(team, _)| team).collect())
}

/// The teams of this set whose lock another session holds.
pub fn locked_teams(client: &mut SpiClient, teams: HashSet<String>) -> Result<Vec<String>> {
    let mut locked = Vec::new();
    for team in teams.into_iter().take(MOST_LOCKED) {
        let try_lock = "SELECT pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtext($1))";
        if plans::run(client, try_lock, &[team.as_str().into()])?.first().get(1)? == Some(false) {
            locked.push(team);
        }
    }
    Ok(locked)
}

/// The members in `ids` whose row a fold would create.
pub fn lacking_of(client: &mut SpiClient, targets: &Targets, ids: &[EntityId]) -> Result<Ids> {
    match (targets.get(Role::Entity(KIND)), targets.get(Role::Entity(EntityKind::Team))) {
        (Some(target), Some(teams)) if !ids.is_empty() => lacking(client, target, teams, ids.iter()),
        _ => Ok(Ids::new()),
    }
}

/// Takes LiteLLM's lock of a team.
pub fn lock_team(client: &mut SpiClient, team: &str) -> Result<()> {
    plans::run(client, "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext($1))", &[team.into()])?;
    Ok(())
}

/// The members in `ids` that have no row and are on their team's roster; none if a fold creates no such rows.
fn lacking<'i, 'a: 'i>(
    client: &mut SpiClient,
    target: &Target,
    teams: &Target,
    ids: impl Iterator<Item = &'i EntityId<'a>> + Clone,
) -> Result<Ids> {
    let makes_rows = teams.table.has("members_with_roles") && entities::obstacle(KIND, &target.table).is_none();
    if !makes_rows {
        return Ok(Ids::new());
    }
    let existing = entities::existing(client, KIND, target, ids.clone())?;
    on_roster(client, teams, ids.filter(|id| !entities::is_among(&existing, id)))
}

/// The members in `ids` whose team has the user among its `members_with_roles`. Each roster is read once, however many
/// members of the batch are in its team.
fn on_roster<'i, 'a: 'i>(
    client: &mut SpiClient,
    teams: &Target,
    ids: impl Iterator<Item = &'i EntityId<'a>>,
) -> Result<Ids> {
    let keys = KIND.key_columns();
    let query = format!(
        "WITH b AS (SELECT * FROM unnest({}) AS b ({})),
         rosters AS MATERIALIZED (
             SELECT t.team_id, CASE pg_catalog.jsonb_typeof(t.members_with_roles)
                                   WHEN 'array' THEN t.members_with_roles ELSE '[]' END AS members
             FROM {} AS t WHERE t.team_id IN (SELECT team_id FROM b)),
         listed AS MATERIALIZED (
             SELECT DISTINCT r.team_id, m.member ->> 'user_id' AS user_id
             FROM rosters AS r CROSS JOIN LATERAL pg_catalog.jsonb_array_elements(r.members) AS m (member)
             WHERE pg_catalog.jsonb_typeof(m.member -> 'user_id') = 'string')
         SELECT team_id, user_id FROM b JOIN listed USING (team_id, user_id)",
        entities::id_parameters(keys),
        entities::id_aliases(keys),
        teams.table.name
    );
    let arguments = entities::id_arguments(keys, ids);
    owner::act_as(client, teams.table.owner, |client| entities::read_ids(client, keys, &query, &arguments))
}
