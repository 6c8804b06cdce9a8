//! Writes to a target with the power of that table's owner and no more (invariant 10): whatever its
//! triggers, defaults and constraints run, they run as that role in a security-restricted context.

use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use crate::error::Result;

/// Runs `body` as `owner`. Deferred constraint triggers fire before the role is left: at commit, before
/// Postgres 18, they would run as the session's role. An error restores the role as it aborts the
/// transaction.
pub fn act_as<R>(
    client: &mut SpiClient,
    owner: pg_sys::Oid,
    body: impl FnOnce(&mut SpiClient) -> Result<R>,
) -> Result<R> {
    let (mut user, mut context) = (pg_sys::InvalidOid, 0);
    // SAFETY: saves and sets this session's role, as any SECURITY DEFINER call does.
    unsafe {
        pg_sys::GetUserIdAndSecContext(&mut user, &mut context);
        pg_sys::SetUserIdAndSecContext(owner, context | pg_sys::SECURITY_RESTRICTED_OPERATION as i32);
    }
    let result = body(client).and_then(|result| {
        client.update("SET CONSTRAINTS ALL IMMEDIATE", None, &[])?;
        Ok(result)
    });
    // SAFETY: restores what was saved above.
    unsafe { pg_sys::SetUserIdAndSecContext(user, context) };
    result
}
