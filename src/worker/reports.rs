//! What a worker tells of its folds: in the server log, and on the board for `litellm_spend.status` and `health()`.

use std::time::Duration;

use pgrx::prelude::*;

use super::board;
use crate::fold::isolate::held;
use crate::postgres::failure::Failure;

/// What the worker of one database has told.
pub struct Reports {
    database: pg_sys::Oid,
    /// What it has told of postponed records; at first, what a worker before it has told is unknown.
    told: Option<Option<String>>,
}

impl Reports {
    pub fn new(database: pg_sys::Oid) -> Self {
        Reports { database, told: None }
    }

    /// Tells that folds succeed again, if the last ones did not.
    pub fn tell_of_success(&mut self) {
        // The error may be that of a worker that was here before.
        if board::is_failing(self.database) && board::note_success(self.database) {
            log!("litellm_spend folds again");
            self.told = None;
        }
    }

    /// Tells what records were postponed for, which holds no others up.
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

    /// Tells why the fold is held; returns when to try again. The same failure is logged once, not at every try.
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
