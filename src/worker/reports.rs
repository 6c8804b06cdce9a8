//! A worker's reports about its folds: in the server log, and on the board for `litellm_spend.status` and `health()`.

use std::time::Duration;

use pgrx::prelude::*;

use super::board;
use crate::fold::isolate::held;
use crate::postgres::failure::Failure;

/// What the worker of one database has already reported.
pub struct Reports {
    database: pg_sys::Oid,
    /// The last report about postponed records. `None` at first, because it is unknown what an earlier worker reported.
    told: Option<Option<String>>,
}

impl Reports {
    pub fn new(database: pg_sys::Oid) -> Self {
        Reports { database, told: None }
    }

    /// Reports that folds succeed again, if the last ones failed.
    pub fn tell_of_success(&mut self) {
        // The error may come from an earlier worker.
        if board::is_failing(self.database) && board::note_success(self.database) {
            log!("litellm_spend folds again");
            self.told = None;
        }
    }

    /// Reports why records were postponed. Postponed records do not hold up other records.
    pub fn tell_what_is_held(&mut self) {
        let held = held::description();
        if self.told.as_ref() == Some(&held) {
            return;
        }
        let text =
            held.as_ref().map(|held| format!("{held}; the records that need them are postponed (SQLSTATE 55P03)"));
        let is_news = board::note_postponed(self.database, text.as_deref());
        if let Some(text) = text.filter(|_| is_news) {
            log!("litellm_spend: {text}");
        }
        self.told = Some(held);
    }

    /// Reports why the fold is held, and returns when to try again. The same failure is logged once, not at every try.
    pub fn tell_of_failure(&mut self, failure: &Failure) -> Duration {
        let text = match &failure.hint {
            Some(hint) => format!("{} (SQLSTATE {}). {hint}", failure.message, failure.sqlstate),
            None => format!("{} (SQLSTATE {})", failure.message, failure.sqlstate),
        };
        let (retry_in, is_news) = board::note_failure(self.database, &text);
        self.told = None;
        if is_news {
            warning!("litellm_spend holds the fold and tries again: {text}");
        }
        retry_in
    }
}
