//! The phone's core for browsers: a thin face of [`shared::client::Client`]. Questions and answers are JSON
//! texts, frames and rows are byte arrays. The only crate that knows JavaScript; knows no rule of the domain.

#![allow(missing_docs, reason = "wasm-bindgen's macro generates undocumented items")]

use js_sys::{Array, Object, Reflect, Uint8Array};
use serde::{Serialize, Serializer};
use shared::client::{Client, Disconnect, EditId, Handover, Output, Profile, WriteId};
use shared::document::schema::{Schema, schemas};
use shared::entropy::Entropy;
use shared::id::Seq;
use shared::json::{self, FromJson};
use shared::protocol::cut_sequence;
use shared::refusal::{Refusal, Rule};
use shared::time::{Now, UtcMillis};
use wasm_bindgen::prelude::*;

/// The client machine behind handles that JavaScript can hold.
#[wasm_bindgen]
pub struct Bridge {
    client: Client,
}

/// The driver's clocks at the moment of a call.
#[wasm_bindgen]
#[derive(Clone, Copy)]
pub struct Clock {
    now: Now,
}

#[wasm_bindgen]
impl Clock {
    /// Takes `Date.now()`, `performance.now()` and minutes east of UTC.
    #[wasm_bindgen(constructor)]
    pub fn new(wall_ms: f64, monotonic_ms: f64, offset_minutes: i32) -> Clock {
        let now = Now {
            wall: UtcMillis(wall_ms as i64),
            monotonic_ms: monotonic_ms.max(0.0) as u64,
            offset_minutes,
        };
        Clock { now }
    }
}

/// `{"ok": …}` or `{"refusal": …}`.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome<T> {
    Ok(T),
    Refusal { rule: Rule, about: Option<String>, zh: &'static str, en: &'static str },
}

impl<T> From<Result<T, Refusal>> for Outcome<T> {
    fn from(result: Result<T, Refusal>) -> Self {
        match result {
            Ok(value) => Outcome::Ok(value),
            Err(Refusal { rule, about }) => Outcome::Refusal { rule, about, zh: rule.zh(), en: rule.en() },
        }
    }
}

#[derive(Serialize)]
struct Constants {
    words: Words,
    schemas: [&'static Schema; 3],
}

/// `{rule: {zh, en}}` for every rule.
struct Words;

#[derive(Serialize)]
struct Wording {
    zh: &'static str,
    en: &'static str,
}

impl Serialize for Words {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(Rule::ALL.iter().map(|rule| (rule, Wording { zh: rule.zh(), en: rule.en() })))
    }
}

fn set(object: &Object, key: &str, value: &JsValue) {
    Reflect::set(object, &JsValue::from_str(key), value).expect("a plain object takes any key");
}

fn parse<T: FromJson>(text: &str) -> Result<T, JsError> {
    Ok(json::parse(text)?)
}

/// What never changes while the app runs, as JSON: the words of every rule in both languages and what each
/// kind of document may hold, `{words: {rule: {zh, en}}, schemas: […]}`.
#[wasm_bindgen]
pub fn constants() -> String {
    json::write_text(&Constants { words: Words, schemas: schemas() })
}

/// Takes the table of readings, without which nothing is found by sound. False if the bytes are no such table.
#[wasm_bindgen]
pub fn give_readings(table: &[u8]) -> bool {
    shared::search::readings::give(table)
}

#[wasm_bindgen]
impl Bridge {
    /// Opens the machine over the rows of the store. `seed` is 32 fresh random bytes.
    ///
    /// # Errors
    /// If the rows are not those of a phone, or of newer software.
    pub fn open(
        clock: &Clock,
        seed: &[u8],
        keys: Vec<String>,
        values: Vec<Uint8Array>,
    ) -> Result<Bridge, JsError> {
        let seed = seed.try_into().map_err(|_| JsError::new("the seed must have 32 bytes"))?;
        let rows = keys.into_iter().zip(values.iter().map(Uint8Array::to_vec)).collect();
        let client = Client::open(clock.now, Entropy::from_seed(seed), rows)?;
        Ok(Bridge { client })
    }

    /// Takes the profile of a login, as JSON. False if it is another person's and unsent work remains.
    ///
    /// # Errors
    /// If the JSON is no profile.
    pub fn login(&mut self, clock: &Clock, profile: &str) -> Result<bool, JsError> {
        let profile: Profile = parse(profile)?;
        if !self.client.may_login(profile.person.id) {
            return Ok(false);
        }
        self.client.handle_login(clock.now, profile);
        Ok(true)
    }

    /// Takes an edit: `{"ok": id}` or `{"refusal": …}`.
    ///
    /// # Errors
    /// If the JSON is no edit.
    pub fn edit(&mut self, clock: &Clock, edit: &str) -> Result<String, JsError> {
        Ok(json::write_text(&Outcome::from(self.client.handle_edit(clock.now, parse(edit)?))))
    }

    /// Takes a ledger command: `{"ok": id}` or `{"refusal": …}`.
    ///
    /// # Errors
    /// If the JSON is no command.
    pub fn command(&mut self, clock: &Clock, command: &str) -> Result<String, JsError> {
        Ok(json::write_text(&Outcome::from(self.client.handle_command(clock.now, parse(command)?))))
    }

    /// Answers a query; both are JSON.
    ///
    /// # Errors
    /// If the JSON is no query.
    pub fn query(&mut self, clock: &Clock, query: &str) -> Result<String, JsError> {
        Ok(json::write_text(&self.client.query(clock.now, &parse(query)?)))
    }

    /// Forgets a refused edit that the person has dealt with.
    pub fn dismiss_refused(&mut self, clock: &Clock, edit: f64) {
        self.client.handle_dismiss_refused(clock.now, EditId(edit as u64));
    }

    /// Forgets a refused request that the person has dealt with.
    ///
    /// # Errors
    /// If the text is no request's id.
    pub fn dismiss_request(&mut self, clock: &Clock, request: &str) -> Result<(), JsError> {
        self.client.handle_dismiss_request(clock.now, request.parse()?);
        Ok(())
    }

    /// Shows a notice no more.
    pub fn dismiss_notice(&mut self, clock: &Clock, notice: f64) {
        self.client.handle_dismiss_notice(clock.now, Seq(notice as u64));
    }

    /// How many photos wait on this device.
    pub fn photos(&mut self, clock: &Clock, pending: u32) {
        self.client.handle_photos(clock.now, pending);
    }

    /// The write is on disk.
    pub fn stored(&mut self, clock: &Clock, write: f64) {
        self.client.handle_stored(clock.now, WriteId(write as u64));
    }

    /// The write failed as a whole.
    pub fn store_failed(&mut self, clock: &Clock, write: f64) {
        self.client.handle_store_failed(clock.now, WriteId(write as u64));
    }

    /// The connection stands.
    pub fn connected(&mut self, clock: &Clock, ticket: Vec<u8>) {
        self.client.handle_connected(clock.now, Some(ticket));
    }

    /// A frame arrived.
    pub fn frame(&mut self, clock: &Clock, frame: &[u8]) {
        self.client.handle_frame(clock.now, frame);
    }

    /// The connection broke or could not be made.
    pub fn disconnected(&mut self, clock: &Clock) {
        self.client.handle_disconnected(clock.now, Disconnect::Lost);
    }

    /// No ticket could be had because the login has ended.
    pub fn login_ended(&mut self, clock: &Clock) {
        self.client.handle_disconnected(clock.now, Disconnect::LoginNeeded);
    }

    /// No ticket could be had because the device or its person was switched off.
    pub fn revoked(&mut self, clock: &Clock) {
        self.client.handle_disconnected(clock.now, Disconnect::Revoked);
    }

    /// Whether this phone was told that it is switched off, and has somebody's work to hand over.
    pub fn is_revoked(&self) -> bool {
        self.client.is_revoked()
    }

    /// What a phone that was switched off hands over next: one body of pushes, empty if there is none.
    pub fn handover(&mut self, clock: &Clock) -> Vec<u8> {
        self.client.handover(clock.now).concat()
    }

    /// The server's answer to what [`Bridge::handover`] gave: `goes`, `done`, or `stopped` if something was not
    /// taken.
    ///
    /// # Errors
    /// If the body is no sequence of frames.
    pub fn handed_over(&mut self, clock: &Clock, body: &[u8]) -> Result<String, JsError> {
        let frames = cut_sequence(body).ok_or_else(|| JsError::new("no sequence"))?;
        let frames: Vec<Vec<u8>> = frames.into_iter().map(<[u8]>::to_vec).collect();
        let state = match self.client.handle_handed_over(clock.now, &frames) {
            Handover::Goes => "goes",
            Handover::Done => "done",
            Handover::Stopped(_) => "stopped",
        };
        Ok(state.to_owned())
    }

    /// The network seems to be back, or the person asked.
    pub fn nudge(&mut self, clock: &Clock) {
        self.client.handle_nudge(clock.now);
    }

    /// The time that [`Bridge::next_timeout`] named has come.
    pub fn timeout(&mut self, clock: &Clock) {
        self.client.handle_timeout(clock.now);
    }

    /// The monotonic millisecond at which [`Bridge::timeout`] is wanted.
    pub fn next_timeout(&self) -> Option<f64> {
        self.client.poll_timeout().map(|at| at as f64)
    }

    /// The next output, or `undefined`: `{type: "store", id, puts: [[key, bytes]], deletes: [key]}`,
    /// `{type: "send", frame}`, `{type: "dial" | "hang_up" | "changed"}`.
    pub fn poll(&mut self) -> JsValue {
        let Some(output) = self.client.poll_output() else { return JsValue::UNDEFINED };
        let object = Object::new();
        let kind = match output {
            Output::Store(write) => {
                let puts: Array = write
                    .puts
                    .iter()
                    .map(|(key, value)| {
                        Array::of2(&JsValue::from_str(key), &Uint8Array::from(value.as_slice()).into())
                    })
                    .collect();
                let deletes: Array = write.deletes.iter().map(|key| JsValue::from_str(key)).collect();
                set(&object, "id", &JsValue::from_f64(write.id.0 as f64));
                set(&object, "puts", &puts);
                set(&object, "deletes", &deletes);
                "store"
            }
            Output::Send(frame) => {
                set(&object, "frame", &Uint8Array::from(frame.as_slice()));
                "send"
            }
            Output::Dial => "dial",
            Output::HangUp => "hang_up",
            Output::Changed => "changed",
        };
        set(&object, "type", &JsValue::from_str(kind));
        object.into()
    }

    /// All unsent work in plain words and bytes, for a rescue without a server.
    pub fn export(&mut self) -> Vec<u8> {
        self.client.export()
    }
}
