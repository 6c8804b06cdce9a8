//! The plans of statements that run often. The plans live as long as the session. A worker folds several times a
//! second, and planning its statements would cost more than running them. If a change of a table invalidates a plan,
//! Postgres plans the statement again by itself.

use std::cell::RefCell;
use std::collections::HashMap;
use std::mem::ManuallyDrop;
use std::rc::Rc;

use pgrx::datum::DatumWithOid;
use pgrx::pg_sys::{self, PgOid};
use pgrx::spi::{OwnedPreparedStatement, SpiClient, SpiTupleTable};

use crate::error::Result;

/// When this many plans are kept, all are forgotten, because each new shape of a table leaves old plans behind.
const MOST_KEPT: usize = 300;

/// A plan. Only `free` drops it, because SPI is gone at the end of the process.
struct Plan(ManuallyDrop<OwnedPreparedStatement>);

thread_local! {
    /// The plans by statement and by the types of the rows that the statement reads (`batch_table`), if it reads any.
    static PLANS: RefCell<HashMap<(String, Vec<pg_sys::Oid>), Rc<Plan>>> = RefCell::new(HashMap::new());
}

/// Runs a statement by its plan. The first run plans the statement.
pub fn run<'c>(client: &mut SpiClient<'c>, statement: &str, arguments: &[DatumWithOid]) -> Result<SpiTupleTable<'c>> {
    run_with_rows(client, statement, Vec::new(), arguments)
}

/// Runs, by its plan, a statement that reads rows of the session. `types` are the types of the rows' columns.
pub fn run_with_rows<'c>(
    client: &mut SpiClient<'c>,
    statement: &str,
    types: Vec<pg_sys::Oid>,
    arguments: &[DatumWithOid],
) -> Result<SpiTupleTable<'c>> {
    let key = (statement.to_owned(), types);
    let kept = PLANS.with_borrow(|plans| plans.get(&key).cloned());
    let plan = match kept {
        Some(plan) => plan,
        None => {
            let of_arguments: Vec<PgOid> = arguments.iter().map(|argument| argument.oid().into()).collect();
            let plan = client.prepare_mut(statement, &of_arguments)?.keep();
            keep(key, Rc::new(Plan(ManuallyDrop::new(plan))))
        }
    };
    Ok(client.update(&*plan.0, None, arguments)?)
}

fn keep(key: (String, Vec<pg_sys::Oid>), plan: Rc<Plan>) -> Rc<Plan> {
    let forgotten = PLANS.with_borrow_mut(|plans| {
        let forgotten = if plans.len() >= MOST_KEPT { std::mem::take(plans) } else { HashMap::new() };
        plans.insert(key, plan.clone());
        forgotten
    });
    // A plan that is running has another owner. It is not freed here.
    forgotten.into_values().filter_map(Rc::into_inner).for_each(Plan::free);
    plan
}

impl Plan {
    fn free(self) {
        drop(ManuallyDrop::into_inner(self.0));
    }
}
