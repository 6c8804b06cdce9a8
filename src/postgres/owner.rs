//! Writes to a target with the power of that table's owner and no more (invariant 10): whatever its
//! triggers, defaults and constraints run, they run as that role in a security-restricted context.

use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use crate::error::Result;

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

/// Whether a role may read a relation, which is locked.
pub fn may_select(role: pg_sys::Oid, relation: pg_sys::Oid) -> bool {
    // SAFETY: looks up the privileges of a relation that is locked.
    let outcome = unsafe { pg_sys::pg_class_aclcheck(relation, role, pg_sys::ACL_SELECT.into()) };
    outcome == pg_sys::AclResult::ACLCHECK_OK
}

/// Whether `role` has all rights of `other`.
pub fn has_rights_of(role: pg_sys::Oid, other: pg_sys::Oid) -> bool {
    // SAFETY: looks up the memberships of a role.
    unsafe { pg_sys::has_privs_of_role(role, other) }
}
