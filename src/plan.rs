//! Plans that live as long as the session: a statement that runs for each record is planned once.

use std::cell::OnceCell;
use std::mem::ManuallyDrop;

use pgrx::spi::OwnedPreparedStatement;

use crate::error::Result;

/// A plan made at its first use. Freeing it at exit would call into SPI after Postgres has shut it down,
/// so it is never dropped.
pub struct KeptPlan(OnceCell<ManuallyDrop<OwnedPreparedStatement>>);

impl KeptPlan {
    pub const fn new() -> Self {
        KeptPlan(OnceCell::new())
    }

    /// The plan; `prepare` makes it the first time.
    pub fn get(&self, prepare: impl FnOnce() -> Result<OwnedPreparedStatement>) -> Result<&OwnedPreparedStatement> {
        if let Some(plan) = self.0.get() {
            return Ok(plan);
        }
        let plan = prepare()?;
        Ok(self.0.get_or_init(|| ManuallyDrop::new(plan)))
    }
}
