//! The rescue file: all unsent work in plain words and in bytes, so that nothing typed is lost with a server,
//! an account or a phone's browser (S6, S15).

use serde_json::{Value, json};

use crate::client::Client;
use crate::client::outbox::change_bytes;
use crate::client::rows::{OutRow, OutState, Work};

impl Client {
    pub(super) fn make_export(&mut self) -> Vec<u8> {
        let work: Vec<Value> = self.outbox.iter().map(|(number, row)| self.export_row(number, row)).collect();
        let profile = self.meta.profile.as_ref();
        let file = json!({
            "format": "daybook-rescue-1",
            "person": profile.map(|profile| &profile.person.name),
            "person_id": profile.map(|profile| profile.person.id),
            "device": profile.map(|profile| profile.device),
            "server": profile.map(|profile| &profile.server),
            "exported_at": self.clock.corrected(self.now).to_iso(self.now.offset_minutes),
            "photos_pending": self.meta.photos,
            "work": work,
        });
        serde_json::to_vec_pretty(&file).expect("a JSON value can be written")
    }

    fn export_row(&self, number: u64, row: &OutRow) -> Value {
        let customer = row.scope().customer();
        let known = customer.map(|customer| self.customer_name(customer)).unwrap_or_default();
        let customer_name = if known.is_empty() { row.customer_name.clone() } else { known };
        let (what, state) = match &row.work {
            Work::Edit(work) => (json!({ "edit": work.edit, "document": work.doc }), &row.state),
            Work::Reoffer { doc, .. } => (json!({ "document": doc }), &row.state),
            Work::Request { id, command } => (json!({ "request": command, "request_id": id }), &row.state),
        };
        let (state, refusal) = match state {
            OutState::Pending => ("unsent", None),
            OutState::Refused(refusal) => ("refused", Some(refusal)),
            OutState::Held(_) => ("held", None),
        };
        let changes: Vec<String> = change_bytes(row).into_iter().map(hex).collect();
        json!({
            "number": number,
            "state": state,
            "refusal": refusal,
            "customer": customer,
            "customer_name": customer_name,
            "recorded_at": row.recorded.at.to_iso(row.recorded.offset_minutes),
            "what": what,
            "changes": changes,
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
    }
    text
}
