//! Going back to the acknowledged heads and making the edits that still pass again, under a fresh actor
//! (CL-12, design §1.7). A refused change orphans what was built on it; the edits are kept in words so
//! that only the bytes are lost. Knows nothing of frames.

use crate::client::Client;
use crate::client::outbox::change_bytes;
use crate::client::rows::{EditWork, Key, OutState, Work};
use crate::document::{Document, Writer};
use crate::edit::{Edit, Patch, Value};
use crate::id::DocId;
use crate::planted::{self, Bug};
use crate::refusal::{Refusal, Rule};
use crate::sorted::{Map, Set};

/// How often an edit is made again because of the numbering of its own changes before the refusal is shown.
/// Twice covers a cloned phone and a restore at once; more is a bug that must not loop.
const REBASES_MAX: u32 = 3;

impl Client {
    /// Rebases every stalled document of which nothing is out any more.
    pub(super) fn settle_stalls(&mut self) {
        for doc in self.outbox.drained_stalls() {
            if planted::is(Bug::RefusalWedges) {
                continue;
            }
            let stall = self.outbox.stalls.remove(&doc).expect("its key was listed");
            if self.is_orphan(doc) {
                // Its ground is being fetched again. The server will say the same when it is offered then.
                continue;
            }
            let mut fates: Map<u64, OutState> = Map::default();
            // Of these the bytes are given up; those that may pass as words are not refused by that.
            let mut offered = Set::default();
            let mut passing = Set::default();
            let mut renumbered = None;
            for (out, state) in stall.fates {
                let is_reoffer = self.is_reoffer(out);
                match &state {
                    // Every held row is on the server's disk by its own right.
                    OutState::Held(_) => {}
                    // Of refusals only the first was judged on its own merits: later changes of the document
                    // were refused for building on it.
                    OutState::Refused(refusal) if fates.is_empty() && stall.first == Some(out) => {
                        if self.is_worth_renumbering(out, refusal.rule) {
                            renumbered = Some(out);
                            continue;
                        }
                        if is_reoffer && may_pass_in_words(refusal.rule) {
                            passing.insert(out);
                        }
                    }
                    OutState::Refused(_) | OutState::Pending => continue,
                }
                if is_reoffer {
                    offered.insert(out);
                }
                fates.insert(out, state);
            }
            if let Some(Work::Edit(work)) =
                renumbered.and_then(|out| self.outbox.get_mut(out)).map(|row| &mut row.work)
            {
                work.rebases += 1;
            }
            let fates = self.put_in_words(doc, &offered, &passing, fates);
            self.rebase(doc, fates);
        }
    }

    /// Whether a row is work that a restored server lost.
    pub(super) fn is_reoffer(&self, out: u64) -> bool {
        matches!(self.outbox.get(out).map(|row| &row.work), Some(Work::Reoffer { .. }))
    }

    /// Whether a document's unsent edits lack the acknowledged form that they build on.
    pub(super) fn is_orphan(&self, doc: DocId) -> bool {
        self.held.get(doc).is_none() && self.outbox.needs_ground(doc)
    }

    /// Whether the same words may pass under another actor's numbers.
    fn is_worth_renumbering(&self, out: u64, rule: Rule) -> bool {
        match self.outbox.get(out).map(|row| &row.work) {
            Some(Work::Edit(work)) => is_numbering(rule) && work.rebases < REBASES_MAX,
            Some(Work::Reoffer { .. } | Work::Request { .. }) | None => false,
        }
    }

    /// Gives rows their fates and makes the document's other unsent edits again on the acknowledged form.
    /// One write holds all of it; if we die before it, the server will say the same again.
    pub(super) fn rebase(&mut self, doc: DocId, fates: Map<u64, OutState>) {
        let unfit = self.unfit_reoffers(doc);
        let fates = self.put_in_words(doc, &unfit, &unfit, fates);
        for (out, state) in fates {
            self.settle_out(out, state);
        }
        self.renew_actor();
        self.held.close(doc);
        let mut document = self.held.get(doc).and_then(|row| Document::load(&row.saved).ok());
        for out in self.outbox.pending_of(doc) {
            let row = self.outbox.get(out).expect("its number was listed");
            let made = match &row.work {
                Work::Edit(work) => self
                    .writer(row.recorded)
                    .and_then(|writer| make_again(&mut document, &writer, work))
                    .map(Some),
                Work::Reoffer { .. } => {
                    let target = document.get_or_insert_with(Document::empty);
                    let applied = target.apply(&change_bytes(row));
                    applied.map(|()| None).map_err(|_| Rule::Unloadable.into())
                }
                Work::Request { .. } => continue,
            };
            match made {
                Ok(Some(changes)) if changes.is_empty() => {
                    self.outbox.remove(out);
                }
                Ok(Some(made)) => {
                    if let Some(Work::Edit(work)) = self.outbox.get_mut(out).map(|row| &mut row.work) {
                        work.changes = made;
                    }
                }
                Ok(None) => {}
                Err(refusal) => self.settle_out(out, OutState::Refused(refusal)),
            }
            self.touch(Key::Out(out));
        }
        if let Some(document) = document {
            self.held.keep_open(doc, document);
        }
        self.refresh_list_row(doc);
        self.rebases += 1;
        self.changed = true;
    }

    /// Work offered again that does not fit the acknowledged form: a copy of this phone has used its numbers.
    fn unfit_reoffers(&self, doc: DocId) -> Set<u64> {
        let held = || self.held.get(doc).and_then(|row| Document::load(&row.saved).ok());
        let fits = |out: &u64| {
            let chunks = self.outbox.get(*out).map(change_bytes).unwrap_or_default();
            held().unwrap_or_else(Document::empty).apply(&chunks).is_ok()
        };
        let offered = self.outbox.pending_of(doc).into_iter().filter(|out| self.is_reoffer(*out));
        offered.filter(|out| !fits(out)).collect()
    }

    /// Gives the installation's actor up for a fresh one.
    pub(super) fn renew_actor(&mut self) {
        let former = std::mem::replace(&mut self.meta.actor, self.entropy.actor_id());
        self.meta.former_actors.push(former);
        self.touch(Key::Meta);
    }
}

fn is_numbering(rule: Rule) -> bool {
    matches!(rule, Rule::ActorForeign | Rule::SequenceGap | Rule::SequenceReused | Rule::StartOpAbsurd)
}

/// Whether what was refused as bytes may pass as words, made again on what the server holds: its numbers are
/// another's by now, or what it builds on does not come back.
fn may_pass_in_words(rule: Rule) -> bool {
    is_numbering(rule) || rule == Rule::DependencyUnknown
}

/// Makes an edit again. A creation that the server holds in part is continued as an edit.
fn make_again(
    document: &mut Option<Document>,
    writer: &Writer,
    work: &EditWork,
) -> Result<Vec<crate::client::rows::OwnChange>, Refusal> {
    let edit = if work.begun { plainly(&work.edit) } else { work.edit.clone() };
    let changes = match (document.as_mut(), &edit) {
        (None, Edit::CreateCustomer { .. } | Edit::CreateVisit { .. } | Edit::CreateComment { .. }) => {
            let (made, changes) = Document::create(writer, &edit)?;
            *document = Some(made);
            changes
        }
        (None, Edit::EditCustomer { .. } | Edit::EditVisit { .. } | Edit::VoidVisit { .. }) => {
            return Err(Rule::NotFound.into());
        }
        (Some(document), Edit::CreateCustomer { customer, fields }) => {
            document.edit(writer, &Edit::EditCustomer { customer: *customer, fields: fields.clone() })?
        }
        (Some(document), Edit::CreateVisit { visit, fields, .. }) => {
            document.edit(writer, &Edit::EditVisit { visit: *visit, fields: fields.clone() })?
        }
        // A comment is made at once or not at all.
        (Some(document), Edit::CreateComment { text, .. })
            if document.text_of("text").as_ref() == Some(text) =>
        {
            Vec::new()
        }
        (Some(_), Edit::CreateComment { .. }) => return Err(Rule::DocumentTooLarge.into()),
        (Some(document), edit) => document.edit(writer, edit)?,
    };
    Ok(changes.into_iter().map(Into::into).collect())
}

/// The edit with long texts as plain new values: a difference that went in by half would go in twice.
pub(super) fn plainly(edit: &Edit) -> Edit {
    let plain = |fields: &Patch| {
        let whole = |value: &Value| match value {
            Value::Text { text, .. } => Value::Str(text.clone()),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Str(_) => value.clone(),
        };
        fields.iter().map(|(path, value)| (path.clone(), whole(value))).collect::<Patch>()
    };
    let mut edit = edit.clone();
    match &mut edit {
        Edit::CreateCustomer { fields, .. }
        | Edit::EditCustomer { fields, .. }
        | Edit::CreateVisit { fields, .. }
        | Edit::EditVisit { fields, .. } => *fields = plain(fields),
        Edit::VoidVisit { .. } | Edit::CreateComment { .. } => {}
    }
    edit
}
