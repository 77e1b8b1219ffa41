//! The invariants, checked over a world at rest (and, where said, at every step by its drivers). What can be seen in the
//! store alone is in [`crate::invariant`]; here is what needs the phones. Each names its rule in `docs/spec.md`.

use std::collections::{BTreeMap, BTreeSet};

use server::admission::InProcess;
use server::hub::verify;
use server::store::{Lookup, Store};
use shared::id::{ChangeHash, DeviceId, DocId, Scope};
use shared::protocol::encode;
use shared::view::{Answer, Query, TimelineEntry};

use crate::fault::Fault;
use crate::invariant::{self, BEGINNING, END};
use crate::model::{TypedEdit, Violation};
use crate::world::World;
use crate::world::disk::contains;
use crate::world::handover::restored_changes;
use crate::world::people::says;

/// One world in so many is also checked by `daybook verify`, which judges every document again and takes its time.
const VERIFIED_ONE_IN: u64 = 50;

/// Every text that the server has put on disk in a change, merged or held, and what devices left in quarantine.
pub struct StoredTokens {
    merged_or_held: Vec<u8>,
    quarantined: BTreeMap<DeviceId, Vec<u8>>,
}

impl StoredTokens {
    /// Whether an edit is among them: merged, held, or in quarantine under the device on which it was typed.
    pub fn holds(&self, edit: &TypedEdit) -> bool {
        let token = edit.token.as_bytes();
        let left = self.quarantined.get(&edit.device);
        contains(&self.merged_or_held, token) || left.is_some_and(|left| contains(left, token))
    }
}

fn failed(what: &str) -> impl Fn(server::store::StoreFailure) -> Violation + '_ {
    move |failure| format!("reading {what} failed: {failure}")
}

impl World {
    /// Reads everything typed that reached the server's disk.
    pub fn stored_tokens(&self) -> StoredTokens {
        self.read_stored_tokens().expect("an in-memory database can be read")
    }

    fn read_stored_tokens(&self) -> Result<StoredTokens, server::store::StoreFailure> {
        let store = self.server.store();
        let lookup = store.lookup();
        let mut all = Vec::new();
        for doc in lookup.document_ids(None, usize::MAX >> 1)? {
            for (_, bytes) in lookup.changes(doc, BEGINNING, END)? {
                all.extend_from_slice(&bytes);
            }
        }
        for event in lookup.events_all(BEGINNING, usize::MAX >> 1)? {
            for held in lookup.held_of(event.seq)? {
                all.extend_from_slice(&held.bytes);
            }
        }
        let mut quarantined = BTreeMap::new();
        for device in self.model.typed.iter().map(|edit| edit.device).collect::<BTreeSet<_>>() {
            let left = lookup.quarantined_of(device)?;
            quarantined.insert(device, left.iter().flat_map(|row| encode(&row.item)).collect());
        }
        Ok(StoredTokens { merged_or_held: all, quarantined })
    }

    /// Checks everything that must be true of a world at rest.
    pub fn check_everything(&mut self) -> Result<(), Violation> {
        self.count_newer();
        self.check_log()?;
        self.check_ledger()?;
        self.check_acknowledged()?;
        self.check_quarantine()?;
        self.check_erased()?;
        self.check_phones()?;
        self.check_nothing_typed_is_lost()?;
        self.check_shown_as_held()?;
        self.check_pages_again()?;
        self.check_repetition_changes_nothing()?;
        if self.seed.is_multiple_of(VERIFIED_ONE_IN) { self.check_verified() } else { Ok(()) }
    }

    /// The product's own check agrees: it also rebuilds projections, grants and digests (SIM-2).
    fn check_verified(&self) -> Result<(), Violation> {
        let found = verify(&self.server.store().lookup(), &mut InProcess).map_err(failed("the store"))?;
        if found.differences > 0 { Err(format!("verify: {:?} (I2)", found.told)) } else { Ok(()) }
    }

    /// The log alone rebuilds every document, with its attributions (SIM-2, SIM-7, SIM-10), and nothing of a revoked device
    /// stands after its revoke but what was held of it, or handed over and then restored (SIM-5).
    fn check_log(&mut self) -> Result<(), Violation> {
        let restored = restored_changes(&self.quarantine());
        let lookup = self.server.store().lookup();
        invariant::check_log(&lookup, |change| {
            let is_late = self.model.revoked_at(change.device).is_some_and(|at| change.seq > at);
            // What was held of it before may be merged by a decision.
            let was_held = || lookup.held_change(change.doc, &change.hash).map_err(failed("a held change"));
            // What it handed over is merged by a decision that came after that.
            let was_restored = || {
                restored.iter().any(|(doc, hash, device, received)| {
                    (*doc, *hash, *device) == (change.doc, change.hash, change.device)
                        && *received <= change.received
                })
            };
            if is_late && !was_restored() && was_held()?.is_none() {
                return Err(format!("{:?} of the revoked {:?} was merged (I5)", change.hash, change.device));
            }
            Ok(())
        })
    }

    /// The ledger is the fold of its events (SIM-6), and what was committed before us.
    fn check_ledger(&self) -> Result<(), Violation> {
        let again = invariant::check_ledger(&self.server.store().lookup())?;
        for (id, customer) in again.customers() {
            let learned =
                self.model.customer(*id).ok_or_else(|| format!("{id:?} was committed behind our back"))?;
            if learned.owner != customer.owner || learned.code != customer.code {
                return Err(format!("{id:?} is not as it was committed (I6)"));
            }
        }
        if again.customers().count() != self.model.customers().count() {
            return Err("a committed customer is gone (I6)".to_owned());
        }
        Ok(())
    }

    /// Every acknowledged change is in the log, merged or held, but of what was erased (SIM-1).
    fn check_acknowledged(&self) -> Result<(), Violation> {
        let acknowledged = self.model.acknowledged().iter().map(|(hash, (doc, _))| (*doc, *hash));
        let acknowledged = acknowledged.filter(|(doc, _)| !self.model.is_erased(*doc));
        invariant::check_acknowledged(&self.server.store().lookup(), acknowledged)
    }

    /// Every document that a person may read, with its heads.
    fn readable(&self, phone: usize) -> Result<BTreeMap<DocId, (Scope, Vec<ChangeHash>)>, Violation> {
        let store = self.server.store();
        let lookup = store.lookup();
        let mut readable = BTreeMap::new();
        for doc in lookup.document_ids(None, usize::MAX >> 1).map_err(failed("documents"))? {
            let row = lookup
                .document(doc)
                .map_err(failed("a document"))?
                .ok_or("a listed document is not there")?;
            if self.model.may_read(self.phones[phone].person, row.scope) {
                readable.insert(doc, (row.scope, row.heads));
            }
        }
        Ok(readable)
    }

    /// Phones hold exactly what their people may read, with the server's heads, show the same values for it,
    /// and have nothing left to send (SIM-3, SIM-8).
    fn check_phones(&mut self) -> Result<(), Violation> {
        let mut shown: BTreeMap<DocId, (usize, serde_json::Value)> = BTreeMap::new();
        for phone in 0..self.phones.len() {
            self.check_emptied(phone)?;
            if self.phones[phone].retired || self.refuses_login(phone).is_some() {
                continue;
            }
            let readable = self.readable(phone)?;
            let client = self.phones[phone].client.as_mut().ok_or("a phone is off in a healed world")?;
            let held: BTreeMap<DocId, Vec<ChangeHash>> = client.document_heads().into_iter().collect();
            for (doc, (scope, heads)) in &readable {
                match held.get(doc) {
                    None => return Err(format!("phone {phone} lacks {doc:?} of {scope:?} (I3)")),
                    Some(mine) if mine != heads => {
                        return Err(format!(
                            "phone {phone} holds {doc:?} at {mine:?}, the server at {heads:?} (I3)"
                        ));
                    }
                    Some(_) => {}
                }
            }
            if let Some(doc) = held.keys().find(|doc| !readable.contains_key(*doc)) {
                return Err(format!("phone {phone} still holds {doc:?} without a grant (I3)"));
            }
            let status = self.status(phone).ok_or("a phone is off in a healed world")?;
            if status.pending.edits != 0 || status.saving != 0 {
                return Err(format!("phone {phone} is at rest with work left (I8): {status:?}"));
            }
            for customer in
                readable.values().filter_map(|(scope, _)| scope.customer()).collect::<BTreeSet<_>>()
            {
                let values = self.values_of(phone, customer)?;
                match shown.get(&customer) {
                    None => {
                        shown.insert(customer, (phone, values));
                    }
                    Some((other, theirs)) if *theirs != values => {
                        let difference = first_difference(theirs, &values);
                        return Err(format!(
                            "phones {other} and {phone} show {customer:?} differently (I3): {difference}"
                        ));
                    }
                    Some(_) => {}
                }
            }
        }
        Ok(())
    }

    /// A phone that has emptied itself holds nobody's words (SIM-4).
    fn check_emptied(&self, index: usize) -> Result<(), Violation> {
        let phone = &self.phones[index];
        let is_empty = phone.client.as_ref().is_some_and(|client| client.profile().is_none());
        if is_empty && phone.disk.holds(b"canary") {
            return Err(format!("phone {index} has emptied itself and still holds words (I4)"));
        }
        Ok(())
    }

    /// What everybody with a right to a customer must see alike.
    fn values_of(&mut self, phone: usize, customer: DocId) -> Result<serde_json::Value, Violation> {
        let Some(Answer::Customer(Some(card))) = self.query(phone, &Query::Customer { id: customer }) else {
            return Err(format!("phone {phone} shows no card of {customer:?}, which it may read (I3)"));
        };
        let Some(Answer::Timeline(entries)) = self.query(phone, &Query::Timeline { customer }) else {
            return Err(format!("phone {phone} does not show the timeline of {customer:?}"));
        };
        check_order(&entries).map_err(|entry| {
            format!("phone {phone} shows {entry} of {customer:?} before what took place earlier (I3, TL-10)")
        })?;
        let entries: Vec<_> = entries
            .iter()
            .map(|entry| {
                serde_json::json!([
                    entry.kind,
                    entry.id,
                    entry.at,
                    entry.recorded_at,
                    entry.received_at,
                    entry.person,
                    entry.text,
                    entry.marks,
                    entry.details
                ])
            })
            .collect();
        Ok(serde_json::json!({
            "name": card.row.name,
            "code": card.row.code,
            "provisional": card.row.provisional,
            "owner": card.row.owner,
            "fields": card.fields,
            "phones": card.phones,
            "records": card.records,
            "clashes": card.clashes,
            "owners": card.owners,
            "timeline": entries,
        }))
    }

    /// A page that comes again changes nothing that a phone holds or shows (SIM-11).
    fn check_pages_again(&mut self) -> Result<(), Violation> {
        for phone in 0..self.phones.len() {
            let Some(page) = self.phones[phone].last_page.take() else { continue };
            if self.phones[phone].retired || self.refuses_login(phone).is_some() {
                continue;
            }
            let before = self.everything_shown(phone)?;
            self.with_client(phone, |client, now| client.handle_frame(now, &page))?;
            if self.everything_shown(phone)? != before {
                return Err(format!("phone {phone} is another after a page that it had taken (I11)"));
            }
        }
        Ok(())
    }

    fn everything_shown(&mut self, phone: usize) -> Result<serde_json::Value, Violation> {
        let readable = self.readable(phone)?;
        let customers: BTreeSet<DocId> =
            readable.values().filter_map(|(scope, _)| scope.customer()).collect();
        let mut shown = Vec::new();
        for customer in customers {
            shown.push(self.values_of(phone, customer)?);
        }
        let notices = match self.query(phone, &Query::Home) {
            Some(Answer::Home(home)) => serde_json::to_value(&home.notices).expect("a view is plain data"),
            _ => serde_json::Value::Null,
        };
        Ok(serde_json::json!([shown, notices]))
    }

    /// Everything typed and saved is on the server, or its author still sees it as refused or unsent
    /// (SIM-9).
    fn check_nothing_typed_is_lost(&mut self) -> Result<(), Violation> {
        let stored = self.stored_tokens();
        for index in 0..self.model.typed.len() {
            let edit = self.model.typed[index].clone();
            if !edit.expected || stored.holds(&edit) {
                continue;
            }
            let phone = edit.phone;
            // A phone that is locked out keeps its words and cannot offer them again to a restored server.
            if self.refuses_login(phone).is_some() && self.phones[phone].disk.holds(edit.token.as_bytes()) {
                continue;
            }
            let Some(Answer::Refused(refused)) = self.query(phone, &Query::Refused) else {
                return Err(format!("phone {phone} is off in a healed world"));
            };
            if !refused.iter().any(|view| says(&view.edit, &edit.token)) {
                return Err(format!("what was typed on phone {phone} is lost: {edit:?} (I1, SIM-9)"));
            }
            self.faults.count(Fault::EditRefused);
        }
        Ok(())
    }

    /// What a phone shows as held is on the server's disk, also where the server was restored since (SIM-9).
    fn check_shown_as_held(&mut self) -> Result<(), Violation> {
        let stored = self.stored_tokens();
        for phone in 0..self.phones.len() {
            if self.phones[phone].retired || self.refuses_login(phone).is_some() {
                continue;
            }
            let Some(Answer::Refused(shown)) = self.query(phone, &Query::Refused) else { continue };
            for view in shown.iter().filter(|view| view.held) {
                let is_gone = |edit: &&TypedEdit| {
                    says(&view.edit, &edit.token) && !stored.holds(edit) && !self.model.is_erased_under(edit)
                };
                if let Some(edit) = self.model.typed.iter().find(is_gone) {
                    return Err(format!("phone {phone} shows as held what the server lacks: {edit:?} (I1)"));
                }
            }
        }
        Ok(())
    }
}

/// A timeline stands in the order in which things took place, by clocks that are to be believed. Names the entry that does
/// not.
fn check_order(entries: &[TimelineEntry]) -> Result<(), String> {
    let believed = entries.iter().filter(|entry| !entry.marks.iter().any(|mark| mark == "clock_suspect"));
    let mut latest = None;
    for entry in believed {
        let at = entry.at.begins();
        if latest.is_some_and(|latest| at < latest) {
            return Err(entry.id.clone());
        }
        latest = Some(at);
    }
    Ok(())
}

/// Where two values part, for people.
fn first_difference(one: &serde_json::Value, other: &serde_json::Value) -> String {
    use serde_json::Value::{Array, Object};
    match (one, other) {
        (Object(one), Object(other)) => {
            let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            let differs = keys.into_iter().find(|key| one.get(*key) != other.get(*key));
            let Some(key) = differs else { return String::new() };
            match (one.get(key), other.get(key)) {
                (Some(one), Some(other)) => format!("{key}: {}", first_difference(one, other)),
                (one, other) => format!("{key}: {one:?} and {other:?}"),
            }
        }
        (Array(one), Array(other)) if one.len() == other.len() => {
            let differs = one.iter().zip(other).enumerate().find(|(_, (one, other))| one != other);
            differs.map_or(String::new(), |(at, (one, other))| {
                format!("[{at}] {}", first_difference(one, other))
            })
        }
        (one, other) => format!("{one} and {other}"),
    }
}
