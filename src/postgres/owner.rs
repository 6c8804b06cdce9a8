//! Writes to a target with the rights of the table's owner and no more (invariant 10). The table's triggers, defaults
//! and constraints run as that role in a security-restricted context.

use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use crate::error::Result;

/// Runs `body` as `owner`. Deferred constraint triggers fire at the statement that queues them. Before Postgres 18 they
/// would run at commit as the session's role, and a restricted context refuses them. Settings that a trigger changed
/// are restored before the role is left, because the fold then continues with the rights of the worker. An error aborts
/// the transaction, and that restores the role and the settings too.
pub fn act_as<R>(
    client: &mut SpiClient,
    owner: pg_sys::Oid,
    body: impl FnOnce(&mut SpiClient) -> Result<R>,
) -> Result<R> {
    let (mut user, mut context) = (pg_sys::InvalidOid, 0);
    // SAFETY: this saves and sets the session's role and opens a level of settings, as a call of a SECURITY DEFINER
    // function does.
    let level = unsafe {
        pg_sys::GetUserIdAndSecContext(&mut user, &mut context);
        let level = pg_sys::NewGUCNestLevel();
        pg_sys::SetUserIdAndSecContext(owner, context | pg_sys::SECURITY_RESTRICTED_OPERATION as i32);
        level
    };
    let result =
        client.update("SET CONSTRAINTS ALL IMMEDIATE", None, &[]).map_err(Into::into).and_then(|_| body(client));
    // SAFETY: this undoes the settings of the level opened above, then restores the role saved above.
    unsafe {
        pg_sys::AtEOXact_GUC(false, level);
        pg_sys::SetUserIdAndSecContext(user, context);
    }
    result
}

/// Whether a role may read a relation. The caller holds a lock on the relation.
pub fn may_select(role: pg_sys::Oid, relation: pg_sys::Oid) -> bool {
    // SAFETY: this looks up the privileges of a relation that is locked, so the relation exists.
    let outcome = unsafe { pg_sys::pg_class_aclcheck(relation, role, pg_sys::ACL_SELECT.into()) };
    outcome == pg_sys::AclResult::ACLCHECK_OK
}

/// Whether `role` has all rights of `other`.
pub fn has_rights_of(role: pg_sys::Oid, other: pg_sys::Oid) -> bool {
    // SAFETY: this looks up the memberships of a role.
    unsafe { pg_sys::has_privs_of_role(role, other) }
}
