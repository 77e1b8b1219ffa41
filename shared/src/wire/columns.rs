//! The columns of a change: decodes them side by side, one operation at a time, and judges each operation.
//! Keeps nothing of them but their number.

use crate::id::ActorId;
use crate::limits;
use crate::refusal::{Refusal, Rule};
use crate::wire::input::{Input, Malformed};

/// Values that one change replaces, all operations together. An operation over a clash names each value of it.
const PREDECESSORS_MAX: u64 = 8 * limits::CHANGE_OPS_MAX;

/// The columns that changes of ours have, by their specification (id and type), in the order of a chunk.
const OBJECT_ACTOR: u64 = 0x01;
const OBJECT_COUNTER: u64 = 0x02;
const KEY_ACTOR: u64 = 0x11;
const KEY_COUNTER: u64 = 0x13;
const KEY_STRING: u64 = 0x15;
const INSERT: u64 = 0x34;
const ACTION: u64 = 0x42;
const VALUE_META: u64 = 0x56;
const VALUE: u64 = 0x57;
const PRED_COUNT: u64 = 0x70;
const PRED_ACTOR: u64 = 0x71;
const PRED_COUNTER: u64 = 0x73;
const KNOWN: [u64; 12] = [
    OBJECT_ACTOR,
    OBJECT_COUNTER,
    KEY_ACTOR,
    KEY_COUNTER,
    KEY_STRING,
    INSERT,
    ACTION,
    VALUE_META,
    VALUE,
    PRED_COUNT,
    PRED_ACTOR,
    PRED_COUNTER,
];
/// Marks on text, which no document of ours has.
const EXPAND: u64 = 0x94;
const MARK_NAME: u64 = 0xa5;

const ACTION_MAKE_MAP: u64 = 0;
const ACTION_PUT: u64 = 1;
const ACTION_DELETE: u64 = 3;
const ACTION_MAKE_TEXT: u64 = 4;
const ACTION_LAST_KNOWN: u64 = 7;

const VALUE_NULL: u64 = 0;
const VALUE_FALSE: u64 = 1;
const VALUE_TRUE: u64 = 2;
const VALUE_INT: u64 = 4;
const VALUE_STRING: u64 = 6;

/// Reads the table of columns and the columns, and counts the operations.
pub(super) fn read(
    input: &mut Input<'_>,
    actor: &ActorId,
    other_actors: &[ActorId],
    start_op: u64,
) -> Result<u64, Refusal> {
    let columns = table(input)?;
    let mut operations = Operations {
        object_actor: Runs::new(columns[0]),
        object_counter: Runs::new(columns[1]),
        key_actor: Runs::new(columns[2]),
        key_counter: Delta::new(columns[3]),
        key_string: Runs::new(columns[4]),
        insert: Booleans::new(columns[5]),
        action: Runs::new(columns[6]),
        value_meta: Runs::new(columns[7]),
        value: Input::new(columns[8]),
        pred_count: Runs::new(columns[9]),
        pred_actor: Runs::new(columns[10]),
        pred_counter: Delta::new(columns[11]),
        preds_left: PREDECESSORS_MAX,
        actor,
        other_actors,
    };
    let mut count = 0;
    while !operations.action.is_done() {
        if count == limits::CHANGE_OPS_MAX {
            return Err(Refusal::about(Rule::ChangeTooLarge, "operations"));
        }
        operations.next(start_op + count)?;
        count += 1;
    }
    if operations.is_done() { Ok(count) } else { Err(Wrong::Malformed.into()) }
}

/// The bytes of each known column; what is absent is empty.
fn table<'a>(input: &mut Input<'a>) -> Result<[&'a [u8]; KNOWN.len()], Refusal> {
    let count = input.unsigned().map_err(Wrong::from)?;
    if count > KNOWN.len() as u64 + 2 {
        return Err(Wrong::Malformed.into());
    }
    let mut lengths = [0usize; KNOWN.len()];
    let mut previous = None;
    let mut has_marks = false;
    for _ in 0..count {
        let specification = input.unsigned().map_err(Wrong::from)?;
        let length = input.unsigned().map_err(Wrong::from)?;
        if previous.is_some_and(|previous| previous >= specification) {
            return Err(Wrong::Malformed.into());
        }
        previous = Some(specification);
        has_marks |= matches!(specification, EXPAND | MARK_NAME);
        if has_marks {
            continue;
        }
        let index = KNOWN.iter().position(|known| *known == specification).ok_or(Wrong::Malformed)?;
        lengths[index] = usize::try_from(length).ok().filter(|length| *length > 0).ok_or(Wrong::Malformed)?;
    }
    if has_marks {
        return Err(Wrong::Foreign.into());
    }
    let mut columns: [&[u8]; KNOWN.len()] = [&[]; KNOWN.len()];
    for (column, length) in columns.iter_mut().zip(lengths) {
        *column = input.take(length).map_err(Wrong::from)?;
    }
    Ok(columns)
}

/// Why an operation is refused.
enum Wrong {
    /// Not in the one form that the format allows.
    Malformed,
    /// An operation or value that no document of ours holds.
    Foreign,
    /// Too many values replaced.
    TooLarge,
}

impl From<Malformed> for Wrong {
    fn from(_: Malformed) -> Self {
        Wrong::Malformed
    }
}

impl From<Wrong> for Refusal {
    fn from(wrong: Wrong) -> Self {
        match wrong {
            Wrong::Malformed => Refusal::about(Rule::ChangeMalformed, "operations"),
            Wrong::Foreign => Refusal::about(Rule::SchemaViolated, "operations"),
            Wrong::TooLarge => Refusal::about(Rule::ChangeTooLarge, "operations"),
        }
    }
}

struct Operations<'a> {
    object_actor: Runs<'a, u64>,
    object_counter: Runs<'a, u64>,
    key_actor: Runs<'a, u64>,
    key_counter: Delta<'a>,
    key_string: Runs<'a, &'a str>,
    insert: Booleans<'a>,
    action: Runs<'a, u64>,
    value_meta: Runs<'a, u64>,
    value: Input<'a>,
    pred_count: Runs<'a, u64>,
    pred_actor: Runs<'a, u64>,
    pred_counter: Delta<'a>,
    preds_left: u64,
    actor: &'a ActorId,
    other_actors: &'a [ActorId],
}

impl Operations<'_> {
    /// Reads and judges the operation with this counter. What it refers to must be older than itself.
    fn next(&mut self, counter: u64) -> Result<(), Wrong> {
        let object = match (self.object_actor.next()?, self.object_counter.next()?) {
            (None, None) => None,
            (Some(actor), Some(object)) => {
                self.actor_at(actor)?;
                Some(object)
            }
            _ => return Err(Wrong::Malformed),
        };
        if object.is_some_and(|object| object == 0 || object >= counter) {
            return Err(Wrong::Malformed);
        }
        let element = match (self.key_actor.next()?, self.key_counter.next()?) {
            (None, None) => None,
            (None, Some(0)) => Some(0),
            (Some(actor), Some(element)) => {
                self.actor_at(actor)?;
                let element = u64::try_from(element).map_err(|_| Wrong::Malformed)?;
                if element == 0 || element >= counter {
                    return Err(Wrong::Malformed);
                }
                Some(element)
            }
            _ => return Err(Wrong::Malformed),
        };
        let property = self.key_string.next()?;
        let is_insert = self.insert.next()?;
        // A text's character has an element for its key, a map's value a string; only what is inserted may
        // stand after the head.
        match (property, element) {
            (Some(property), None) if !is_insert && !property.is_empty() => {}
            (None, Some(element)) if object.is_some() && (is_insert || element != 0) => {}
            _ => return Err(Wrong::Malformed),
        }
        let action = self.action.next()?.ok_or(Wrong::Malformed)?;
        let value_kind = self.next_value()?;
        let is_in_text = element.is_some();
        match action {
            ACTION_MAKE_MAP | ACTION_MAKE_TEXT if value_kind == VALUE_NULL && !is_in_text => {}
            ACTION_DELETE if value_kind == VALUE_NULL && !is_insert => {}
            ACTION_PUT if is_in_text && is_insert && value_kind == VALUE_STRING => {}
            ACTION_PUT if !is_in_text && value_kind != VALUE_NULL => {}
            0..=ACTION_LAST_KNOWN => return Err(Wrong::Foreign),
            _ => return Err(Wrong::Malformed),
        }
        self.next_predecessors(counter, action == ACTION_DELETE, is_insert)
    }

    /// Steps over one value and says of what kind it is.
    fn next_value(&mut self) -> Result<u64, Wrong> {
        let meta = self.value_meta.next()?.ok_or(Wrong::Malformed)?;
        let (kind, length) = (meta & 0x0f, meta >> 4);
        let length = usize::try_from(length).map_err(|_| Wrong::Malformed)?;
        let bytes = self.value.take(length)?;
        match kind {
            VALUE_NULL | VALUE_FALSE | VALUE_TRUE if length == 0 => Ok(kind),
            VALUE_INT => {
                let mut number = Input::new(bytes);
                number.signed()?;
                if number.is_empty() { Ok(kind) } else { Err(Wrong::Malformed) }
            }
            VALUE_STRING => match std::str::from_utf8(bytes) {
                Ok(_) => Ok(kind),
                Err(_) => Err(Wrong::Malformed),
            },
            VALUE_NULL | VALUE_FALSE | VALUE_TRUE => Err(Wrong::Malformed),
            _ => Err(Wrong::Foreign),
        }
    }

    /// The values that an operation replaces: in ascending order, none twice, all older than itself.
    fn next_predecessors(&mut self, counter: u64, is_delete: bool, is_insert: bool) -> Result<(), Wrong> {
        let count = self.pred_count.next()?.ok_or(Wrong::Malformed)?;
        self.preds_left = self.preds_left.checked_sub(count).ok_or(Wrong::TooLarge)?;
        if (is_delete && count == 0) || (is_insert && count != 0) {
            return Err(Wrong::Malformed);
        }
        let mut previous: Option<(u64, ActorId)> = None;
        for _ in 0..count {
            let actor = self.pred_actor.next()?.ok_or(Wrong::Malformed)?;
            let replaced = self.pred_counter.next()?.ok_or(Wrong::Malformed)?;
            let replaced = u64::try_from(replaced).map_err(|_| Wrong::Malformed)?;
            let op = (replaced, self.actor_at(actor)?);
            if replaced == 0 || replaced >= counter || previous.is_some_and(|previous| previous >= op) {
                return Err(Wrong::Malformed);
            }
            previous = Some(op);
        }
        Ok(())
    }

    fn actor_at(&self, index: u64) -> Result<ActorId, Wrong> {
        if index == 0 {
            return Ok(*self.actor);
        }
        let index = usize::try_from(index - 1).map_err(|_| Wrong::Malformed)?;
        self.other_actors.get(index).copied().ok_or(Wrong::Malformed)
    }

    fn is_done(&self) -> bool {
        self.object_actor.is_done()
            && self.object_counter.is_done()
            && self.key_actor.is_done()
            && self.key_counter.runs.is_done()
            && self.key_string.is_done()
            && self.insert.is_done()
            && self.value_meta.is_done()
            && self.value.is_empty()
            && self.pred_count.is_done()
            && self.pred_actor.is_done()
            && self.pred_counter.runs.is_done()
    }
}

/// What a run-length encoded column holds.
trait Cell<'a>: Copy + PartialEq {
    fn read(input: &mut Input<'a>) -> Result<Self, Malformed>;
}

impl<'a> Cell<'a> for u64 {
    fn read(input: &mut Input<'a>) -> Result<Self, Malformed> {
        input.unsigned()
    }
}

impl<'a> Cell<'a> for i64 {
    fn read(input: &mut Input<'a>) -> Result<Self, Malformed> {
        input.signed()
    }
}

impl<'a> Cell<'a> for &'a str {
    fn read(input: &mut Input<'a>) -> Result<Self, Malformed> {
        let length = usize::try_from(input.unsigned()?).map_err(|_| Malformed)?;
        std::str::from_utf8(input.take(length)?).map_err(|_| Malformed)
    }
}

/// A run-length encoded column: a positive count and a value that repeats, a negative count and so many
/// values, or a zero and a count of nulls. A column that has ended yields nulls.
struct Runs<'a, T> {
    input: Input<'a>,
    left: u64,
    state: Run<T>,
}

#[derive(Clone, Copy, PartialEq)]
enum Run<T> {
    Start,
    Repeat(T),
    Literal(Option<T>),
    Null,
}

impl<'a, T: Cell<'a>> Runs<'a, T> {
    fn new(column: &'a [u8]) -> Self {
        Self { input: Input::new(column), left: 0, state: Run::Start }
    }

    fn is_done(&self) -> bool {
        self.left == 0 && self.input.is_empty()
    }

    fn next(&mut self) -> Result<Option<T>, Malformed> {
        if self.left == 0 {
            if self.input.is_empty() {
                return Ok(None);
            }
            self.next_run()?;
        }
        self.left -= 1;
        match self.state {
            Run::Repeat(value) => Ok(Some(value)),
            Run::Literal(previous) => {
                let value = T::read(&mut self.input)?;
                // Equal neighbours belong into a run: a column has one form, else it would not survive
                // Automerge's saved form.
                if previous == Some(value) {
                    return Err(Malformed);
                }
                self.state = Run::Literal(Some(value));
                Ok(Some(value))
            }
            Run::Start | Run::Null => Ok(None),
        }
    }

    fn next_run(&mut self) -> Result<(), Malformed> {
        let count = self.input.signed()?;
        let before = self.state;
        match count {
            0 => {
                self.left = self.input.unsigned()?;
                self.state = Run::Null;
                if self.left == 0 || before == Run::Null {
                    return Err(Malformed);
                }
            }
            1 => return Err(Malformed),
            2.. => {
                let value = T::read(&mut self.input)?;
                if matches!(before, Run::Repeat(last) | Run::Literal(Some(last)) if last == value) {
                    return Err(Malformed);
                }
                self.left = count.unsigned_abs();
                self.state = Run::Repeat(value);
            }
            _ => {
                let last = match before {
                    Run::Repeat(last) => Some(last),
                    Run::Literal(_) => return Err(Malformed),
                    Run::Start | Run::Null => None,
                };
                self.left = count.unsigned_abs();
                self.state = Run::Literal(last);
            }
        }
        Ok(())
    }
}

/// A column of differences to the number before.
struct Delta<'a> {
    runs: Runs<'a, i64>,
    last: i64,
}

impl<'a> Delta<'a> {
    fn new(column: &'a [u8]) -> Self {
        Self { runs: Runs::new(column), last: 0 }
    }

    fn next(&mut self) -> Result<Option<i64>, Malformed> {
        let Some(difference) = self.runs.next()? else { return Ok(None) };
        self.last = self.last.checked_add(difference).ok_or(Malformed)?;
        Ok(Some(self.last))
    }
}

/// A column of yes and no: counts of alternating runs, beginning with no. A column that has ended yields no.
struct Booleans<'a> {
    input: Input<'a>,
    left: u64,
    value: bool,
    is_first: bool,
}

impl<'a> Booleans<'a> {
    fn new(column: &'a [u8]) -> Self {
        Self { input: Input::new(column), left: 0, value: true, is_first: true }
    }

    fn is_done(&self) -> bool {
        self.left == 0 && self.input.is_empty()
    }

    fn next(&mut self) -> Result<bool, Malformed> {
        while self.left == 0 {
            if self.input.is_empty() {
                return Err(Malformed);
            }
            self.left = self.input.unsigned()?;
            // Only the first run may be empty: a column that begins with yes.
            if self.left == 0 && !self.is_first {
                return Err(Malformed);
            }
            self.value = !self.value;
            self.is_first = false;
        }
        self.left -= 1;
        Ok(self.value)
    }
}
