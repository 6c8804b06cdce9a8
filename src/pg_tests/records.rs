//! SQL behaviour within one transaction. Behaviour that needs a commit, such as folding, is tested out of process
//! (tests/server). pgrx runs the functions of the schema `tests`.

// These tests run in the server, where the test allowances of clippy.toml do not apply.
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#[pgrx::pg_schema]
mod tests {
    use litellm_spend_core::json::Json;
    use litellm_spend_core::jsonb as jsonb_format;
    use pgrx::prelude::*;

    use crate::postgres::jsonb::Jsonb;

    const RECORD: &str = r#"{"id":"r","spend":0.5,"startTime":1773500966.5,"litellm_call_id":"c"}"#;

    fn record(payload: &str) -> Option<i64> {
        Spi::get_one_with_args("SELECT litellm_record_spend($1::jsonb)", &[payload.into()]).unwrap()
    }

    fn reject(payload: &str) -> Option<i64> {
        Spi::get_one_with_args("SELECT litellm_record_spend($1::jsonb, 'reject')", &[payload.into()]).unwrap()
    }

    fn staged() -> Option<i64> {
        Spi::get_one("SELECT count(*) FROM litellm_spend.staging").unwrap()
    }

    /// The SQLSTATE, message, DETAIL and HINT of the error that a statement raises.
    fn error_of(statement: &str) -> (String, String, String, String) {
        Spi::run(
            "CREATE OR REPLACE FUNCTION pg_temp.error_of(statement text) RETURNS text[] LANGUAGE plpgsql AS $$
             DECLARE message text; detail text; hint text;
             BEGIN
                 EXECUTE statement;
                 RETURN NULL;
             EXCEPTION WHEN OTHERS THEN
                 GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
                 RETURN ARRAY[SQLSTATE, message, detail, hint];
             END $$",
        )
        .unwrap();
        let parts: Option<Vec<String>> =
            Spi::get_one_with_args("SELECT pg_temp.error_of($1)", &[statement.into()]).unwrap();
        let Some([state, message, detail, hint]) = parts.and_then(|parts| <[String; 4]>::try_from(parts).ok()) else {
            panic!("the statement succeeded")
        };
        (state, message, detail, hint)
    }

    #[pg_test]
    fn an_object_is_one_record_and_an_array_many() {
        assert_eq!(record(RECORD), Some(1));
        assert_eq!(record(&format!("[{RECORD},{RECORD},{RECORD}]")), Some(3));
        assert_eq!(record("[]"), Some(0));
        assert_eq!(staged(), Some(4));
        let numbers = Spi::get_one::<i64>("SELECT count(DISTINCT seq) FROM litellm_spend.staging");
        assert_eq!(numbers, Ok(Some(4)), "rows of one transaction are numbered across calls");
    }

    #[pg_test]
    fn a_clean_record_is_stored_as_it_came() {
        record(RECORD);
        let same =
            Spi::get_one_with_args::<bool>("SELECT payload = $1::jsonb FROM litellm_spend.staging", &[RECORD.into()]);
        assert_eq!(same, Ok(Some(true)));
    }

    #[pg_test]
    fn what_is_not_on_the_allow_list_is_not_stored() {
        record(
            r#"{"id":"r","response_cost":1,"startTime":0,"messages":"prompt","api_key":"sk-golden-key-1",
                   "metadata":{"headers":{"x":1},"user_api_key_user_id":"u"},"unknown":1}"#,
        );
        let payload = Spi::get_one::<String>("SELECT payload::text FROM litellm_spend.staging").unwrap().unwrap();
        assert_eq!(
            payload,
            r#"{"id": "r", "api_key": "30323e05e0a491d1721c5452dc51a07c9b247c1aee3a78677c384efd94476167", "metadata": {"user_api_key_user_id": "u"}, "startTime": 0, "response_cost": 1}"#
        );
    }

    #[pg_test]
    fn one_bad_element_stages_nothing_and_is_named() {
        let (state, message, detail, hint) =
            error_of(&format!(r#"SELECT litellm_record_spend('[{RECORD}, {{"id":"needle","spend":1}}]')"#));
        assert_eq!(state, "22004");
        assert_eq!(message, "spend record has no start time");
        assert_eq!(detail, "Array element 1, key \"startTime\".");
        assert!(hint.ends_with('.') && !hint.contains("needle"));
        assert_eq!(staged(), Some(0));
    }

    #[pg_test]
    fn rejected_elements_are_kept_sanitised_and_the_others_staged() {
        let payload = format!(r#"[{RECORD}, {{"id":"bad","spend":"needle","headers":"needle"}}, "needle", {RECORD}]"#);
        assert_eq!(reject(&payload), Some(2));
        let kept = Spi::get_one::<Vec<String>>(
            "SELECT array_agg(concat_ws(' ', sqlstate, detail, payload) ORDER BY id) FROM litellm_spend.rejected",
        );
        let expected = [
            r#"22004 Array element 1, key "startTime". {"id": "bad"}"#,
            r#"22023 Array element 2. {"type": "string", "length": 6}"#,
        ];
        assert_eq!(kept.unwrap().unwrap(), expected);
    }

    #[pg_test]
    fn a_null_payload_and_an_unknown_mode_are_refused() {
        assert_eq!(error_of("SELECT litellm_record_spend(NULL)").0, "22004");
        assert_eq!(error_of("SELECT litellm_record_spend('{}', 'ignore')").0, "22023");
        assert_eq!(error_of("SELECT litellm_record_spend('{}', NULL)").0, "22023");
        assert_eq!(error_of("SELECT litellm_record_spend('7')").0, "22023");
    }

    #[pg_test]
    fn a_savepoint_that_rolls_back_takes_its_records_along() {
        record(RECORD);
        error_of(&format!("DO $d$ BEGIN PERFORM litellm_record_spend('{RECORD}'); RAISE 'undo'; END $d$"));
        record(RECORD);
        assert_eq!(staged(), Some(2));
    }

    #[pg_test]
    fn fold_and_flush_refuse_a_transaction_of_others() {
        record(RECORD);
        assert_eq!(error_of("SELECT litellm_spend.fold()").0, "25001");
        assert_eq!(error_of("SELECT litellm_spend.flush()").0, "25001");
    }

    #[pg_test]
    fn jsonb_is_read_as_its_text_is() {
        for text in [
            r#"{"a":[1,2.5,-0.001,1e300,1e-300,12345678901234567890,0,-7,0.1,100000,99999999.99990001],"b":{"":null},"ü":"é\n"}"#,
            "[[],{},[[{}]],true,false,null]",
            r#""text""#,
            "-12.5",
            "null",
        ] {
            let jsonb = Jsonb::from_json(&Json::from_text(text).unwrap()).unwrap();
            let shown: String = Spi::get_one_with_args("SELECT $1::jsonb::text", &[text.into()]).unwrap().unwrap();
            assert_eq!(jsonb_format::read(jsonb.bytes()), Ok(Json::from_text(&shown).unwrap()), "{text}");
        }
        // In a container of more than 32 members, jsonb stores an offset instead of a length in some entries.
        let long = format!(
            "[{}]",
            (0..500).map(|n| format!(r#"{{"k{n}":"{}"}}"#, "x".repeat(n))).collect::<Vec<_>>().join(",")
        );
        let jsonb = Jsonb::from_json(&Json::from_text(&long).unwrap()).unwrap();
        assert_eq!(jsonb_format::read(jsonb.bytes()), Ok(Json::from_text(&long).unwrap()));
        let (elements, is_array) = jsonb_format::elements(jsonb.bytes()).unwrap();
        assert!(is_array);
        for element in elements {
            let element = element.unwrap();
            assert_eq!(jsonb_format::read(element.container().unwrap()), element.json());
        }
    }

    #[pg_test]
    fn public_may_do_nothing_and_the_writer_may_record() {
        let granted = Spi::get_one::<i64>(
            "SELECT count(*) FROM pg_proc p CROSS JOIN aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
             WHERE (p.pronamespace = 'litellm_spend'::regnamespace OR p.proname = 'litellm_record_spend')
               AND a.grantee = 0",
        );
        assert_eq!(granted, Ok(Some(0)));
        Spi::run("SET LOCAL ROLE litellm_spend_writer").unwrap();
        assert_eq!(record(RECORD), Some(1));
        for forbidden in ["SELECT litellm_spend.fold()", "TABLE litellm_spend.staging_0", "TABLE litellm_spend.status"]
        {
            assert_eq!(error_of(forbidden).0, "42501", "{forbidden}");
        }
    }

    #[pg_test]
    fn every_object_has_a_comment() {
        let bare = Spi::get_one::<String>(
            "SELECT string_agg(pg_describe_object(d.classid, d.objid, 0), ', ')
             FROM pg_depend d JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
             WHERE e.extname = 'litellm_spend' AND d.deptype = 'e'
               AND d.classid IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_namespace'::regclass)
               AND pg_describe_object(d.classid, d.objid, 0) NOT LIKE 'sequence %'
               AND pg_describe_object(d.classid, d.objid, 0) NOT LIKE '%tests%'
               AND obj_description(d.objid, d.classid::regclass::name) IS NULL",
        );
        assert_eq!(bare, Ok(None));
    }

    #[pg_test]
    fn the_readme_names_each_setting_with_its_default() {
        let readme = include_str!("../../README.md");
        let settings: Vec<(String, String)> = Spi::connect(|client| {
            let rows = client.select(
                "SELECT name, boot_val || coalesce(' ' || unit, '') FROM pg_settings WHERE name LIKE 'litellm_spend.%'",
                None,
                &[],
            );
            rows.unwrap().map(|row| (row.get(1).unwrap().unwrap(), row.get(2).unwrap().unwrap())).collect()
        });
        assert!(!settings.is_empty());
        for (name, default) in &settings {
            assert!(readme.contains(&format!("| `{name}` | `{default}` |")), "README lacks {name} = {default}");
        }
        let is_setting = |line: &&str| line.starts_with("| `litellm_spend.") && line.contains("` | `");
        assert_eq!(readme.lines().filter(is_setting).count(), settings.len());
    }
}
