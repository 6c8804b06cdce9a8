//! Rows that one statement reads from a table called `batch`. Only this statement can see the table. It is a tuplestore
//! with a name, like the transition tables of triggers. Each value is written once, in the type of its column.

use std::ffi::{CStr, CString};

use pgrx::datum::{Timestamp, Uuid};
use pgrx::prelude::*;
use pgrx::spi::SpiTupleTable;

use super::plans;
use crate::error::Result;

/// The name of the table of rows in the statement.
const NAME: &CStr = c"batch";
/// Rows beyond this size go to disk.
const MOST_KB: i32 = 65_536;
const VARLENA_HEADER: usize = 4;

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Text,
    Count,
    Code,
    Dollars,
    Time,
    Uuid,
    /// jsonb.
    Document,
}

impl Type {
    fn oid(self) -> pg_sys::Oid {
        match self {
            Type::Text => pg_sys::TEXTOID,
            Type::Count => pg_sys::INT8OID,
            Type::Code => pg_sys::INT4OID,
            Type::Dollars => pg_sys::FLOAT8OID,
            Type::Time => pg_sys::TIMESTAMPOID,
            Type::Uuid => pg_sys::UUIDOID,
            Type::Document => pg_sys::JSONBOID,
        }
    }
}

/// A value of the column's type.
#[derive(Debug, Clone)]
pub enum Value<'v> {
    Null,
    Text(&'v str),
    Count(i64),
    Code(i32),
    Dollars(f64),
    Time(Timestamp),
    Uuid(Uuid),
    /// The container of a jsonb.
    Document(&'v [u8]),
}

impl<'v> From<Option<&'v str>> for Value<'v> {
    fn from(text: Option<&'v str>) -> Self {
        text.map_or(Value::Null, Value::Text)
    }
}

/// The rows of one statement, while they are written.
pub struct Rows {
    columns: usize,
    descriptor: pg_sys::TupleDesc,
    store: *mut pg_sys::Tuplestorestate,
    count: usize,
    datums: Vec<pg_sys::Datum>,
    nulls: Vec<bool>,
    /// The varlenas of one row. The elements are u64, so that each varlena is aligned.
    varlenas: Vec<u64>,
}

/// Runs `statement`, which reads the rows that `fill` writes, and passes its result to `read`. The memory of the rows
/// and of the result is freed at the end.
pub fn run<R>(
    statement: &str,
    columns: &[(&str, Type)],
    fill: impl FnOnce(&mut Rows),
    read: impl FnOnce(SpiTupleTable) -> Result<R>,
) -> Result<R> {
    // This SPI connection is used for nothing else. Its end frees the rows, their name and the result.
    Spi::connect_mut(|client| {
        let mut rows = Rows::new(columns);
        fill(&mut rows);
        let store = rows.register()?;
        let types = columns.iter().map(|(_, of)| of.oid()).collect();
        let result = plans::run_with_rows(client, statement, types, &[]).and_then(read);
        // SAFETY: the statement that read the rows has ended, so nothing uses the store any more. If it raised an
        // error, the end of the transaction closes the file of rows that did not fit into memory.
        unsafe { pg_sys::tuplestore_end(store) };
        result
    })
}

/// Runs `statement`, which reads the rows that `fill` writes and returns nothing.
pub fn write(statement: &str, columns: &[(&str, Type)], fill: impl FnOnce(&mut Rows)) -> Result<()> {
    run(statement, columns, fill, |_| Ok(()))
}

impl Rows {
    fn new(columns: &[(&str, Type)]) -> Self {
        let count = i32::try_from(columns.len()).unwrap_or(i32::MAX);
        // SAFETY: both are allocated in the current memory context, which is the SPI connection's.
        let (descriptor, store) =
            unsafe { (pg_sys::CreateTemplateTupleDesc(count), pg_sys::tuplestore_begin_heap(false, false, MOST_KB)) };
        for (number, (name, of)) in (1..).zip(columns) {
            // No column name contains a zero byte.
            let name = CString::new(*name).unwrap_or_default();
            // SAFETY: the descriptor has a column of this number, and it copies the name.
            unsafe { pg_sys::TupleDescInitEntry(descriptor, number, name.as_ptr(), of.oid(), -1, 0) };
        }
        Rows {
            columns: columns.len(),
            descriptor,
            store,
            count: 0,
            datums: Vec::new(),
            nulls: Vec::new(),
            varlenas: Vec::new(),
        }
    }

    /// Adds a row. `values` has one value of the right type for each column.
    pub fn push(&mut self, values: &[Value]) {
        debug_assert_eq!(values.len(), self.columns);
        self.datums.clear();
        self.nulls.clear();
        self.varlenas.clear();
        self.varlenas.resize(values.iter().map(words).sum(), 0);
        let mut free = self.varlenas.as_mut_slice();
        for value in values {
            self.nulls.push(matches!(value, Value::Null));
            let (mine, rest) = free.split_at_mut(words(value));
            free = rest;
            self.datums.push(datum(value, mine));
        }
        // The pointers are mutable because the signature before Postgres 18 requires it.
        // SAFETY: there is one value of the right type for each column of the descriptor. Postgres copies the values.
        unsafe {
            pg_sys::tuplestore_putvalues(
                self.store,
                self.descriptor,
                self.datums.as_mut_ptr(),
                self.nulls.as_mut_ptr(),
            );
        }
        self.count += 1;
    }

    /// Registers the rows under their name, and returns their store.
    fn register(self) -> Result<*mut pg_sys::Tuplestorestate> {
        // SAFETY: name, descriptor and store live as long as the SPI connection uses them. The name is static. The
        // descriptor, the store and the relation are in the connection's memory.
        let registered = unsafe {
            let relation: *mut pg_sys::EphemeralNamedRelationData =
                pg_sys::palloc0(size_of::<pg_sys::EphemeralNamedRelationData>()).cast();
            (*relation).md.name = NAME.as_ptr().cast_mut();
            (*relation).md.reliddesc = pg_sys::InvalidOid;
            (*relation).md.tupdesc = self.descriptor;
            (*relation).md.enrtype = pg_sys::EphemeralNameRelationType::ENR_NAMED_TUPLESTORE;
            (*relation).md.enrtuples = self.count as f64;
            (*relation).reldata = self.store.cast();
            pg_sys::SPI_register_relation(relation)
        };
        Spi::check_status(registered)?;
        Ok(self.store)
    }
}

/// The number of words that the varlena of a value takes.
fn words(value: &Value) -> usize {
    let contents = match value {
        Value::Text(text) => text.len(),
        Value::Document(container) => container.len(),
        _ => return 0,
    };
    (VARLENA_HEADER + contents).div_ceil(size_of::<u64>())
}

/// The datum of a value. If the value is a varlena, it is written to `words`.
fn datum(value: &Value, words: &mut [u64]) -> pg_sys::Datum {
    match value {
        Value::Null => pg_sys::Datum::from(0),
        Value::Text(text) => varlena(text.as_bytes(), words),
        Value::Document(container) => varlena(container, words),
        Value::Count(count) => pg_sys::Datum::from(*count),
        Value::Code(code) => pg_sys::Datum::from(*code),
        Value::Dollars(dollars) => pg_sys::Datum::from(dollars.to_bits()),
        Value::Time(time) => pg_sys::Datum::from(pg_sys::Timestamp::from(*time)),
        Value::Uuid(uuid) => pg_sys::Datum::from(uuid.as_bytes().as_ptr()),
    }
}

fn varlena(contents: &[u8], words: &mut [u64]) -> pg_sys::Datum {
    let start: *mut u8 = words.as_mut_ptr().cast();
    // SAFETY: `words` has room for header and contents.
    unsafe {
        pgrx::set_varsize_4b(start.cast(), (VARLENA_HEADER + contents.len()) as i32);
        std::ptr::copy_nonoverlapping(contents.as_ptr(), start.add(VARLENA_HEADER), contents.len());
    }
    pg_sys::Datum::from(start)
}
