//! The rescue file: all unsent work in plain words and in bytes, so that nothing typed is lost with a server,
//! an account or a phone's browser (S6, S15).

use serde::Serialize;

use crate::client::Client;
use crate::client::outbox::change_bytes;
use crate::client::rows::{OutRow, OutState, Work};
use crate::edit::Edit;
use crate::id::{DeviceId, DocId, PersonId, RequestId, hex};
use crate::json;
use crate::ledger::Command;
use crate::refusal::Refusal;

#[derive(Serialize)]
struct File<'a> {
    format: &'static str,
    person: Option<&'a str>,
    person_id: Option<PersonId>,
    device: Option<DeviceId>,
    server: Option<&'a str>,
    exported_at: String,
    photos_pending: u32,
    work: Vec<Piece<'a>>,
}

#[derive(Serialize)]
struct Piece<'a> {
    number: u64,
    state: &'static str,
    refusal: Option<&'a Refusal>,
    customer: Option<DocId>,
    customer_name: String,
    recorded_at: String,
    what: What<'a>,
    changes: Vec<String>,
}

/// The words of one piece of work, where the phone still has them.
#[derive(Serialize, Default)]
struct What<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    edit: Option<&'a Edit>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    edits: Vec<&'a Edit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<DocId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<&'a Command>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<RequestId>,
}

impl Client {
    pub(super) fn make_export(&mut self) -> Vec<u8> {
        let profile = self.meta.profile.as_ref();
        let file = File {
            format: "daybook-rescue-1",
            person: profile.map(|profile| profile.person.name.as_str()),
            person_id: profile.map(|profile| profile.person.id),
            device: profile.map(|profile| profile.device),
            server: profile.map(|profile| profile.server.as_str()),
            exported_at: self.clock.corrected(self.now).to_iso(self.now.offset_minutes),
            photos_pending: self.meta.photos,
            work: self.outbox.iter().map(|(number, row)| self.export_row(number, row)).collect(),
        };
        json::write(&file)
    }

    fn export_row<'a>(&self, number: u64, row: &'a OutRow) -> Piece<'a> {
        let customer = row.scope().customer();
        let known = customer.map(|customer| self.customer_name(customer)).unwrap_or_default();
        let what = match &row.work {
            Work::Edit(work) => What { edit: Some(&work.edit), document: Some(work.doc), ..What::default() },
            Work::Reoffer { doc, words, .. } => What {
                edits: words.iter().map(|told| &told.edit).collect(),
                document: Some(*doc),
                ..What::default()
            },
            Work::Request { id, command } => {
                What { request: Some(command), request_id: Some(*id), ..What::default() }
            }
        };
        let (state, refusal) = match &row.state {
            OutState::Pending => ("unsent", None),
            OutState::Refused(refusal) => ("refused", Some(refusal)),
            OutState::Held(_) => ("held", None),
        };
        Piece {
            number,
            state,
            refusal,
            customer,
            customer_name: if known.is_empty() { row.customer_name.clone() } else { known },
            recorded_at: row.recorded.at.to_iso(row.recorded.offset_minutes),
            what,
            changes: change_bytes(row).into_iter().map(hex).collect(),
        }
    }
}
