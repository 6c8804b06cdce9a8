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
    [&record.identity.user, &record.identity.team_id, &record.identity.organization_id, &record.identity.project_id]
}

#[test]
fn a_key_without_a_user_brings_its_rows_identity() {
    let record = resolved("");
    assert_eq!(names(&record), ["u", "t", "o", "p"]);
    assert_eq!(record.documents.metadata.get("user_api_key_alias").and_then(Json::as_str), Some("key-one"));
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
    let of_team = |team: &str| TeamIdentity { alias: None, organization_id: Some(format!("of-{team}")) };
    let teams = HashMap::from(["t", "mine"].map(|team| (team.to_owned(), of_team(team))));
    let organization = |rest: &str, of_key: Option<&str>| {
        let mut keys = keys();
        keys.active.values_mut().for_each(|key| key.organization_id = of_key.map(str::to_owned));
        let mut record = record(rest);
        record.resolve(&keys);
        record.adopt_team(&teams);
        let described = record.documents.metadata.get(ORGANIZATION).and_then(Json::as_str).unwrap_or_default();
        assert_eq!(described, record.identity.organization_id);
        record.identity.organization_id.into_owned()
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
fn the_log_has_the_alias_of_the_charged_team_unless_the_record_names_one() {
    let team = TeamIdentity { alias: Some("Alpha".to_owned()), organization_id: None };
    let teams = HashMap::from([("t".to_owned(), team)]);
    let alias = |rest: &str| {
        let mut record = record(rest);
        record.resolve(&keys());
        record.adopt_team(&teams);
        record.documents.metadata.get(TEAM_ALIAS).and_then(Json::as_str).map(str::to_owned)
    };
    let named = |alias: &str| Some(alias.to_owned());
    assert_eq!(alias(""), named("Alpha"), "of the key's team");
    assert_eq!(alias(r#","user_api_key":"","metadata":{"team_id":"t","user_api_key_org_id":"o"}"#), named("Alpha"));
    assert_eq!(alias(r#","metadata":{"user_api_key_team_alias":null}"#), named("Alpha"));
    assert_eq!(alias(r#","metadata":{"user_api_key_team_alias":"mine"}"#), named("mine"));
    assert_eq!(alias(r#","metadata":{"user_api_key_team_id":"other"}"#), None);
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
    assert_eq!(
        (within.charged_key().as_ref(), within.identity.user.as_ref(), within.identity.api_key.as_ref()),
        ("new", "u", KEY)
    );
    let after = deprecated(100_000_000);
    assert_eq!((after.charged_key().as_ref(), after.identity.user.as_ref()), (KEY, ""));
}
