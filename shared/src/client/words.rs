//! Work that a restored server lost and does not take back as bytes (CL-29): it is put back into the words of
//! edits, which can be made again on other ground or shown to their author; what was refused because the server
//! does not know the customer is offered again when it does; and what the former server held is offered to the
//! restored one.

use crate::client::Client;
use crate::client::outbox::Lane;
use crate::client::rebase::plainly;
use crate::client::rows::{EditWork, Key, OutRow, OutState, Reoffered, Work};
use crate::document::Told;
use crate::id::{ChangeHash, DocId, Scope};
use crate::refusal::Rule;
use crate::sorted::{Map, Set};
use crate::time::Recorded;

impl Client {
    /// Puts rows of work offered again into words, in their place ahead of what builds on them. All rows of the
    /// document get new numbers; returns the fates under these. Words of `passing` rows have no fate yet: they
    /// may pass where the bytes did not.
    pub(super) fn put_in_words(
        &mut self,
        doc: DocId,
        offered: &Set<u64>,
        passing: &Set<u64>,
        mut fates: Map<u64, OutState>,
    ) -> Map<u64, OutState> {
        if offered.is_empty() {
            return fates;
        }
        let mut renumbered = Map::default();
        for out in self.outbox.pending_of(doc) {
            let Some(row) = self.take_out(out) else { continue };
            let mut fate = fates.remove(&out);
            let is_held = matches!(fate, Some(OutState::Held(_)));
            let told = if offered.contains(&out) { told_again(&row, is_held) } else { Vec::new() };
            if !told.is_empty() && passing.contains(&out) {
                fate = None;
            }
            for row in if told.is_empty() { vec![row] } else { told } {
                let number = self.append_out(row);
                renumbered.extend(fate.clone().map(|fate| (number, fate)));
            }
        }
        self.outbox.clear_pause(Lane::Doc(doc));
        renumbered
    }

    /// Edits that the server held before it was restored are offered again (CL-25): it may never have heard of
    /// them. They build on what this phone may not see any more, and wait for no document.
    pub(super) fn offer_held_again(&mut self) {
        let is_held = |row: &OutRow| matches!((&row.state, &row.work), (OutState::Held(_), Work::Edit(_)));
        let rows: Vec<u64> = self.outbox.iter().filter(|(_, row)| is_held(row)).map(|(out, _)| out).collect();
        for out in rows {
            let Some(row) = self.outbox.get_mut(out) else { continue };
            let at = row.recorded.at;
            let Work::Edit(EditWork { edit, doc, kind, scope, changes, begun, .. }) = &row.work else {
                continue;
            };
            if changes.is_empty() {
                continue;
            }
            let edit = if *begun { plainly(edit) } else { edit.clone() };
            let told = Told { changes: changes.iter().map(|change| change.hash).collect(), at, edit };
            let changes = changes.iter().cloned().map(|change| Reoffered { own: true, change }).collect();
            let (doc, kind, scope) = (*doc, *kind, *scope);
            row.work = Work::Reoffer { doc, kind, scope, received: at, changes, words: vec![told] };
            row.state = OutState::Pending;
            self.held.close(doc);
            self.refresh_list_row(doc);
            self.touch(Key::Out(out));
        }
    }

    /// The server knows the scope: what it refused because it did not is offered again, made anew on what the
    /// feed brings; what waits for it waits no longer.
    pub(super) fn offer_refused_again(&mut self, scope: Scope) {
        let rows: Vec<u64> = self.outbox.of_scope(scope).map(|(out, _)| out).collect();
        for out in rows {
            let row = self.outbox.get_mut(out).expect("its number was listed");
            let is_unknown =
                matches!(&row.state, OutState::Refused(refusal) if refusal.rule == Rule::NotFound);
            if let (Work::Edit(work), true) = (&mut row.work, is_unknown) {
                work.changes.clear();
                work.rebases = 0;
                row.state = OutState::Pending;
                self.touch(Key::Out(out));
            }
            let lane = self.outbox.get(out).and_then(OutRow::doc).map_or(Lane::Request(out), Lane::Doc);
            self.outbox.clear_pause(lane);
        }
    }
}

/// The edits that a row was, as far as they were not acknowledged; none if they cannot be said in words. `with_bytes`:
/// the server holds the bytes, and another one may be offered them.
fn told_again(row: &OutRow, with_bytes: bool) -> Vec<OutRow> {
    let Work::Reoffer { doc, kind, scope, changes, words, .. } = &row.work else { return Vec::new() };
    let is_left = |hash: &ChangeHash| changes.iter().any(|each| each.change.hash == *hash);
    let changes_of = |told: &Told| {
        let of_it = changes.iter().filter(|each| told.changes.contains(&each.change.hash));
        of_it.map(|each| each.change.clone()).collect()
    };
    let as_row = |told: &Told| {
        let work = EditWork {
            edit: told.edit.clone(),
            doc: *doc,
            kind: *kind,
            scope: *scope,
            changes: if with_bytes { changes_of(told) } else { Vec::new() },
            begun: !told.changes.iter().all(is_left),
            rebases: 0,
        };
        OutRow {
            recorded: Recorded { at: told.at, ..row.recorded },
            state: OutState::Pending,
            customer_name: row.customer_name.clone(),
            work: Work::Edit(work),
        }
    };
    words.iter().filter(|told| told.changes.iter().any(is_left)).map(as_row).collect()
}
