//! The plans of statements that run again and again, which live as long as the session: a worker folds several
//! times a second, and to plan its statements would cost more than to run them. Postgres plans anew by itself
//! what a change of a table has made invalid.

use std::cell::RefCell;
use std::collections::HashMap;
use std::mem::ManuallyDrop;
use std::rc::Rc;

use pgrx::datum::DatumWithOid;
use pgrx::pg_sys::{self, PgOid};
use pgrx::spi::{OwnedPreparedStatement, SpiClient, SpiTupleTable};

use crate::error::Result;

/// From so many plans on all are forgotten: each new shape of a table leaves some behind.
const MOST_KEPT: usize = 300;

/// Never dropped but by `free`: at the end of the process SPI is gone.
struct Plan(ManuallyDrop<OwnedPreparedStatement>);

thread_local! {
    /// By statement and the types of the rows that it reads (`fold::rows`), if it reads some.
    static PLANS: RefCell<HashMap<(String, Vec<pg_sys::Oid>), Rc<Plan>>> = RefCell::new(HashMap::new());
}

/// Runs a statement by its plan, which is made the first time.
pub fn run<'c>(client: &mut SpiClient<'c>, statement: &str, arguments: &[DatumWithOid]) -> Result<SpiTupleTable<'c>> {
    run_with_rows(client, statement, Vec::new(), arguments)
}

/// The same of a statement that reads rows of the session whose columns are of these types.
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
    // One that is running at this moment has another owner, and is left alone.
    forgotten.into_values().filter_map(Rc::into_inner).for_each(Plan::free);
    plan
}

impl Plan {
    fn free(self) {
        drop(ManuallyDrop::into_inner(self.0));
    }
}
