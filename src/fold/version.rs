//! Folds only where the library and the installed SQL objects know each other (invariant 15). Recording does not check
//! this, because it works with the neighbouring version.

use litellm_spend_core::version::{self, Pair};
use pgrx::prelude::*;

use crate::error::{Error, Result};

/// Fails, which holds the fold, unless this library folds with the SQL objects that are installed. The check reads the
/// catalogue once and takes no transaction id.
pub fn check() -> Result<()> {
    let sql = installed()?;
    let hint = match version::pair_with(&sql) {
        Pair::Known => return Ok(()),
        Pair::LibraryIsOlder => "Restart the server. It still runs the library from before the upgrade.",
        Pair::SqlIsOlder => "Run ALTER EXTENSION litellm_spend UPDATE in this database.",
        Pair::Unknown => {
            "Install one version of litellm_spend, restart the server and run ALTER EXTENSION litellm_spend UPDATE."
        }
    };
    let library = version::LIBRARY;
    Err(Error::held(
        format!(
            "the library of litellm_spend is version {library} and its SQL objects in this database are version {sql}"
        ),
        hint,
    ))
}

/// Whether `check` would succeed.
pub fn is_known() -> Result<bool> {
    Ok(version::pair_with(&installed()?) == Pair::Known)
}

fn installed() -> Result<String> {
    Spi::connect(|client| {
        let row = client.select(
            "SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'litellm_spend'",
            Some(1),
            &[],
        )?;
        Ok(if row.is_empty() { String::new() } else { row.first().get(1)?.unwrap_or_default() })
    })
}

/// What is wrong with the versions of the library and the SQL objects, and how to fix it. Both columns are null if
/// nothing is wrong.
#[pg_extern(stable, parallel_unsafe, schema = "litellm_spend")]
#[search_path(pg_catalog, pg_temp)]
fn version_skew() -> TableIterator<'static, (name!(skew, Option<String>), name!(advice, Option<String>))> {
    let skew = check().err();
    let advice = skew.as_ref().and_then(Error::hint).map(str::to_owned);
    TableIterator::once((skew.map(|skew| skew.to_string()), advice))
}
