//! Tells a bad record from a broken environment. It rehearses good records on the path that a suspect record takes, and
//! rolls them back. A path is a set of tables, and in each of them an insert or an update. Each record is rehearsed
//! twice, so that both an insert and an update are tried.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::rc::Rc;

use litellm_spend_core::fault::Fault;
use litellm_spend_core::json::Json;
use litellm_spend_core::litellm::api_key::sha256_hex;
use litellm_spend_core::litellm::tables::Role;
use litellm_spend_core::moment::Moment;
use litellm_spend_core::record::{Call, Documents, Identity, SpendRecord, Timing, Usage};
use litellm_spend_core::totals::{Totals, columns};
use pgrx::spi::SpiClient;

use crate::error::{Error, Result};
use crate::fold::admit::identity;
use crate::fold::count::{self, Count};
use crate::fold::write::budget_windows::Windows;
use crate::fold::write::entities;
use crate::postgres::failure::Failure;
use crate::postgres::subtransaction;
use crate::postgres::timestamp::transaction_start;
use crate::staging::batch::Row;
use crate::targets::Targets;

/// The most good records that are tried for one suspect.
const MOST_TRIED: usize = 3;
const NAME: &str = "litellm_spend-probe";

/// Whether the environment accepts good records where it refuses the suspect. This is so if the suspect's own entities
/// pass with the values of a good record. It is also so if a good record that reaches all the tables that the suspect
/// reaches passes, both with its own entities and with entities that do not exist. `others` are the rows among which
/// good records are looked for.
pub fn good_records_pass(
    client: &mut SpiClient,
    targets: &Rc<Targets>,
    suspect: &Row,
    failure: &Failure,
    others: &[Row],
) -> Result<bool> {
    let Some(document) = count::document(suspect) else { return Ok(false) };
    let Some(suspect) = decoded(client, targets, &document)? else { return Ok(false) };
    let may_tell = |start| !failure.is_missing_partition() || partition_was_due(suspect.timing.start, start);
    let plain = with_identity_of(&suspect, plain(&suspect));
    if may_tell(plain.timing.start) && passes(client, targets, &plain)? {
        return Ok(true);
    }
    let reached = reach(client, targets, &suspect)?;
    let mut tried = 0;
    for row in others {
        let Some(document) = count::document(row) else { continue };
        let Some(record) = decoded(client, targets, &document)? else { continue };
        if !may_tell(record.timing.start) || !reach(client, targets, &record)?.is_superset(&reached) {
            continue;
        }
        if passes(client, targets, &with_identity_of(&suspect, record.clone()))?
            || (passes(client, targets, &record)? && passes(client, targets, &of_nobody(record))?)
        {
            return Ok(true);
        }
        tried += 1;
        if tried == MOST_TRIED {
            break;
        }
    }
    Ok(false)
}

/// Whether it is the suspect record's fault that there is no partition for its `start`, if there is a partition for the
/// start `other`. It is in three cases: `other` is later, so partitions were created beyond `start`; today has its
/// partition and `start` is in the future; or `start` is so far in the future that no partition can be expected. In any
/// other case the partition of today may be missing.
fn partition_was_due(start: Moment, other: Moment) -> bool {
    const DAY_MILLIS: i64 = 86_400_000;
    let now = transaction_start();
    start < other || start > now && other >= now || start.millis_since(now) > DAY_MILLIS
}

/// A request id that no record can have, because nobody can guess it.
fn nobodys_id() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{NAME}-{:016x}{:016x}", random(), random())
}

/// A copy of the record, as another request.
pub fn under_another_id<'a>(record: &SpendRecord<'a>) -> SpendRecord<'a> {
    SpendRecord { request_id: Cow::Owned(nobodys_id()), litellm_call_id: None, ..record.clone() }
}

/// The record of a document, with its identity resolved; `None` if the document holds no record.
pub fn decoded<'a>(
    client: &mut SpiClient,
    targets: &Targets,
    document: &'a Json<'a>,
) -> Result<Option<SpendRecord<'a>>> {
    let Ok(record) = SpendRecord::decode(document) else { return Ok(None) };
    let mut records = [record];
    identity::resolve(client, targets, &mut records)?;
    let [record] = records;
    Ok(Some(record))
}

/// Whether a record counts. The record is tried twice, each time under a new id.
fn passes(client: &mut SpiClient, targets: &Rc<Targets>, record: &SpendRecord) -> Result<bool> {
    let rehearsal = subtransaction::rehearse(|| {
        let mut folded = 0;
        for number in 1..=2 {
            let mut record = record.clone();
            record.request_id = Cow::Owned(format!("{number}-{}", nobodys_id()));
            record.litellm_call_id = None;
            let mut count = Count::of(targets.clone());
            folded += count.add(client, vec![record])?.folded;
            count.write(client)?;
        }
        Ok(folded == 2)
    });
    match rehearsal {
        Ok(passed) => Ok(passed),
        Err(failure) if matches!(failure.fault(), Fault::Environment | Fault::Lock) => Err(Error::Failed(failure)),
        Err(_) => Ok(false),
    }
}

/// The tables in which a record changes a row.
fn reach(client: &mut SpiClient, targets: &Targets, record: &SpendRecord) -> Result<HashSet<Role>> {
    let mut totals = Totals::new(|kind| targets.daily_shape(kind));
    totals.add(record);
    let mut windows = Windows::default();
    windows.read(client, targets, std::slice::from_ref(record))?;
    let mut reached = HashSet::new();
    for role in targets.order().targets() {
        let Some(target) = targets.get(role) else { continue };
        let is_reached = match role {
            Role::Entity(kind) => {
                let spend = totals.entities(kind);
                !spend.is_empty()
                    && (entities::makes_rows(kind, target)
                        || !entities::existing(client, kind, target, spend.keys())?.is_empty())
            }
            Role::ToolIndex => !record.identity.tools.is_empty(),
            Role::WindowSpend => !windows.is_empty(),
            role => columns::rows(&totals.columns(role)) > 0,
        };
        if is_reached {
            reached.insert(role);
        }
    }
    Ok(reached)
}

/// The record `values`, charged to the entities of `suspect`.
fn with_identity_of<'a>(suspect: &SpendRecord<'a>, values: SpendRecord<'a>) -> SpendRecord<'a> {
    SpendRecord { identity: suspect.identity.clone(), outcome: suspect.outcome, ..values }
}

/// The record of a request that cost nothing and has no text. Its other fields are those of `suspect`.
fn plain<'a>(suspect: &SpendRecord<'a>) -> SpendRecord<'a> {
    let now = transaction_start();
    SpendRecord {
        usage: Usage::default(),
        timing: Timing { start: now, end: now, completion_start: None, request_duration_ms: 0 },
        call: Call {
            call_type: Cow::Borrowed("acompletion"),
            model: Cow::Borrowed(NAME),
            model_group: Cow::Borrowed(NAME),
            custom_llm_provider: Cow::Borrowed("openai"),
            cache_hit: Cow::Borrowed("None"),
            ..Call::default()
        },
        documents: Documents {
            metadata: Json::Object(Vec::new()),
            messages: None,
            response: None,
            proxy_server_request: None,
        },
        ..suspect.clone()
    }
}

/// The record, charged to entities that do not exist.
fn of_nobody(record: SpendRecord) -> SpendRecord {
    let named = |name: &Cow<str>| if name.is_empty() { Cow::Borrowed("") } else { Cow::Borrowed(NAME) };
    let several = |names: &[Cow<str>]| if names.is_empty() { Vec::new() } else { vec![Cow::Borrowed(NAME)] };
    let identity = record.identity;
    SpendRecord {
        identity: Identity {
            api_key: if identity.api_key.is_empty() { Cow::Borrowed("") } else { Cow::Owned(sha256_hex(NAME)) },
            user: named(&identity.user),
            team_id: named(&identity.team_id),
            organization_id: named(&identity.organization_id),
            end_user: named(&identity.end_user),
            project_id: named(&identity.project_id),
            proxy_budget_name: named(&identity.proxy_budget_name),
            agent_id: identity.agent_id.as_ref().map(named),
            billing_agent_id: identity.billing_agent_id.as_ref().map(named),
            model_access_groups: several(&identity.model_access_groups),
            tags: several(&identity.tags),
            ..identity
        },
        ..record
    }
}
