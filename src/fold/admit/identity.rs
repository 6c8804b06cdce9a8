//! Reads the rows of a batch's keys and teams, once for the whole batch. The rows tell who is charged where a record
//! names only its key, and which key replaced a key that is in its grace period. They also tell the organizations and
//! aliases of teams.

use std::collections::HashMap;

use litellm_spend_core::litellm::tables::{EntityKind, Role};
use litellm_spend_core::record::SpendRecord;
use litellm_spend_core::record::identity::{DeprecatedKey, KeyIdentity, Keys, TeamIdentity};
use pgrx::datum::Timestamp;
use pgrx::spi::SpiClient;

use crate::error::Result;
use crate::fold::write::entities;
use crate::postgres::timestamp::moment;
use crate::postgres::{owner, plans};
use crate::targets::{Target, Targets};

/// Fills in what the rows of the keys and of the teams say.
pub fn resolve(client: &mut SpiClient, targets: &Targets, records: &mut [SpendRecord]) -> Result<()> {
    if let Some(table) = targets.get(Role::Entity(EntityKind::Key)) {
        let keys = read_keys(client, targets, table, records)?;
        records.iter_mut().for_each(|record| record.resolve(&keys));
    }
    let teams = distinct(records.iter().filter_map(SpendRecord::team_to_ask));
    if let Some(table) = targets.get(Role::Entity(EntityKind::Team)) {
        let teams = read_teams(client, table, &teams)?;
        records.iter_mut().for_each(|record| record.adopt_team(&teams));
    }
    Ok(())
}

fn read_keys(client: &mut SpiClient, targets: &Targets, table: &Target, records: &[SpendRecord]) -> Result<Keys> {
    let mut keys = Keys::default();
    let named = distinct(records.iter().map(|record| record.identity.api_key.as_ref()));
    if named.is_empty() {
        return Ok(keys);
    }
    keys.active = read_active(client, table, &named)?;
    if let Some(deprecated) = targets.get(Role::DeprecatedKeys) {
        let unknown: Vec<&str> = named.into_iter().filter(|key| !keys.active.contains_key(*key)).collect();
        keys.deprecated = read_deprecated(client, deprecated, &unknown)?;
        let replaced_by = distinct(keys.deprecated.values().map(|key| key.active_key.as_str()));
        keys.active.extend(read_active(client, table, &replaced_by)?);
    }
    Ok(keys)
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn read_active(client: &mut SpiClient, table: &Target, keys: &[&str]) -> Result<HashMap<String, KeyIdentity>> {
    let mut found = HashMap::new();
    if keys.is_empty() {
        return Ok(found);
    }
    let column = |name: &str| if table.table.has(name) { name.to_owned() } else { format!("NULL AS {name}") };
    let columns = ["key_alias", "user_id", "team_id", "organization_id", "project_id"].map(column).join(", ");
    let query = format!("SELECT token, {columns} FROM {} WHERE token = ANY ($1)", table.table.name);
    owner::act_as(client, table.table.owner, |client| {
        for row in plans::run(client, &query, &[keys.to_vec().into()])? {
            if let Some(token) = row.get::<String>(1)? {
                let identity = KeyIdentity {
                    alias: row.get(2)?,
                    user_id: row.get(3)?,
                    team_id: row.get(4)?,
                    organization_id: row.get(5)?,
                    project_id: row.get(6)?,
                };
                found.insert(token, identity);
            }
        }
        Ok(())
    })?;
    Ok(found)
}

/// What the rows of these teams say. A team whose row a fold creates has its id as its alias.
fn read_teams(client: &mut SpiClient, table: &Target, teams: &[&str]) -> Result<HashMap<String, TeamIdentity>> {
    let mut found = HashMap::new();
    if teams.is_empty() {
        return Ok(found);
    }
    let column = |name: &str| match table.table.has(name) {
        true => format!("NULLIF({name}, '')"),
        false => "NULL::pg_catalog.text".to_owned(),
    };
    let columns = ["team_alias", "organization_id"].map(column).join(", ");
    let query = format!("SELECT team_id, {columns} FROM {} WHERE team_id = ANY ($1)", table.table.name);
    owner::act_as(client, table.table.owner, |client| {
        for row in plans::run(client, &query, &[teams.to_vec().into()])? {
            if let Some(team) = row.get::<String>(1)? {
                found.insert(team, TeamIdentity { alias: row.get(2)?, organization_id: row.get(3)? });
            }
        }
        Ok(())
    })?;
    if entities::makes_rows(EntityKind::Team, table) && table.table.has("team_alias") {
        for team in teams {
            let made = || TeamIdentity { alias: Some((*team).to_owned()), organization_id: None };
            found.entry((*team).to_owned()).or_insert_with(made);
        }
    }
    Ok(found)
}

fn read_deprecated(client: &mut SpiClient, target: &Target, keys: &[&str]) -> Result<HashMap<String, DeprecatedKey>> {
    let mut found = HashMap::new();
    if keys.is_empty() {
        return Ok(found);
    }
    let query = format!("SELECT token, active_token_id, revoke_at FROM {} WHERE token = ANY ($1)", target.table.name);
    owner::act_as(client, target.table.owner, |client| {
        for row in plans::run(client, &query, &[keys.to_vec().into()])? {
            if let (Some(token), Some(active_key), Some(revoke_at)) =
                (row.get::<String>(1)?, row.get::<String>(2)?, row.get::<Timestamp>(3)?)
            {
                found.insert(token, DeprecatedKey { active_key, revoked_at: moment(revoke_at.into()) });
            }
        }
        Ok(())
    })?;
    Ok(found)
}
