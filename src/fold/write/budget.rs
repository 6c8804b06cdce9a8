//! The budget row to which an organization that a fold creates refers. LiteLLM's organizations must have a budget, so
//! there is a single unlimited budget named `litellm_spend`.

use litellm_spend_core::litellm::tables::Role;
use pgrx::spi::SpiClient;

use crate::error::{Error, Result};
use crate::postgres::owner;
use crate::targets::Targets;

/// The budget's id as an SQL literal.
pub const UNLIMITED_ID_LITERAL: &str = "'litellm_spend'";

/// Creates the budget if it does not exist.
pub fn ensure(client: &mut SpiClient, targets: &Targets) -> Result<()> {
    let Some(table) = targets.get(Role::Budget).map(|target| &target.table) else {
        return Err(Error::held(
            "an organization cannot be created without the table \"LiteLLM_BudgetTable\"",
            "Run LiteLLM's migrations, or remove organization from litellm_spend.create_missing.",
        ));
    };
    let insert = format!(
        "INSERT INTO {} (budget_id, created_by, updated_by)
         SELECT {UNLIMITED_ID_LITERAL}, 'litellm_spend', 'litellm_spend'
         WHERE NOT EXISTS (SELECT FROM {} WHERE budget_id = {UNLIMITED_ID_LITERAL})
         ON CONFLICT DO NOTHING",
        table.name, table.name
    );
    owner::act_as(client, table.owner, |client| {
        client.update(&insert, None, &[])?;
        Ok(())
    })
}
