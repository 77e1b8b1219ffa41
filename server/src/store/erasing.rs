//! Erasure: everything of a document leaves the store, the log included, and a tombstone stays, so that no
//! phone can bring it back. With a customer's card go the words about the customer in the ledger's events.

use shared::id::{DocId, Scope, Seq};
use shared::ledger::CustomerRecord;

use super::row::to_cbor;
use super::sqlite::SqliteTransaction;
use super::write::Answer;
use super::{Lookup, scope_key};

/// The table of tombstones, as a migration. A customer whose card is erased holds nobody in the company (R4).
pub(super) const TABLES: &str = "
CREATE TABLE erased (
  doc BLOB PRIMARY KEY,
  scope BLOB NOT NULL,
  seq INTEGER NOT NULL REFERENCES events(seq)
) STRICT, WITHOUT ROWID;
DROP TRIGGER owners_stay_active;
CREATE TRIGGER owners_stay_active BEFORE UPDATE OF active ON people
WHEN NEW.active = 0 AND EXISTS (
  SELECT 1 FROM customers WHERE owner = NEW.id AND id NOT IN (SELECT doc FROM erased))
BEGIN SELECT RAISE(ABORT, 'R4: a person who owns customers stays active'); END;
";

/// Events read at once while the words of a customer are looked for in all of them.
const STEP: usize = 500;

impl SqliteTransaction<'_> {
    /// Takes a document out of the store. `secure_delete` overwrites its bytes in the file; what the write-ahead
    /// log holds of it goes with the next checkpoint.
    pub(super) fn erase(&mut self, doc: DocId, scope: Scope, at: Seq) -> Answer {
        if let Some(row) = self.lookup.document(doc)? {
            *self.digests.entry(row.scope).or_default() ^= row.digest.0;
        }
        for sql in [
            "DELETE FROM changes WHERE doc = ?",
            "DELETE FROM held WHERE doc = ?",
            "DELETE FROM snapshots WHERE doc = ?",
            "DELETE FROM projections WHERE doc = ?",
            "DELETE FROM documents WHERE id = ?",
        ] {
            self.run(sql, [doc.0])?;
        }
        super::quarantine::erase(self.transaction, doc)?;
        let sql = "INSERT INTO erased (doc, scope, seq) VALUES (?, ?, ?) ON CONFLICT (doc) DO NOTHING";
        self.run(sql, (doc.0, scope_key(scope), at.0 as i64))?;
        if scope == Scope::Customer(doc) { self.forget_words_of(doc) } else { Ok(()) }
    }

    /// Takes what people typed about a customer out of the events, in every scope, and folds the record anew.
    fn forget_words_of(&self, customer: DocId) -> Answer {
        let mut after = Seq(0);
        loop {
            let events = self.lookup.events_all(after, STEP)?;
            let Some(last) = events.last() else { break };
            after = last.seq;
            for event in &events {
                if let Some(bare) = event.kind.without_words_of(customer) {
                    let sql = "UPDATE events SET kind = ? WHERE seq = ?";
                    self.run(sql, (to_cbor(&bare), event.seq.0 as i64))?;
                }
            }
        }
        let events = self.lookup.events(Scope::Customer(customer), Seq(0), Seq(u64::MAX))?;
        match events.iter().fold(None, CustomerRecord::fold) {
            Some(record) => self.put_record(&record),
            None => Ok(()),
        }
    }
}
