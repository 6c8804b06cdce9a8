//! SQL behaviour within one transaction. Folding commits and is tested out of process (tests/).

#[pg_schema]
#[cfg(any(test, feature = "pg_test"))]
mod tests {
    use pgrx::prelude::*;

    const RECORD: &str = r#"{"request_id":"r","litellm_call_id":"c","spend":0.5,"startTime":1773500966.5}"#;

    fn staged() -> i64 {
        Spi::get_one("SELECT count(*) FROM litellm_spend.staging").unwrap().unwrap()
    }

    #[pg_test]
    fn an_object_is_one_record_and_an_array_many() {
        let one = Spi::get_one_with_args::<i64>("SELECT litellm_record_spend($1::jsonb)", &[RECORD.into()]);
        assert_eq!(one, Ok(Some(1)));
        let array = format!("[{RECORD},{RECORD},{RECORD}]");
        let three = Spi::get_one_with_args::<i64>("SELECT litellm_record_spend($1::jsonb)", &[array.into()]);
        assert_eq!(three, Ok(Some(3)));
        assert_eq!(Spi::get_one::<i64>("SELECT litellm_record_spend('[]')"), Ok(Some(0)));
        assert_eq!(staged(), 4);
        let rows = Spi::get_one::<i64>("SELECT count(DISTINCT seq) FROM litellm_spend.staging");
        assert_eq!(rows, Ok(Some(4)), "rows of one transaction are numbered across calls");
    }
}
