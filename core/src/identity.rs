//! Who is charged, where a record names a key but not its user: the key's own row says
//! (LiteLLM's proxy_track_cost_callback.py). What LiteLLM's proxy said stays; what only the caller
//! claimed (`user=`, `metadata.team_id`) gives way to the key's row. Where neither names an organization,
//! the charged team's is charged.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::json::Json;
use crate::moment::Moment;
use crate::record::{BATCH_COST, SpendRecord};

/// What a record says of who is charged, beyond the names themselves.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Claim<'a> {
    /// The user is the SDK's `user=`.
    pub user: bool,
    /// The team is the caller's `metadata.team_id`.
    pub team: bool,
    /// The proxy described the key: there is nothing to look up.
    pub key_is_described: bool,
    /// The key that took the place of the record's own, which is in its grace period.
    pub active_key: Option<Cow<'a, str>>,
}

/// What the row of a key says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KeyIdentity {
    pub alias: Option<String>,
    pub user_id: Option<String>,
    pub team_id: Option<String>,
    /// The key's own organization, not its team's.
    pub organization_id: Option<String>,
    pub project_id: Option<String>,
}

/// A key that was replaced by another one and is valid for a while yet.
#[derive(Debug, Clone, PartialEq)]
pub struct DeprecatedKey {
    pub active_key: String,
    pub revoked_at: Moment,
}

/// The rows of the keys of a batch.
#[derive(Debug, Default)]
pub struct Keys {
    pub active: HashMap<String, KeyIdentity>,
    pub deprecated: HashMap<String, DeprecatedKey>,
}

/// Call types whose identity was taken when they began, and must not change with the key's row since.
const IDENTITY_IS_OLDER: [&str; 2] = [BATCH_COST, "CallTypes.aretrieve_batch"];

const USER: &str = "user_api_key_user_id";
const TEAM: &str = "user_api_key_team_id";
const ORGANIZATION: &str = "user_api_key_org_id";
const PROJECT: &str = "user_api_key_project_id";

impl<'a> SpendRecord<'a> {
    /// Whether the key's row may know what the record does not say.
    pub fn asks_for_key(&self) -> bool {
        let user_is_unknown = self.user.is_empty() || self.claim.user || self.is_failure;
        !self.api_key.is_empty()
            && user_is_unknown
            && !self.claim.key_is_described
            && !IDENTITY_IS_OLDER.contains(&self.call_type.as_ref())
    }

    /// The key whose row is charged.
    pub fn charged_key(&self) -> &Cow<'a, str> {
        self.claim.active_key.as_ref().unwrap_or(&self.api_key)
    }

    /// Fills in what the rows of the keys know.
    pub fn resolve(&mut self, keys: &Keys) {
        if !keys.active.contains_key(self.api_key.as_ref())
            && let Some(deprecated) = keys.deprecated.get(self.api_key.as_ref())
            && self.start < deprecated.revoked_at
        {
            self.claim.active_key = Some(Cow::Owned(deprecated.active_key.clone()));
        }
        if self.asks_for_key()
            && let Some(identity) = keys.active.get(self.charged_key().as_ref())
        {
            self.adopt(identity);
        }
    }

    /// The team whose organization is charged, because nothing else names one; asked after `resolve`.
    pub fn team_to_ask(&self) -> Option<&str> {
        let is_open = self.organization_id.is_empty()
            && self.metadata.given(ORGANIZATION).is_none()
            && !IDENTITY_IS_OLDER.contains(&self.call_type.as_ref());
        (is_open && !self.team_id.is_empty()).then_some(self.team_id.as_ref())
    }

    /// Charges the organization of the record's team, by the organizations of teams.
    pub fn adopt_organization(&mut self, organizations: &HashMap<String, String>) {
        if let Some(organization) = self.team_to_ask().and_then(|team| organizations.get(team)) {
            self.organization_id = Cow::Owned(organization.clone());
            self.describe(ORGANIZATION, organization);
        }
    }

    /// Fills in each name that is not known; one that the proxy said is empty stays so.
    fn adopt(&mut self, identity: &KeyIdentity) {
        let is_open = [USER, TEAM, ORGANIZATION, PROJECT].map(|key| self.metadata.given(key).is_none());
        let fill = |name: &mut Cow<'_, str>, is_claimed: bool, open: bool, known: &Option<String>| {
            if let Some(known) =
                known.as_ref().filter(|known| open && !known.is_empty() && (name.is_empty() || is_claimed))
            {
                *name = Cow::Owned(known.clone());
            }
        };
        fill(&mut self.user, self.claim.user, is_open[0], &identity.user_id);
        fill(&mut self.team_id, self.claim.team, is_open[1], &identity.team_id);
        fill(&mut self.organization_id, false, is_open[2], &identity.organization_id);
        fill(&mut self.project_id, false, is_open[3], &identity.project_id);
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

    /// Sets a member of the log row's metadata that is not known yet.
    fn describe(&mut self, key: &'static str, value: &str) {
        let Json::Object(members) = &mut self.metadata else { return };
        let value = Json::Str(Cow::Owned(value.to_owned()));
        match members.iter_mut().find(|(name, _)| name == key) {
            Some((_, Json::Null)) => members.retain(|(name, _)| name != key),
            Some(_) => return,
            None => {}
        }
        members.push((Cow::Borrowed(key), value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "30323e05e0a491d1721c5452dc51a07c9b247c1aee3a78677c384efd94476167";

    fn record(rest: &str) -> SpendRecord<'static> {
        let text = format!(r#"{{"id":"r","response_cost":1,"startTime":100,"user_api_key":"{KEY}"{rest}}}"#);
        SpendRecord::decode(&Json::from_text(&text).unwrap().into_owned()).unwrap()
    }

    fn keys() -> Keys {
        let text = |text: &str| Some(text.to_owned());
        let identity = KeyIdentity {
            alias: text("key-one"),
            user_id: text("u"),
            team_id: text("t"),
            organization_id: text("o"),
            project_id: text("p"),
        };
        Keys { active: HashMap::from([(KEY.to_owned(), identity)]), deprecated: HashMap::new() }
    }

    fn resolved(rest: &str) -> SpendRecord<'static> {
        let mut record = record(rest);
        record.resolve(&keys());
        record
    }

    fn names<'r>(record: &'r SpendRecord) -> [&'r str; 4] {
        [&record.user, &record.team_id, &record.organization_id, &record.project_id]
    }

    #[test]
    fn a_key_without_a_user_brings_its_rows_identity() {
        let record = resolved("");
        assert_eq!(names(&record), ["u", "t", "o", "p"]);
        assert_eq!(record.metadata.get("user_api_key_alias").and_then(Json::as_str), Some("key-one"));
    }

    #[test]
    fn what_the_proxy_said_stays() {
        let record = resolved(r#","metadata":{"user_api_key_user_id":"mine"}"#);
        assert_eq!(names(&record), ["mine", "", "", ""]);
        let record = resolved(r#","metadata":{"user_api_key_alias":"known","user_api_key_team_id":"mine"}"#);
        assert_eq!(names(&record), ["", "mine", "", ""]);
        let record = resolved(r#","metadata":{"user_api_key_team_id":"mine"}"#);
        assert_eq!(names(&record), ["u", "mine", "o", "p"]);
    }

    #[test]
    fn a_name_that_the_proxy_said_is_empty_stays_empty() {
        let record = resolved(r#","metadata":{"user_api_key_user_id":"","user_api_key_org_id":""}"#);
        assert_eq!(names(&record), ["", "t", "", "p"]);
    }

    #[test]
    fn what_the_caller_claims_gives_way_to_the_keys_row() {
        let record = resolved(r#","user":"claimed","metadata":{"team_id":"claimed"}"#);
        assert_eq!(names(&record), ["u", "t", "o", "p"]);
    }

    #[test]
    fn the_organization_is_the_charged_teams_unless_the_record_or_its_key_names_one() {
        let organizations = ["t", "mine"].map(|team| (team.to_owned(), format!("of-{team}")));
        let organization = |rest: &str, of_key: Option<&str>| {
            let mut keys = keys();
            keys.active.values_mut().for_each(|key| key.organization_id = of_key.map(str::to_owned));
            let mut record = record(rest);
            record.resolve(&keys);
            record.adopt_organization(&HashMap::from(organizations.clone()));
            let described = record.metadata.get(ORGANIZATION).and_then(Json::as_str).unwrap_or_default();
            assert_eq!(described, record.organization_id);
            record.organization_id.into_owned()
        };
        assert_eq!(organization("", None), "of-t");
        assert_eq!(organization("", Some("o")), "o");
        let mine = r#","metadata":{"user_api_key_team_id":"mine"}"#;
        assert_eq!(organization(mine, None), "of-mine", "and not that of the team of the key");
        assert_eq!(organization(mine, Some("o")), "o");
        assert_eq!(organization(r#","user_api_key":"","metadata":{"team_id":"mine"}"#, None), "of-mine");
        assert_eq!(organization(r#","metadata":{"user_api_key_alias":"a","team_id":"mine"}"#, None), "of-mine");
        assert_eq!(organization(r#","metadata":{"user_api_key_org_id":"other"}"#, None), "other");
        assert_eq!(organization(r#","metadata":{"user_api_key_org_id":""}"#, Some("o")), "");
        assert_eq!(organization(r#","team_id":"mine","user":"u","organization_id":"","metadata":{}"#, None), "of-mine");
        assert_eq!(organization(r#","team_id":"mine","call_type":"aretrieve_batch""#, None), "");
        assert_eq!(organization(r#","team_id":"unknown""#, None), "");
    }

    #[test]
    fn a_batch_that_is_retrieved_keeps_the_identity_it_began_with() {
        assert_eq!(names(&resolved(r#","call_type":"aretrieve_batch""#)), ["", "", "", ""]);
    }

    #[test]
    fn a_key_in_its_grace_period_charges_the_key_that_replaced_it() {
        let deprecated = |micros| {
            let mut keys = keys();
            let identity = keys.active.remove(KEY).unwrap();
            keys.active.insert("new".to_owned(), identity);
            let revoked_at = Moment::from_micros(micros).unwrap();
            keys.deprecated.insert(KEY.to_owned(), DeprecatedKey { active_key: "new".to_owned(), revoked_at });
            let mut record = record("");
            record.resolve(&keys);
            record
        };
        let within = deprecated(100_000_001);
        assert_eq!((within.charged_key().as_ref(), within.user.as_ref(), within.api_key.as_ref()), ("new", "u", KEY));
        let after = deprecated(100_000_000);
        assert_eq!((after.charged_key().as_ref(), after.user.as_ref()), (KEY, ""));
    }
}
