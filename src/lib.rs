//! litellm_spend: durable, exact LLM spend in Postgres.
//!
//! `record` stages a spend record in the caller's transaction. `worker` folds committed records into LiteLLM's own
//! tables through `fold`. The crate `litellm_spend_core` decides what a record is and what a batch adds up to. This
//! crate is its adapter to Postgres.

use pgrx::prelude::*;

mod error;
mod failpoint;
mod fold;
mod functions;
mod inbox;
mod postgres;
mod record;
mod settings;
mod staging;
mod targets;
mod verify;
mod worker;

#[cfg(any(test, feature = "pg_test"))]
mod pg_tests;

::pgrx::pg_module_magic!(name, version);

/// The schema of every object of the extension except `litellm_record_spend`.
#[pg_schema]
mod litellm_spend {}

extension_sql_file!("../sql/preconditions.sql", name = "preconditions", bootstrap);
extension_sql_file!(
    "../sql/staging.sql",
    name = "staging",
    requires = [litellm_spend, staging::subscriber::litellm_spend::keep_own_rows]
);
extension_sql_file!("../sql/state.sql", name = "state", requires = ["staging"]);
extension_sql_file!("../sql/ledger.sql", name = "ledger", requires = [litellm_spend]);
extension_sql_file!(
    "../sql/segment_holders.sql",
    name = "segment_holders",
    requires = ["staging", functions::status::worker_state]
);
extension_sql_file!("../sql/verify.sql", name = "verify", requires = [litellm_spend]);
extension_sql_file!(
    "../sql/status.sql",
    name = "status",
    requires = [
        "state",
        "segment_holders",
        functions::status::backlog,
        functions::status::worker_state,
        staging::adoption::foreign_rows,
        functions::targets::list_targets
    ]
);
extension_sql_file!(
    "../sql/health.sql",
    name = "health",
    requires =
        ["status", functions::health::alert_bounds, postgres::lock_holders::lock_holders, fold::version::version_skew]
);
extension_sql_file!(
    "../sql/inbox.sql",
    name = "inbox",
    requires = ["staging", "state", inbox::litellm_spend::insert_into_inbox]
);
extension_sql_file!("../sql/fold_all.sql", name = "fold_all", requires = [functions::fold::fold]);
extension_sql_file!("../sql/privileges.sql", name = "privileges", finalize);

/// Runs when the library is loaded: at server start if the library is preloaded, otherwise at a session's first call.
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    #[cfg(feature = "failpoints")]
    failpoint::define();
    settings::define();
    postgres::statement_log::install();
    worker::register();
}

/// The server settings that `cargo pgrx test` needs.
#[cfg(test)]
pub mod pg_test {
    pub fn setup(_options: Vec<&str>) {}

    pub fn postgresql_conf_options() -> Vec<&'static str> {
        vec!["shared_preload_libraries = 'litellm_spend'"]
    }
}
