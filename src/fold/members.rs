//! Team memberships: LiteLLM makes the row of a member who is on the team's roster, under an advisory
//! lock of the team, and no other. Its team endpoints take that lock before they touch rows of teams and
//! users, so the fold takes it before it locks any row (invariant 8). Only teams with a row to make are
//! locked, so that a batch of many teams does not fill the lock table.

use litellm_spend_core::entity::{EntityId, EntityKind, EntitySpend};
use pgrx::spi::SpiClient;

use super::entities::{self, Ids};
use super::owner;
use super::targets::{Role, Target, Targets};
use crate::error::Result;

const KIND: EntityKind = EntityKind::TeamMember;

/// Locks the teams of members who have no row and are on the roster, and returns those members.
pub fn lock_rosters(client: &mut SpiClient, targets: &Targets, spend: &EntitySpend) -> Result<Ids> {
    let (Some(target), Some(teams)) = (targets.get(Role::Entity(KIND)), targets.get(Role::Entity(EntityKind::Team)))
    else {
        return Ok(Ids::new());
    };
    if spend.is_empty() || !teams.table.has("members_with_roles") {
        return Ok(Ids::new());
    }
    let existing = existing(client, target, spend.keys())?;
    let missing = || spend.keys().filter(|id| !entities::is_among(&existing, id));
    let listed = on_roster(client, teams, missing())?;
    if listed.is_empty() {
        return Ok(listed);
    }
    lock_teams(client, missing().filter(|id| entities::is_among(&listed, id)))?;
    // Somebody may have left the team before it was locked; who has joined another one is not locked.
    let mut to_make = on_roster(client, teams, missing())?;
    to_make.retain(|id| listed.contains(id));
    Ok(to_make)
}

/// Writes the spend of team members; makes the rows of those in `to_make`.
pub fn write(client: &mut SpiClient, target: &Target, spend: &EntitySpend, to_make: &Ids) -> Result<()> {
    owner::act_as(client, target.table.owner, |client| {
        let updated = entities::update(client, KIND, target, spend)?;
        let made = spend.iter().filter(|(id, _)| entities::is_among(to_make, id) && !entities::is_among(&updated, id));
        entities::create(client, KIND, target, made)
    })
}

fn existing<'i, 'a: 'i>(
    client: &mut SpiClient,
    target: &Target,
    ids: impl Iterator<Item = &'i EntityId<'a>>,
) -> Result<Ids> {
    let keys = KIND.key_columns();
    let query = format!(
        "SELECT t.team_id, t.user_id FROM {} AS t JOIN unnest({}) AS b ({}) ON {}",
        target.table.name,
        entities::id_parameters(keys),
        entities::id_aliases(keys),
        entities::same_ids(keys)
    );
    let arguments = entities::id_arguments(keys, ids);
    owner::act_as(client, target.table.owner, |client| entities::read_ids(client, keys, &query, &arguments))
}

/// Those of `ids` whose team has the user among its `members_with_roles`.
fn on_roster<'i, 'a: 'i>(
    client: &mut SpiClient,
    teams: &Target,
    ids: impl Iterator<Item = &'i EntityId<'a>>,
) -> Result<Ids> {
    let keys = KIND.key_columns();
    let query = format!(
        "SELECT b.team_id, b.user_id FROM unnest({}) AS b ({})
         JOIN {} AS t ON t.team_id = b.team_id AND t.members_with_roles OPERATOR(pg_catalog.@>)
             pg_catalog.jsonb_build_array(pg_catalog.jsonb_build_object('user_id', b.user_id))",
        entities::id_parameters(keys),
        entities::id_aliases(keys),
        teams.table.name
    );
    let arguments = entities::id_arguments(keys, ids);
    owner::act_as(client, teams.table.owner, |client| entities::read_ids(client, keys, &query, &arguments))
}

/// Takes LiteLLM's lock of each team, in byte order.
fn lock_teams<'i, 'a: 'i>(client: &mut SpiClient, ids: impl Iterator<Item = &'i EntityId<'a>>) -> Result<()> {
    let mut teams: Vec<&str> = ids.map(|(team, _)| team.as_ref()).collect();
    teams.dedup();
    for team in teams {
        client.update("SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext($1))", None, &[team.into()])?;
    }
    Ok(())
}
