//! The board's memory, which all processes of the server share, and the one lock on it. No other module
//! reaches that memory.

use std::cell::Cell;
use std::ffi::CStr;

use pgrx::pg_sys;
use pgrx::prelude::*;

use super::slot::{ErrorText, Slot};
use crate::settings;

const TRANCHE: &CStr = c"litellm_spend_board";
/// What Postgres may add to each piece of shared memory to align it.
const ALIGNMENT: usize = 256;

/// What concerns no single database.
#[derive(Default)]
pub struct Notes {
    pub launcher_pid: i32,
    /// When the memory was made.
    pub made_at: pg_sys::TimestampTz,
    /// A database found no slot: the launcher is to visit all of them.
    pub crowded: bool,
    /// For how many databases the launcher looks for a slot.
    pub unvisited: usize,
    /// When the launcher is to visit all databases, because one lost its slot and with it a later visit; 0 for
    /// never.
    pub revisit_at: pg_sys::TimestampTz,
    /// How many workers are to end, because databases wait for a process or a slot.
    pub turns_wanted: u32,
}

/// The board while this process holds its lock exclusively. `errors` has one place for each slot, apart from
/// the slots so that a search through them stays short.
pub struct Board<'a> {
    pub notes: &'a mut Notes,
    pub slots: &'a mut [Slot],
    pub errors: &'a mut [ErrorText],
}

/// The board while this process shares its lock.
pub struct View<'a> {
    pub notes: &'a Notes,
    pub slots: &'a [Slot],
    pub errors: &'a [ErrorText],
}

/// Where the board is; the same in every process.
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
    /// Set in the postmaster and inherited by every process that it forks.
    static MEMORY: Cell<Option<Memory>> = const { Cell::new(None) };
    /// What other libraries have put into `shmem_request_hook` and `shmem_startup_hook`.
    static OF_OTHERS: Cell<(Hook, Hook)> = const { Cell::new((None, None)) };
}

/// Has the memory set up when the server starts; called while it preloads libraries.
pub fn reserve() {
    // SAFETY: the hooks are this process's own, and nobody else runs while libraries are preloaded.
    unsafe {
        OF_OTHERS.set((pg_sys::shmem_request_hook, pg_sys::shmem_startup_hook));
        pg_sys::shmem_request_hook = Some(request);
        pg_sys::shmem_startup_hook = Some(set_up);
    }
}

/// Whether there is a board, which is to say whether the library was preloaded.
pub fn is_available() -> bool {
    MEMORY.get().is_some()
}

/// Runs `body` on the board that nobody else reads or changes meanwhile. `body` must not call what may raise
/// an error of Postgres.
pub fn write<R>(body: impl FnOnce(&mut Board<'_>) -> R) -> R {
    let memory = memory();
    let _held = Held::acquire(memory.lock, pg_sys::LWLockMode::LW_EXCLUSIVE);
    // SAFETY: the pointers are those of `set_up`, to values that it has initialised, and the lock keeps all
    // other processes away until `body` has returned.
    body(&mut unsafe {
        Board {
            notes: &mut *memory.notes,
            slots: std::slice::from_raw_parts_mut(memory.slots, memory.databases),
            errors: std::slice::from_raw_parts_mut(memory.errors, memory.databases),
        }
    })
}

/// Runs `body` on the board that nobody changes meanwhile; as careful as for `write`.
pub fn read<R>(body: impl FnOnce(&View<'_>) -> R) -> R {
    let memory = memory();
    let _held = Held::acquire(memory.lock, pg_sys::LWLockMode::LW_SHARED);
    // SAFETY: as in `write`; the lock keeps away whoever would change something.
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

/// The lock, held until this is dropped.
struct Held(*mut pg_sys::LWLock);

impl Held {
    fn acquire(lock: *mut pg_sys::LWLock, mode: pg_sys::LWLockMode::Type) -> Self {
        // SAFETY: the lock is in shared memory for as long as the server runs.
        unsafe { pg_sys::LWLockAcquire(lock, mode) };
        Held(lock)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: acquired by this process. After an error of Postgres, which resets the count, all locks are
        // released by whoever handles it.
        unsafe {
            if pg_sys::InterruptHoldoffCount > 0 {
                pg_sys::LWLockRelease(self.0);
            }
        }
    }
}

/// Called by the postmaster once all libraries are loaded.
#[pg_guard]
unsafe extern "C-unwind" fn request() {
    let databases = settings::max_databases();
    let bytes = size_of::<Notes>() + databases * (size_of::<Slot>() + size_of::<ErrorText>());
    // SAFETY: the hook of another library, and requests at the time for them.
    unsafe {
        if let Some(other) = OF_OTHERS.get().0 {
            pg_sys::submodules::ffi::pg_guard_ffi_boundary(|| other());
        }
        pg_sys::RequestAddinShmemSpace(bytes + 3 * ALIGNMENT);
        pg_sys::RequestNamedLWLockTranche(TRANCHE.as_ptr(), 1);
    }
}

/// Called by the postmaster when it has made the shared memory: at its start, and anew after a crash.
#[pg_guard]
unsafe extern "C-unwind" fn set_up() {
    let databases = settings::max_databases();
    // SAFETY: the hook of another library; then the pieces that `request` has asked for, at the time for them.
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

/// A piece of shared memory with so many values, all of them as at first.
///
/// # Safety
/// Called by the postmaster while no other process of the server runs, so without AddinShmemInitLock.
unsafe fn piece<T: Default>(name: &CStr, count: usize) -> *mut T {
    const { assert!(align_of::<T>() <= 8, "Postgres aligns shared memory to eight bytes at least") };
    let mut found = false;
    // SAFETY: the piece has room for `count` values, and nobody reads them before they are written.
    unsafe {
        let first = pg_sys::ShmemInitStruct(name.as_ptr(), count * size_of::<T>(), &raw mut found).cast::<T>();
        (0..count).for_each(|at| first.add(at).write(T::default()));
        first
    }
}
