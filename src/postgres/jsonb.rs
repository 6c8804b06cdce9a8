//! Passes jsonb into and out of Postgres in its binary form. Only this file and `batch_table`, which copies containers,
//! touch a jsonb datum. `litellm_spend_core::jsonb` reads and writes the binary form.

use std::ops::Deref;

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
    /// The jsonb that consists of this container.
    pub fn from_container(container: &[u8]) -> Self {
        Jsonb(container.to_vec())
    }

    /// The jsonb of a document; `None` if jsonb cannot hold the document.
    pub fn from_json(json: &Json) -> Option<Self> {
        jsonb_format::write(json).map(Jsonb)
    }

    /// A placeholder for a damaged jsonb. It is refused as damaged.
    pub fn unreadable() -> Self {
        Jsonb(Vec::new())
    }

    /// The container's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl FromDatum for Jsonb {
    unsafe fn from_polymorphic_datum(datum: pg_sys::Datum, is_null: bool, oid: pg_sys::Oid) -> Option<Self> {
        // SAFETY: the caller guarantees that this is a jsonb datum.
        unsafe { Toasted::from_polymorphic_datum(datum, is_null, oid) }.map(|toasted| toasted.detoast().to_jsonb())
    }
}

/// A jsonb as Postgres passes it, perhaps compressed or out of line. It stays readable as long as its memory lives: an
/// argument until the call ends, a value of a row until the result is freed.
pub struct Toasted(*mut pg_sys::varlena);

impl Toasted {
    /// The size of the container in bytes, read from the header or the TOAST pointer without reading the container.
    pub fn bytes(&self) -> usize {
        // SAFETY: the pointer comes from a jsonb datum, which is a varlena. Only its header or TOAST pointer is read.
        let with_header = unsafe { pg_sys::toast_raw_datum_size(self.0.into()) };
        with_header.saturating_sub(VARLENA_HEADER)
    }

    /// Brings the container into memory of Postgres. If there is no memory left, Postgres raises an error, and the
    /// process does not end.
    pub fn detoast(&self) -> Detoasted {
        // SAFETY: the pointer comes from a jsonb datum, which is a varlena. Postgres returns a detoasted varlena.
        Detoasted { original: self.0, detoasted: unsafe { pg_sys::pg_detoast_datum(self.0) } }
    }
}

/// The detoasted container of a jsonb that Postgres passed.
pub struct Detoasted {
    original: *mut pg_sys::varlena,
    detoasted: *mut pg_sys::varlena,
}

impl Detoasted {
    /// A copy that outlives the datum. Raises an error if there is no memory for the copy.
    pub fn to_jsonb(&self) -> Jsonb {
        let mut copy = Vec::new();
        if copy.try_reserve_exact(self.len()).is_err() {
            ereport!(
                PgLogLevel::ERROR,
                PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY,
                "out of memory",
                format!("There is no memory for a jsonb of {} bytes.", self.len())
            );
        }
        copy.extend_from_slice(self);
        Jsonb(copy)
    }
}

impl Deref for Detoasted {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: a detoasted varlena holds as many bytes as its header says, and it lives as long as `self`.
        unsafe {
            let length = pgrx::varsize_any_exhdr(self.detoasted);
            std::slice::from_raw_parts(pgrx::vardata_any(self.detoasted).cast::<u8>(), length)
        }
    }
}

impl Drop for Detoasted {
    fn drop(&mut self) {
        if self.detoasted != self.original {
            // SAFETY: this is the copy that `detoast` got, and nothing else refers to it.
            unsafe { pg_sys::pfree(self.detoasted.cast()) };
        }
    }
}

impl FromDatum for Toasted {
    unsafe fn from_polymorphic_datum(datum: pg_sys::Datum, is_null: bool, _: pg_sys::Oid) -> Option<Self> {
        (!is_null).then(|| Toasted(datum.cast_mut_ptr()))
    }
}

impl IntoDatum for Toasted {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        Some(self.0.into())
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::JSONBOID
    }
}

/// The datum of a jsonb with this container, allocated in the current memory context.
pub fn datum(container: &[u8]) -> pg_sys::Datum {
    let total = container.len() + VARLENA_HEADER;
    // SAFETY: palloc returns `total` writable bytes, or raises an error, also if the size is too large for a varlena.
    // The header and the contents fill these bytes.
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

// SAFETY: the argument is declared as jsonb below, so Postgres passes a jsonb datum.
unsafe impl<'fcx> ArgAbi<'fcx> for Toasted {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        // SAFETY: pgrx calls this with a non-null argument of the declared type.
        unsafe { arg.unbox_arg_using_from_datum() }.unwrap_or_else(|| error!("jsonb argument is null"))
    }
}

// SAFETY: the function is declared below to return jsonb, and `IntoDatum` creates a jsonb.
unsafe impl BoxRet for Jsonb {
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> pgrx::datum::Datum<'fcx> {
        match self.into_datum() {
            // SAFETY: the datum has the declared type.
            Some(datum) => unsafe { fcinfo.return_raw_datum(datum) },
            None => fcinfo.return_null(),
        }
    }
}

// SAFETY: the SQL type named here is the type that `FromDatum` reads.
unsafe impl SqlTranslatable for Jsonb {
    const TYPE_IDENT: &'static str = pgrx_resolved_type!(Jsonb);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal("jsonb"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Ok(ReturnsRef::One(SqlMappingRef::literal("jsonb")));
}

// SAFETY: the SQL type named here is the type that `FromDatum` reads.
unsafe impl SqlTranslatable for Toasted {
    const TYPE_IDENT: &'static str = pgrx_resolved_type!(Toasted);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal("jsonb"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Ok(ReturnsRef::One(SqlMappingRef::literal("jsonb")));
}
