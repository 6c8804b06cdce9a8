//! jsonb in and out of Postgres as its binary form; the only file that touches a jsonb datum but `fold::rows`, which copies
//! containers. The form
//! itself is read and written in `litellm_spend_core::jsonb`.

use litellm_spend_core::json::Json;
use litellm_spend_core::jsonb as jsonb_format;
use pgrx::callconv::{Arg, ArgAbi, BoxRet, FcInfo};
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};
use pgrx::prelude::*;
use pgrx::{pg_sys, pgrx_resolved_type};

const VARLENA_HEADER: usize = 4;

/// A detoasted jsonb without its varlena header.
#[derive(Debug)]
pub struct Jsonb(Vec<u8>);

impl Jsonb {
    /// A jsonb that holds just this container.
    pub fn from_container(container: &[u8]) -> Self {
        Jsonb(container.to_vec())
    }

    /// The jsonb of a document; `None` for what jsonb cannot hold.
    pub fn from_json(json: &Json) -> Option<Self> {
        jsonb_format::write(json).map(Jsonb)
    }

    /// The container's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl FromDatum for Jsonb {
    unsafe fn from_polymorphic_datum(datum: pg_sys::Datum, is_null: bool, _: pg_sys::Oid) -> Option<Self> {
        if is_null {
            return None;
        }
        // SAFETY: the caller says that this is a jsonb datum; detoasting yields a varlena with a
        // four-byte header and as many bytes as it says, which are copied before anything frees it.
        unsafe {
            let original: *mut pg_sys::varlena = datum.cast_mut_ptr();
            let detoasted = pg_sys::pg_detoast_datum(original);
            let length = pgrx::varsize_any_exhdr(detoasted);
            let bytes = std::slice::from_raw_parts(pgrx::vardata_any(detoasted).cast::<u8>(), length).to_vec();
            if detoasted != original {
                pg_sys::pfree(detoasted.cast());
            }
            Some(Jsonb(bytes))
        }
    }
}

/// A jsonb of this container, in the current memory context.
pub fn datum(container: &[u8]) -> pg_sys::Datum {
    let total = container.len() + VARLENA_HEADER;
    // SAFETY: palloc returns `total` writable bytes or raises, also where a varlena cannot be so large; header
    // and contents fill them.
    unsafe {
        let varlena: *mut pg_sys::varlena = pg_sys::palloc(total).cast();
        pgrx::set_varsize_4b(varlena, total as i32);
        let contents = varlena.cast::<u8>().add(VARLENA_HEADER);
        std::ptr::copy_nonoverlapping(container.as_ptr(), contents, container.len());
        varlena.into()
    }
}

impl IntoDatum for Jsonb {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        Some(datum(&self.0))
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::JSONBOID
    }
}

// SAFETY: the argument is declared as jsonb below, so the datum that arrives is one.
unsafe impl<'fcx> ArgAbi<'fcx> for Jsonb {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        // SAFETY: pgrx calls this with a non-null argument of the declared type.
        unsafe { arg.unbox_arg_using_from_datum() }.unwrap_or_else(|| error!("jsonb argument is null"))
    }
}

// SAFETY: the datum returned is the jsonb that `IntoDatum` makes, as declared below.
unsafe impl BoxRet for Jsonb {
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> pgrx::datum::Datum<'fcx> {
        match self.into_datum() {
            // SAFETY: the datum is of the declared type.
            Some(datum) => unsafe { fcinfo.return_raw_datum(datum) },
            None => fcinfo.return_null(),
        }
    }
}

// SAFETY: the SQL type named here is the one that `FromDatum` reads.
unsafe impl SqlTranslatable for Jsonb {
    const TYPE_IDENT: &'static str = pgrx_resolved_type!(Jsonb);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal("jsonb"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Ok(ReturnsRef::One(SqlMappingRef::literal("jsonb")));
}
