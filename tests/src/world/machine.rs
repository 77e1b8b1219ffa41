//! A phone's machine as a driver holds it, and a tape of everything that went in and came out, so that another
//! build of the same machine can be played the tape and be compared word by word (SIM-17): the core in
//! WebAssembly, with its 32 bits and its allocator, against this one.
//!
//! A tape is lines of JSON. Inputs are named as the bridge to browsers names them: `{"do": "frame", "at": [wall,
//! monotonic, offset], "bytes": "…"}`. What comes out is `{"out": …}` and follows its input; `{"out": null}` also
//! says when the machine wants to be woken. Bytes are in hexadecimal.

use std::cell::RefCell;
use std::ops::Deref;
use std::rc::Rc;

use serde_json::{Value, json};
use shared::client::{Client, Disconnect, EditId, Handover, OpenFailure, Output, Profile, Row, WriteId};
use shared::edit::Edit;
use shared::entropy::Entropy;
use shared::id::DocId;
use shared::json::write_text;
use shared::ledger::command::Command;
use shared::refusal::Refusal;
use shared::time::Now;
use shared::view::{Answer, Query};

use crate::dice::Dice;

/// Every tape of a world, one a run of a machine.
pub type Tapes = Rc<RefCell<Vec<Vec<String>>>>;

/// A running machine.
pub struct Machine {
    client: Client,
    tape: Option<Tape>,
}

struct Tape {
    lines: Vec<String>,
    tapes: Tapes,
    /// Ids of new documents, which a browser draws outside of the machine.
    dice: Dice,
}

impl Drop for Tape {
    fn drop(&mut self) {
        self.tapes.borrow_mut().push(std::mem::take(&mut self.lines));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn rows(rows: &[Row]) -> Vec<Value> {
    rows.iter().map(|(key, bytes)| json!([key, hex(bytes)])).collect()
}

impl Machine {
    /// Opens a machine over rows; on tape if there is somewhere to put it.
    ///
    /// # Errors
    /// As [`Client::open`].
    pub fn open(
        now: Now,
        seed: [u8; 32],
        stored: Vec<Row>,
        tapes: Option<&Tapes>,
    ) -> Result<Machine, OpenFailure> {
        let tape = tapes.map(|tapes| Tape {
            lines: Vec::new(),
            tapes: tapes.clone(),
            dice: Dice::new(u64::from_le_bytes(seed[..8].try_into().expect("eight bytes"))),
        });
        let opening = tape.is_some().then(|| json!({ "seed": hex(&seed), "rows": rows(&stored) }));
        let client = Client::open(now, Entropy::from_seed(seed), stored)?;
        let mut machine = Machine { client, tape };
        machine.write("open", now, || opening.expect("it is on tape"));
        Ok(machine)
    }

    fn write(&mut self, input: &str, now: Now, with: impl FnOnce() -> Value) {
        let Some(tape) = &mut self.tape else { return };
        let mut line = with();
        line["do"] = json!(input);
        line["at"] = json!([now.wall.0, now.monotonic_ms, now.offset_minutes]);
        tape.lines.push(line.to_string());
    }

    fn came_out(&mut self, with: impl FnOnce(&Client) -> Value) {
        if let Some(tape) = &mut self.tape {
            tape.lines.push(with(&self.client).to_string());
        }
    }

    /// Puts what a browser would ask at the end on tape.
    pub fn end(&mut self, now: Now) {
        if self.tape.is_none() {
            return;
        }
        let mut queries = vec![
            Query::Home,
            Query::Customers { search: String::new(), limit: 1_000 },
            Query::Newest { limit: 1_000 },
            Query::ToAccept,
            Query::Late,
            Query::People,
            Query::Refused,
            Query::Unsent,
            Query::Requests,
        ];
        if let Answer::Customers(customers) = self.client.query(now, &queries[1]) {
            for customer in customers {
                queries.push(Query::Customer { id: customer.id });
                queries.push(Query::Timeline { customer: customer.id });
            }
        }
        queries.iter().for_each(|query| drop(self.query(now, query)));
        let unsent = self.client.export();
        self.write("export", now, || json!({}));
        self.came_out(|_| json!({ "out": hex(&unsent) }));
    }

    /// As [`Client::query`].
    pub fn query(&mut self, now: Now, query: &Query) -> Answer {
        let answer = self.client.query(now, query);
        self.write("query", now, || json!({ "json": write_text(query) }));
        self.came_out(|_| json!({ "out": write_text(&answer) }));
        answer
    }

    /// As [`Client::query`], and the answer not on tape: only that a document was opened, on which the order of changes
    /// in its bytes depends.
    pub fn peek(&mut self, now: Now, query: &Query) -> Answer {
        self.write("peek", now, || json!({ "json": write_text(query) }));
        self.client.query(now, query)
    }

    /// As [`Client::handle_login`].
    pub fn handle_login(&mut self, now: Now, profile: Profile) {
        self.write("login", now, || json!({ "json": write_text(&profile) }));
        self.client.handle_login(now, profile);
    }

    /// As [`Client::handle_edit`].
    ///
    /// # Errors
    /// As there.
    pub fn handle_edit(&mut self, now: Now, edit: Edit) -> Result<EditId, Refusal> {
        self.write("edit", now, || json!({ "json": write_text(&edit) }));
        let outcome = self.client.handle_edit(now, edit);
        self.came_out(|_| outcome_of(outcome.as_ref().map(|id| json!(id))));
        outcome
    }

    /// As [`Client::handle_command`].
    ///
    /// # Errors
    /// As there.
    pub fn handle_command(&mut self, now: Now, command: Command) -> Result<shared::id::RequestId, Refusal> {
        self.write("command", now, || json!({ "json": write_text(&command) }));
        let outcome = self.client.handle_command(now, command);
        self.came_out(|_| outcome_of(outcome.as_ref().map(|id| json!(id))));
        outcome
    }

    /// As [`Client::handle_dismiss_refused`].
    pub fn handle_dismiss_refused(&mut self, now: Now, edit: EditId) {
        self.write("dismiss_refused", now, || json!({ "id": edit.0 }));
        self.client.handle_dismiss_refused(now, edit);
    }

    /// As [`Client::handle_stored`].
    pub fn handle_stored(&mut self, now: Now, write: WriteId) {
        self.write("stored", now, || json!({ "id": write.0 }));
        self.client.handle_stored(now, write);
    }

    /// As [`Client::handle_store_failed`].
    pub fn handle_store_failed(&mut self, now: Now, write: WriteId) {
        self.write("store_failed", now, || json!({ "id": write.0 }));
        self.client.handle_store_failed(now, write);
    }

    /// As [`Client::handle_connected`], with a ticket.
    pub fn handle_connected(&mut self, now: Now, ticket: Vec<u8>) {
        self.write("connected", now, || json!({ "bytes": hex(&ticket) }));
        self.client.handle_connected(now, Some(ticket));
    }

    /// As [`Client::handle_frame`].
    pub fn handle_frame(&mut self, now: Now, frame: &[u8]) {
        self.write("frame", now, || json!({ "bytes": hex(frame) }));
        self.client.handle_frame(now, frame);
    }

    /// As [`Client::handle_disconnected`].
    pub fn handle_disconnected(&mut self, now: Now, why: Disconnect) {
        let input = match why {
            Disconnect::Lost => "disconnected",
            Disconnect::LoginNeeded => "login_ended",
            Disconnect::Revoked => "revoked",
        };
        self.write(input, now, || json!({}));
        self.client.handle_disconnected(now, why);
    }

    /// As [`Client::handover`].
    pub fn handover(&mut self, now: Now) -> Vec<Vec<u8>> {
        self.write("handover", now, || json!({}));
        let pushes = self.client.handover(now);
        self.came_out(|_| json!({ "out": hex(&pushes.concat()) }));
        pushes
    }

    /// As [`Client::handle_handed_over`].
    pub fn handle_handed_over(&mut self, now: Now, acknowledgements: &[Vec<u8>]) -> Handover {
        self.write("handed_over", now, || json!({ "bytes": hex(&acknowledgements.concat()) }));
        let state = self.client.handle_handed_over(now, acknowledgements);
        self.came_out(|_| {
            let state = match state {
                Handover::Goes => "goes",
                Handover::Done => "done",
                Handover::Stopped(_) => "stopped",
            };
            json!({ "out": state })
        });
        state
    }

    /// As [`Client::handle_nudge`].
    pub fn handle_nudge(&mut self, now: Now) {
        self.write("nudge", now, || json!({}));
        self.client.handle_nudge(now);
    }

    /// As [`Client::handle_timeout`].
    pub fn handle_timeout(&mut self, now: Now) {
        self.write("timeout", now, || json!({}));
        self.client.handle_timeout(now);
    }

    /// As [`Client::poll_output`].
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.client.poll_output();
        self.came_out(|client| match &output {
            Some(output) => json!({ "out": output_of(output) }),
            None => json!({ "out": null, "timeout": client.poll_timeout() }),
        });
        output
    }

    /// A new document's id: of the machine, or of the tape, for a browser draws it outside.
    pub fn new_doc_id(&mut self) -> DocId {
        match &mut self.tape {
            Some(tape) => tape.dice.entropy().doc_id(),
            None => self.client.new_doc_id(),
        }
    }

    /// A new record's id, likewise.
    pub fn new_record_id(&mut self) -> String {
        match &mut self.tape {
            Some(tape) => format!("{:016x}", tape.dice.word()),
            None => self.client.new_record_id(),
        }
    }
}

fn outcome_of(outcome: Result<Value, &Refusal>) -> Value {
    match outcome {
        Ok(id) => json!({ "out": { "ok": id } }),
        Err(Refusal { rule, about }) => json!({ "out": { "rule": rule, "about": about } }),
    }
}

fn output_of(output: &Output) -> Value {
    match output {
        Output::Store(write) => json!({
            "type": "store", "id": write.id.0, "puts": rows(&write.puts), "deletes": write.deletes,
        }),
        Output::Send(frame) => json!({ "type": "send", "frame": hex(frame) }),
        Output::Dial => json!({ "type": "dial" }),
        Output::HangUp => json!({ "type": "hang_up" }),
        Output::Changed => json!({ "type": "changed" }),
    }
}

impl Deref for Machine {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}
