//! Team memberships: LiteLLM makes the row of a member who is on the team's roster, under an advisory
//! lock of the team, and no other. The locks come before the rows (invariant 8), and only teams with a
//! row to make are locked, so that a batch of many teams does not fill the lock table.

use litellm_spend_core::entity::{EntityId, EntityKind, EntitySpend};
use pgrx::spi::SpiClient;

use super::entities::{self, Ids};
use super::owner;
use super::targets::{Role, Target, Targets};
use crate::error::Result;

const KIND: EntityKind = EntityKind::TeamMember;

/// Writes the spend of team members.
pub fn write(client: &mut SpiClient, targets: &Targets, target: &Target, spend: &EntitySpend) -> Result<()> {
    let existing = existing(client, target, spend.keys())?;
    let missing = || spend.keys().filter(|id| !entities::is_among(&existing, id));
    let to_make = match targets.get(Role::Entity(EntityKind::Team)) {
        Some(teams) if existing.len() < spend.len() && teams.table.has("members_with_roles") => {
            let on_roster = on_roster(client, teams, missing())?;
            lock_teams(client, missing().filter(|id| entities::is_among(&on_roster, id)))?;
            // Somebody may have left the team before it was locked.
            self::on_roster(client, teams, missing())?
        }
        _ => Ids::new(),
    };
    owner::act_as(client, target.table.owner, |client| {
        let updated = entities::update(client, KIND, target, spend)?;
        let made = spend.iter().filter(|(id, _)| entities::is_among(&to_make, id) && !entities::is_among(&updated, id));
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
