//! The board's memory, which all processes of the server share, and its only lock. No other module accesses that
//! memory.

use std::cell::Cell;
use std::ffi::CStr;

use pgrx::pg_sys;
use pgrx::prelude::*;

use super::slot::{ErrorText, Slot};
use crate::settings;

const TRANCHE: &CStr = c"litellm_spend_board";
/// The most bytes that Postgres may add to each piece of shared memory to align it.
const ALIGNMENT: usize = 256;

/// Notes that do not belong to a single database.
#[derive(Default)]
pub struct Notes {
    pub launcher_pid: i32,
    /// When the memory was created.
    pub made_at: pg_sys::TimestampTz,
    /// A database found no slot, so the launcher must visit all databases.
    pub crowded: bool,
    /// How many databases the launcher needs slots for.
    pub unvisited: usize,
    /// When the launcher must visit all databases, because a database lost its slot and its later visit; 0 for never.
    pub revisit_at: pg_sys::TimestampTz,
    /// How many workers must end, because databases wait for a process or a slot.
    pub turns_wanted: u32,
}

/// The board while this process holds its lock exclusively. `errors` has one entry for each slot. The errors are apart
/// from the slots, so a search through the slots stays short.
pub struct Board<'a> {
    pub notes: &'a mut Notes,
    pub slots: &'a mut [Slot],
    pub errors: &'a mut [ErrorText],
}

/// The board while this process holds its lock in shared mode.
pub struct View<'a> {
    pub notes: &'a Notes,
    pub slots: &'a [Slot],
    pub errors: &'a [ErrorText],
}

/// The addresses of the board, which are the same in every process.
#[derive(Clone, Copy)]
struct Memory {
    lock: *mut pg_sys::LWLock,
    notes: *mut Notes,
    slots: *mut Slot,
    errors: *mut ErrorText,
    databases: usize,
}

type Hook = Option<unsafe extern "C-unwind" fn()>;

thread_local! {
    /// The postmaster sets this, and every process that it forks inherits it.
    static MEMORY: Cell<Option<Memory>> = const { Cell::new(None) };
    /// The hooks that other libraries put into `shmem_request_hook` and `shmem_startup_hook`.
    static OF_OTHERS: Cell<(Hook, Hook)> = const { Cell::new((None, None)) };
}

/// Installs the hooks that set up the memory when the server starts. Called while the server preloads libraries.
pub fn reserve() {
    // SAFETY: the postmaster preloads libraries alone in one thread, so nothing else reads or writes the hook variables
    // now.
    unsafe {
        OF_OTHERS.set((pg_sys::shmem_request_hook, pg_sys::shmem_startup_hook));
        pg_sys::shmem_request_hook = Some(request);
        pg_sys::shmem_startup_hook = Some(set_up);
    }
}

/// Whether there is a board. There is one exactly if the library was preloaded.
pub fn is_available() -> bool {
    MEMORY.get().is_some()
}

/// Runs `body` on the board while no other process reads or changes it. `body` must not call anything that can raise a
/// Postgres error.
pub fn write<R>(body: impl FnOnce(&mut Board<'_>) -> R) -> R {
    let memory = memory();
    let _held = Held::acquire(memory.lock, pg_sys::LWLockMode::LW_EXCLUSIVE);
    // SAFETY: `set_up` stored these pointers and initialised the values behind them. The exclusive lock keeps all other
    // processes away until `body` has returned.
    body(&mut unsafe {
        Board {
            notes: &mut *memory.notes,
            slots: std::slice::from_raw_parts_mut(memory.slots, memory.databases),
            errors: std::slice::from_raw_parts_mut(memory.errors, memory.databases),
        }
    })
}

/// Runs `body` on the board while no process changes it. `body` must not call anything that can raise a Postgres error.
pub fn read<R>(body: impl FnOnce(&View<'_>) -> R) -> R {
    let memory = memory();
    let _held = Held::acquire(memory.lock, pg_sys::LWLockMode::LW_SHARED);
    // SAFETY: `set_up` stored these pointers and initialised the values behind them. While this process holds the
    // shared lock, no process changes the values.
    body(&unsafe {
        View {
            notes: &*memory.notes,
            slots: std::slice::from_raw_parts(memory.slots, memory.databases),
            errors: std::slice::from_raw_parts(memory.errors, memory.databases),
        }
    })
}

#[allow(clippy::expect_used)]
fn memory() -> Memory {
    MEMORY.get().expect("every caller asks is_available() first, or is a process that only a preloaded library starts")
}

/// The board's lock, held until this value is dropped.
struct Held(*mut pg_sys::LWLock);

impl Held {
    fn acquire(lock: *mut pg_sys::LWLock, mode: pg_sys::LWLockMode::Type) -> Self {
        // SAFETY: the pointer is valid, because the lock stays in shared memory as long as the server runs.
        unsafe { pg_sys::LWLockAcquire(lock, mode) };
        Held(lock)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: this process acquired the lock. An error of Postgres resets InterruptHoldoffCount, and its handler
        // releases all locks, so the lock is released here only if the count is above zero.
        unsafe {
            if pg_sys::InterruptHoldoffCount > 0 {
                pg_sys::LWLockRelease(self.0);
            }
        }
    }
}

/// Requests the shared memory and the lock. The postmaster calls this once all libraries are loaded.
#[pg_guard]
unsafe extern "C-unwind" fn request() {
    let databases = settings::max_databases();
    let bytes = size_of::<Notes>() + databases * (size_of::<Slot>() + size_of::<ErrorText>());
    // SAFETY: the stored hook belongs to another library and is called as Postgres would call it. Both requests are
    // allowed here, because Postgres accepts them in this hook.
    unsafe {
        if let Some(other) = OF_OTHERS.get().0 {
            pg_sys::submodules::ffi::pg_guard_ffi_boundary(|| other());
        }
        pg_sys::RequestAddinShmemSpace(bytes + 3 * ALIGNMENT);
        pg_sys::RequestNamedLWLockTranche(TRANCHE.as_ptr(), 1);
    }
}

/// Creates the board in shared memory. The postmaster calls this once it has created the shared memory: at its start,
/// and again after a crash.
#[pg_guard]
unsafe extern "C-unwind" fn set_up() {
    let databases = settings::max_databases();
    // SAFETY: the stored hook belongs to another library and is called as Postgres would call it. `request` asked for
    // these pieces and this lock, and Postgres hands them out in this hook.
    unsafe {
        if let Some(other) = OF_OTHERS.get().1 {
            pg_sys::submodules::ffi::pg_guard_ffi_boundary(|| other());
        }
        let notes: *mut Notes = piece(c"litellm_spend notes", 1);
        (*notes).made_at = pg_sys::GetCurrentTimestamp();
        MEMORY.set(Some(Memory {
            lock: &raw mut (*pg_sys::GetNamedLWLockTranche(TRANCHE.as_ptr())).lock,
            notes,
            slots: piece(c"litellm_spend slots", databases),
            errors: piece(c"litellm_spend errors", databases),
            databases,
        }));
    }
}

/// A piece of shared memory with `count` values, each set to its default.
///
/// # Safety
/// The postmaster must call this while no other process of the server runs, because it does not take
/// AddinShmemInitLock.
unsafe fn piece<T: Default>(name: &CStr, count: usize) -> *mut T {
    const { assert!(align_of::<T>() <= 8, "Postgres aligns shared memory to eight bytes at least") };
    let mut found = false;
    // SAFETY: the piece has room for `count` values, and no process reads them before they are written.
    unsafe {
        let first = pg_sys::ShmemInitStruct(name.as_ptr(), count * size_of::<T>(), &raw mut found).cast::<T>();
        (0..count).for_each(|at| first.add(at).write(T::default()));
        first
    }
}
