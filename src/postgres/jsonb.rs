//! jsonb in and out of Postgres as its binary form; the only file that touches a jsonb datum but `fold::rows`, which copies
//! containers. The form
//! itself is read and written in `litellm_spend_core::jsonb`.

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
    /// A jsonb that holds just this container.
    pub fn from_container(container: &[u8]) -> Self {
        Jsonb(container.to_vec())
    }

    /// The jsonb of a document; `None` for what jsonb cannot hold.
    pub fn from_json(json: &Json) -> Option<Self> {
        jsonb_format::write(json).map(Jsonb)
    }

    /// What stands for a damaged jsonb, as which it is refused.
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
        // SAFETY: the caller says that this is a jsonb datum.
        unsafe { Toasted::from_polymorphic_datum(datum, is_null, oid) }.map(|toasted| toasted.detoast().to_jsonb())
    }
}

/// A jsonb as Postgres passes it, perhaps compressed or out of line. It stays readable as long as the memory in which
/// it was passed: that of a call for an argument, of a result for its rows.
pub struct Toasted(*mut pg_sys::varlena);

impl Toasted {
    /// Bytes of its container, which are read from where they are noted, and not from the container.
    pub fn bytes(&self) -> usize {
        // SAFETY: a varlena, by the way in which it was made. Only its header or its TOAST pointer is read.
        let with_header = unsafe { pg_sys::toast_raw_datum_size(self.0.into()) };
        with_header.saturating_sub(VARLENA_HEADER)
    }

    /// Brings its container into memory, of Postgres's own: where there is none left, that is an error and not the
    /// end of the process.
    pub fn detoast(&self) -> Detoasted {
        // SAFETY: a varlena, as above; detoasting yields one with a four-byte header.
        Detoasted { original: self.0, detoasted: unsafe { pg_sys::pg_detoast_datum(self.0) } }
    }
}

/// The container of a jsonb that was passed.
pub struct Detoasted {
    original: *mut pg_sys::varlena,
    detoasted: *mut pg_sys::varlena,
}

impl Detoasted {
    /// A copy that outlives what was passed. Raises an error where there is no memory for it.
    pub fn to_jsonb(&self) -> Jsonb {
        let mut copy = Vec::new();
        if copy.try_reserve_exact(self.len()).is_err() {
            ereport!(
                PgLogLevel::ERROR,
                PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY,
                "out of memory",
                format!("No room for a jsonb of {} bytes.", self.len())
            );
        }
        copy.extend_from_slice(self);
        Jsonb(copy)
    }
}

impl Deref for Detoasted {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: a detoasted varlena holds as many bytes as its header says, and lives as long as this.
        unsafe {
            let length = pgrx::varsize_any_exhdr(self.detoasted);
            std::slice::from_raw_parts(pgrx::vardata_any(self.detoasted).cast::<u8>(), length)
        }
    }
}

impl Drop for Detoasted {
    fn drop(&mut self) {
        if self.detoasted != self.original {
            // SAFETY: the copy that `detoast` got, which nothing else refers to.
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
unsafe impl<'fcx> ArgAbi<'fcx> for Toasted {
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

// SAFETY: as above.
unsafe impl SqlTranslatable for Toasted {
    const TYPE_IDENT: &'static str = pgrx_resolved_type!(Toasted);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal("jsonb"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Ok(ReturnsRef::One(SqlMappingRef::literal("jsonb")));
}
