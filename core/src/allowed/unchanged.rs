//! Recognises records that may be stored as they came and can be counted. It needs one walk over jsonb's binary form
//! and does not allocate. It knows only the plain case, which is that of most records. If it has a doubt, the record is
//! read, sanitised and decoded (`sanitise`, `SpendRecord::decode`), and that decides.

use std::borrow::Cow;

use super::fields::{Fields, InOrder, RECORD, Rule};
use super::url::without_secrets;
use crate::json::Json;
use crate::jsonb::{Child, DamagedJsonb, Kind, each_member};
use crate::litellm::api_key;
use crate::moment::Moment;

/// Whether sanitising would leave the record as it is and decoding it would succeed. False may also mean that this walk
/// cannot tell.
pub fn is_unchanged(container: &[u8], store_prompts: bool) -> bool {
    let mut walk = Walk { store_prompts, seen: Seen::default() };
    let mut rules = InOrder::new(RECORD);
    let walked = each_member(container, |key, value| walk.member(key, value, &mut rules, true));
    walked.is_ok() && walk.seen.is_countable()
}

/// Something that this walk cannot vouch for.
struct Doubt;

impl From<DamagedJsonb> for Doubt {
    fn from(_: DamagedJsonb) -> Self {
        Doubt
    }
}

/// Which of the required members the walk has seen.
#[derive(Default)]
struct Seen {
    id: bool,
    start: bool,
    cost: bool,
}

impl Seen {
    fn is_countable(&self) -> bool {
        self.id && self.start && self.cost
    }
}

struct Walk {
    store_prompts: bool,
    seen: Seen,
}

impl Walk {
    fn object(&mut self, value: Child, fields: Fields) -> Result<(), Doubt> {
        let mut rules = InOrder::new(fields);
        each_member(value.container()?, |key, value| self.member(key, value, &mut rules, false))
    }

    fn member(&mut self, key: Child, value: Child, rules: &mut InOrder, is_top: bool) -> Result<(), Doubt> {
        let key = key.text_bytes()?;
        let rule = rules.rule(key).ok_or(Doubt)?;
        let kind = value.kind()?;
        if kind == Kind::Null {
            return Ok(());
        }
        // A failure has more than one id and needs no cost, and its model may be a prompt.
        if key == b"status" && (kind != Kind::Str || value.text_bytes()? == b"failure") {
            return Err(Doubt);
        }
        if is_top {
            self.required(key, value)?;
        }
        let is_scalar = kind != Kind::Container;
        let fits = match rule {
            Rule::Any => true,
            Rule::Prompt => self.store_prompts,
            Rule::RequestBody => false,
            Rule::Scalar | Rule::Model | Rule::ModelGroup => is_scalar,
            Rule::Number => is_scalar && kind != Kind::Str,
            Rule::ApiKey => kind == Kind::Str && is_stored_form(value.text()?),
            Rule::Url => kind == Kind::Str && without_secrets(value.text()?).is_none(),
            Rule::Scalars => value.is_array_of_scalars()?,
            Rule::Members(fields) => return self.object(value, fields),
        };
        if fits && !value.may_hold_long_number()? { Ok(()) } else { Err(Doubt) }
    }

    /// Notes a member that a record must have, and checks its value.
    fn required(&mut self, key: &[u8], value: Child) -> Result<(), Doubt> {
        match key {
            b"request_id" | b"id" => {
                self.seen.id = true;
                let is_text = value.kind()? == Kind::Str && !value.text_bytes()?.is_empty();
                is_text.then_some(()).ok_or(Doubt)
            }
            b"startTime" => {
                self.seen.start = true;
                time(value)
            }
            b"endTime" | b"completionStartTime" => time(value),
            b"spend" | b"response_cost" => {
                self.seen.cost = true;
                // A cost far below the largest double.
                let is_plain = value.kind()? == Kind::Numeric && value.magnitude()?.weight < 50;
                is_plain.then_some(()).ok_or(Doubt)
            }
            _ => Ok(()),
        }
    }
}

fn is_stored_form(key: &str) -> bool {
    key.is_empty() || api_key::is_safe(key)
}

/// Checks a time: seconds after 1970 and before the year 9999, or text that can be read.
fn time(value: Child) -> Result<(), Doubt> {
    let is_moment = match value.kind()? {
        Kind::Numeric => {
            let seconds = value.magnitude()?;
            !seconds.is_negative && (seconds.weight < 2 || seconds.weight == 2 && seconds.first_digit < 2_500)
        }
        Kind::Str => Moment::from_json(&Json::Str(Cow::Borrowed(value.text()?))).is_ok(),
        _ => false,
    };
    is_moment.then_some(()).ok_or(Doubt)
}
