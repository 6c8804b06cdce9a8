//! How many missing rows folds may create in an hour (`litellm_spend.max_new_entities`). A client that may record can
//! name any users, tags and teams, and each new name would be a row for ever. A row that is not created loses no spend,
//! because daily rows and the log have it.

use litellm_spend_core::litellm::tables::EntityKind;
use litellm_spend_core::totals::entities::{EntityId, EntitySpend, is_created};
use pgrx::spi::SpiClient;

use super::{Ids, existing, is_among};
use crate::error::Result;
use crate::postgres::plans;
use crate::settings;
use crate::staging::cluster_id;
use crate::targets::Target;

const THIS_HOUR: &str = "pg_catalog.date_trunc('hour', pg_catalog.now(), 'UTC')";

/// The entities of a batch that have no row.
pub struct Missing<'i, 'a> {
    /// The entities whose row may be created: the first ones in byte order.
    pub admitted: Vec<&'i EntityId<'a>>,
    refused: Ids,
    /// The entities for which no row is ever created.
    never_made: Ids,
}

impl<'i, 'a> Missing<'i, 'a> {
    pub fn none() -> Self {
        Missing { admitted: Vec::new(), refused: Ids::new(), never_made: Ids::new() }
    }

    /// Finds which entities have no row and how many rows this hour has room for.
    pub fn find(client: &mut SpiClient, kind: EntityKind, target: &Target, spend: &'i EntitySpend<'a>) -> Result<Self> {
        let there = existing(client, kind, target, spend.keys())?;
        let missing = spend.keys().filter(|id| !is_among(&there, id));
        let (mut admitted, never_made): (Vec<_>, Vec<_>) = missing.partition(|id| is_created(kind, id));
        let refused = match settings::max_new_entities() {
            Some(limit) if !admitted.is_empty() => {
                let room = limit.saturating_sub(made_in_this_hour(client)?).min(admitted.len());
                admitted.split_off(room)
            }
            _ => Vec::new(),
        };
        Ok(Missing { admitted, refused: owned(refused), never_made: owned(never_made) })
    }

    /// Whether the row of this id is missing and is not created.
    pub fn leaves_out(&self, id: &EntityId) -> bool {
        is_among(&self.refused, id) || is_among(&self.never_made, id)
    }

    /// Counts the rows that were created and refused, once the rows are written. Not every admitted row is created,
    /// because a trigger or the name of another agent may prevent it. Such a row must not use up the limit in each
    /// batch.
    pub fn note(&self, client: &mut SpiClient, kind: EntityKind, target: &Target) -> Result<()> {
        if settings::max_new_entities().is_none() || self.admitted.is_empty() && self.refused.is_empty() {
            return Ok(());
        }
        let made = existing(client, kind, target, self.admitted.iter().copied())?.len();
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        plans::run(
            client,
            &format!(
                "INSERT INTO litellm_spend.new_entities AS n (origin, hour, created, not_created, refused_at)
                 VALUES ($1, {THIS_HOUR}, $2, $3, CASE WHEN $3 > 0 THEN pg_catalog.clock_timestamp() END)
                 ON CONFLICT (origin) DO UPDATE
                 SET created = CASE WHEN n.hour = EXCLUDED.hour THEN n.created ELSE 0 END + EXCLUDED.created,
                     hour = EXCLUDED.hour,
                     not_created = n.not_created + EXCLUDED.not_created,
                     refused_at = coalesce(EXCLUDED.refused_at, n.refused_at)"
            ),
            &[cluster_id::this_database().into(), count(made).into(), count(self.refused.len()).into()],
        )?;
        Ok(())
    }
}

fn owned(ids: Vec<&EntityId>) -> Ids {
    ids.into_iter().map(|(id, member)| ((*id).to_owned(), (*member).to_owned())).collect()
}

fn made_in_this_hour(client: &mut SpiClient) -> Result<usize> {
    let rows = plans::run(
        client,
        &format!("SELECT created FROM litellm_spend.new_entities WHERE origin = $1 AND hour = {THIS_HOUR}"),
        &[cluster_id::this_database().into()],
    )?;
    let created: Option<i64> = if rows.is_empty() { None } else { rows.first().get(1)? };
    Ok(created.and_then(|created| usize::try_from(created).ok()).unwrap_or(0))
}
