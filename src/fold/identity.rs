//! Reads the rows of a batch's keys and teams, once for all of them: who is charged where a record names only its
//! key, which key took the place of one that is in its grace period, and the organizations of teams.

use std::collections::HashMap;

use litellm_spend_core::entity::EntityKind;
use litellm_spend_core::identity::{DeprecatedKey, KeyIdentity, Keys};
use litellm_spend_core::record::SpendRecord;
use pgrx::datum::Timestamp;
use pgrx::spi::SpiClient;

use super::log::moment;
use super::targets::{Role, Target, Targets};
use super::{owner, plans};
use crate::error::Result;

/// Fills in what the rows of the keys and of the teams know.
pub fn resolve(client: &mut SpiClient, targets: &Targets, records: &mut [SpendRecord]) -> Result<()> {
    if let Some(table) = targets.get(Role::Entity(EntityKind::Key)) {
        let keys = read_keys(client, targets, table, records)?;
        records.iter_mut().for_each(|record| record.resolve(&keys));
    }
    let teams = distinct(records.iter().filter_map(SpendRecord::team_to_ask));
    let organizations = read_organizations(client, targets, &teams)?;
    records.iter_mut().for_each(|record| record.adopt_organization(&organizations));
    Ok(())
}

fn read_keys(client: &mut SpiClient, targets: &Targets, table: &Target, records: &[SpendRecord]) -> Result<Keys> {
    let mut keys = Keys::default();
    let named = distinct(records.iter().map(|record| record.api_key.as_ref()));
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

/// The organizations of those of these teams that have one.
fn read_organizations(client: &mut SpiClient, targets: &Targets, teams: &[&str]) -> Result<HashMap<String, String>> {
    let mut organizations = HashMap::new();
    let Some(table) = targets.get(Role::Entity(EntityKind::Team)) else { return Ok(organizations) };
    if teams.is_empty() || !table.table.has("organization_id") {
        return Ok(organizations);
    }
    let query = format!(
        "SELECT team_id, organization_id FROM {} WHERE team_id = ANY ($1) AND organization_id <> ''",
        table.table.name
    );
    owner::act_as(client, table.table.owner, |client| {
        for row in plans::run(client, &query, &[teams.to_vec().into()])? {
            if let (Some(team), Some(organization)) = (row.get::<String>(1)?, row.get::<String>(2)?) {
                organizations.insert(team, organization);
            }
        }
        Ok(())
    })?;
    Ok(organizations)
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
