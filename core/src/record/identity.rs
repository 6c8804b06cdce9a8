//! Who is charged if a record names a key but not its user: the key's own row says that (LiteLLM's
//! proxy_track_cost_callback.py). A name that LiteLLM's proxy sent stays. A name that only the caller claimed (`user=`,
//! `metadata.team_id`) gives way to the key's row. If neither the record nor the key names an organization, the
//! organization of the charged team is charged.

use std::borrow::Cow;
use std::collections::HashMap;

use super::{BATCH_COST, SpendRecord};
use crate::json::Json;
use crate::moment::Moment;

#[cfg(test)]
mod tests;

/// What a record says about who is charged, beyond the names themselves.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Claim<'a> {
    /// Whether the user is only the SDK's `user=`.
    pub user: bool,
    /// Whether the team is only the caller's `metadata.team_id`.
    pub team: bool,
    /// Whether the proxy described the key, so that there is nothing to look up.
    pub key_is_described: bool,
    /// The key that replaced the record's own key, if that is in its grace period.
    pub active_key: Option<Cow<'a, str>>,
}

/// What the row of a key says. A field is `None` if the row does not name it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KeyIdentity {
    pub alias: Option<String>,
    pub user_id: Option<String>,
    pub team_id: Option<String>,
    /// The key's own organization, not the organization of its team.
    pub organization_id: Option<String>,
    pub project_id: Option<String>,
}

/// What the row of a team says. A field is `None` if the row does not name it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TeamIdentity {
    pub alias: Option<String>,
    pub organization_id: Option<String>,
}

/// What LiteLLM keeps of a key that another key replaced. The old key stays valid for a grace period.
#[derive(Debug, Clone, PartialEq)]
pub struct DeprecatedKey {
    /// The key that replaced it, in stored form.
    pub active_key: String,
    /// The end of the grace period.
    pub revoked_at: Moment,
}

/// The rows of the keys of a batch, by the stored form of the key.
#[derive(Debug, Default)]
pub struct Keys {
    /// The keys that are valid.
    pub active: HashMap<String, KeyIdentity>,
    /// The keys that were replaced.
    pub deprecated: HashMap<String, DeprecatedKey>,
}

/// The call types whose identity was fixed when the work began. A later change of the key's row must not change it.
const IDENTITY_IS_OLDER: [&str; 2] = [BATCH_COST, "CallTypes.aretrieve_batch"];

const USER: &str = "user_api_key_user_id";
const TEAM: &str = "user_api_key_team_id";
const TEAM_ALIAS: &str = "user_api_key_team_alias";
const ORGANIZATION: &str = "user_api_key_org_id";
const PROJECT: &str = "user_api_key_project_id";

impl<'a> SpendRecord<'a> {
    /// Whether the key's row may know a name that the record does not know.
    pub fn asks_for_key(&self) -> bool {
        let user_is_unknown = self.identity.user.is_empty() || self.identity.claim.user || self.outcome.is_failure;
        !self.identity.api_key.is_empty()
            && user_is_unknown
            && !self.identity.claim.key_is_described
            && !IDENTITY_IS_OLDER.contains(&self.call.call_type.as_ref())
    }

    /// The key whose row is charged.
    pub fn charged_key(&self) -> &Cow<'a, str> {
        self.identity.claim.active_key.as_ref().unwrap_or(&self.identity.api_key)
    }

    /// Fills in the names that the rows of the keys know.
    pub fn resolve(&mut self, keys: &Keys) {
        if !keys.active.contains_key(self.identity.api_key.as_ref())
            && let Some(deprecated) = keys.deprecated.get(self.identity.api_key.as_ref())
            && self.timing.start < deprecated.revoked_at
        {
            self.identity.claim.active_key = Some(Cow::Owned(deprecated.active_key.clone()));
        }
        if self.asks_for_key()
            && let Some(identity) = keys.active.get(self.charged_key().as_ref())
        {
            self.adopt(identity);
        }
    }

    /// The team whose row may know a name that the record does not know; `None` if no team needs to be read. Call it
    /// after `resolve`.
    pub fn team_to_ask(&self) -> Option<&str> {
        let is_open = self.asks_for_organization() || self.documents.metadata.given(TEAM_ALIAS).is_none();
        (is_open && !self.identity.team_id.is_empty()).then_some(self.identity.team_id.as_ref())
    }

    /// Whether the team's organization is charged, because no one else names an organization.
    fn asks_for_organization(&self) -> bool {
        self.identity.organization_id.is_empty()
            && self.documents.metadata.given(ORGANIZATION).is_none()
            && !IDENTITY_IS_OLDER.contains(&self.call.call_type.as_ref())
    }

    /// Charges the organization of the record's team and names the team in the log, from the rows of teams.
    pub fn adopt_team(&mut self, teams: &HashMap<String, TeamIdentity>) {
        let Some(team) = self.team_to_ask().and_then(|team| teams.get(team)) else { return };
        if let Some(organization) = team.organization_id.as_ref().filter(|_| self.asks_for_organization()) {
            self.identity.organization_id = Cow::Owned(organization.clone());
            self.describe(ORGANIZATION, organization);
        }
        if let Some(alias) = &team.alias {
            self.describe(TEAM_ALIAS, alias);
        }
    }

    /// Fills in each name that is not known. A name that the proxy said is empty stays empty.
    fn adopt(&mut self, identity: &KeyIdentity) {
        let is_open = [USER, TEAM, ORGANIZATION, PROJECT].map(|key| self.documents.metadata.given(key).is_none());
        let fill = |name: &mut Cow<'_, str>, is_claimed: bool, open: bool, known: &Option<String>| {
            if let Some(known) =
                known.as_ref().filter(|known| open && !known.is_empty() && (name.is_empty() || is_claimed))
            {
                *name = Cow::Owned(known.clone());
            }
        };
        fill(&mut self.identity.user, self.identity.claim.user, is_open[0], &identity.user_id);
        fill(&mut self.identity.team_id, self.identity.claim.team, is_open[1], &identity.team_id);
        fill(&mut self.identity.organization_id, false, is_open[2], &identity.organization_id);
        fill(&mut self.identity.project_id, false, is_open[3], &identity.project_id);
        for (key, value) in [
            ("user_api_key_alias", &identity.alias),
            (USER, &identity.user_id),
            (TEAM, &identity.team_id),
            (ORGANIZATION, &identity.organization_id),
            (PROJECT, &identity.project_id),
        ] {
            if let Some(value) = value {
                self.describe(key, value);
            }
        }
    }

    /// Sets a member of the log row's metadata if the member is absent or null.
    fn describe(&mut self, key: &'static str, value: &str) {
        let Json::Object(members) = &mut self.documents.metadata else { return };
        let value = Json::Str(Cow::Owned(value.to_owned()));
        match members.iter_mut().find(|(name, _)| name == key) {
            Some((_, Json::Null)) => members.retain(|(name, _)| name != key),
            Some(_) => return,
            None => {}
        }
        members.push((Cow::Borrowed(key), value));
    }
}
