//! Writes to a target with the power of that table's owner and no more (invariant 10): whatever its
//! triggers, defaults and constraints run, they run as that role in a security-restricted context.

use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use crate::error::{Error, Result};
use crate::targets::Table;

/// Runs `body` as `owner`. Deferred constraint triggers are made to fire at the statement that queues them:
/// at commit, before Postgres 18, they would run as the session's role, and a restricted context refuses
/// them. Settings that a trigger changed are restored before the role is left, for what the fold runs next
/// runs with the power of the worker. An error restores all of that as it aborts the transaction.
pub fn act_as<R>(
    client: &mut SpiClient,
    owner: pg_sys::Oid,
    body: impl FnOnce(&mut SpiClient) -> Result<R>,
) -> Result<R> {
    let (mut user, mut context) = (pg_sys::InvalidOid, 0);
    // SAFETY: saves and sets this session's role and opens a level of settings, as any SECURITY DEFINER
    // call does.
    let level = unsafe {
        pg_sys::GetUserIdAndSecContext(&mut user, &mut context);
        let level = pg_sys::NewGUCNestLevel();
        pg_sys::SetUserIdAndSecContext(owner, context | pg_sys::SECURITY_RESTRICTED_OPERATION as i32);
        level
    };
    let result =
        client.update("SET CONSTRAINTS ALL IMMEDIATE", None, &[]).map_err(Into::into).and_then(|_| body(client));
    // SAFETY: takes back the settings made at this level, then restores the role saved above.
    unsafe {
        pg_sys::AtEOXact_GUC(false, level);
        pg_sys::SetUserIdAndSecContext(user, context);
    }
    result
}

/// Checks that one statement may read both tables with the power of the first one's owner: that role may read the
/// second, and the second one's owner has that role's power anyway. A table brings code of its owner's with it, in its
/// columns' types or what Postgres evaluates to plan (an expression of an index), and whoever may create a table in
/// LiteLLM's schema may make one of a name that LiteLLM has not taken yet.
pub fn must_read(reader: &Table, table: &Table) -> Result<()> {
    // SAFETY: looks up the privileges of a table that is locked.
    let outcome = unsafe { pg_sys::pg_class_aclcheck(table.oid, reader.owner, pg_sys::ACL_SELECT.into()) };
    if outcome != pg_sys::AclResult::ACLCHECK_OK {
        return Err(Error::refused(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!("the owner of {} may not read {}", reader.name, table.name),
            "GRANT SELECT on it to the owner of the log, with whose power both are read.",
        ));
    }
    // SAFETY: looks up the memberships of a role.
    if !unsafe { pg_sys::has_privs_of_role(table.owner, reader.owner) } {
        return Err(Error::refused(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!("the owner of {} has not the rights of the owner of {}", table.name, reader.name),
            "Give both tables one owner, or GRANT the role of the log's owner to the other one: a table may bring code \
             of its owner's with it, which must not run with another role's rights.",
        ));
    }
    Ok(())
}
