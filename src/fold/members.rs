//! Team memberships: LiteLLM makes the row of a member who is on the team's roster, under an advisory
//! lock of the team, and no other. Its team endpoints take that lock before they touch rows of teams and
//! users, so the fold takes it before it locks any row (invariant 8). Only teams with a row to make are
//! locked, so that a batch of many teams does not fill the lock table.

use litellm_spend_core::entity::{EntityId, EntityKind, EntitySpend};
use pgrx::spi::SpiClient;

use super::entities::{self, Ids};
use super::targets::{Role, Target, Targets};
use super::{owner, plans};
use crate::error::Result;

const KIND: EntityKind = EntityKind::TeamMember;

/// Locks the teams of members who have no row and are on the roster, and returns those members.
pub fn lock_rosters(client: &mut SpiClient, targets: &Targets, spend: &EntitySpend) -> Result<Ids> {
    let (Some(target), Some(teams)) = (targets.get(Role::Entity(KIND)), targets.get(Role::Entity(EntityKind::Team)))
    else {
        return Ok(Ids::new());
    };
    let makes_rows = teams.table.has("members_with_roles") && entities::obstacle(KIND, &target.table).is_none();
    if spend.is_empty() || !makes_rows {
        return Ok(Ids::new());
    }
    let existing = entities::existing(client, KIND, target, spend.keys())?;
    let missing = || spend.keys().filter(|id| !entities::is_among(&existing, id));
    let listed = on_roster(client, teams, missing())?;
    if listed.is_empty() {
        return Ok(listed);
    }
    let candidates = || missing().filter(|id| entities::is_among(&listed, id));
    lock_teams(client, candidates())?;
    // Somebody may have left the team before it was locked.
    on_roster(client, teams, candidates())
}

/// Writes the spend of team members; makes the rows of those in `to_make`.
pub fn write(client: &mut SpiClient, target: &Target, spend: &EntitySpend, to_make: &Ids) -> Result<()> {
    owner::act_as(client, target.table.owner, |client| {
        let updated = entities::update(client, KIND, target, spend)?;
        let made = spend.iter().filter(|(id, _)| entities::is_among(to_make, id) && !entities::is_among(&updated, id));
        entities::create(KIND, target, made)
    })
}

/// Those of `ids` whose team has the user among its `members_with_roles`. Each roster is read once,
/// however many of the batch are in its team.
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

/// Takes LiteLLM's lock of each team, in byte order.
fn lock_teams<'i, 'a: 'i>(client: &mut SpiClient, ids: impl Iterator<Item = &'i EntityId<'a>>) -> Result<()> {
    let mut teams: Vec<&str> = ids.map(|(team, _)| *team).collect();
    teams.dedup();
    for team in teams {
        plans::run(client, "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext($1))", &[team.into()])?;
    }
    Ok(())
}
