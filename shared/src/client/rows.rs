//! The phone's rows: their keys, and the bytes of each. The whole of the machine's state can be made again
//! from them (CL-2). Knows how things are written down, not what they mean.
//!
//! | key | what |
//! |---|---|
//! | `meta` | identity, place in the feed, clock, counters ([`Meta`]) |
//! | `doc/ID` | an acknowledged document ([`DocRow`]) |
//! | `row/ID` | what lists show of a document, acknowledged and unsent ([`super::index::ListRow`]); a cache |
//! | `out/N` | unsent, refused or held work ([`OutRow`]) |
//! | `events/SCOPE` | a scope, its grant and its ledger events ([`ScopeRow`]) |
//! | `actors` | which person each actor belongs to |
//! | `view/home`, `view/status` | JSON for the first screen before the machine is loaded |

use minicbor::bytes::ByteVec;

use crate::cbor::{Decode, Encode};
use crate::client::{OpenFailure, Profile};
use crate::document::{Kind, Told};
use crate::edit::Edit;
use crate::id::{ActorId, ChangeHash, DocId, IncarnationId, PersonId, RequestId, Scope, Seq};
use crate::json;
use crate::ledger::people::Access;
use crate::ledger::{Command, LedgerEvent};
use crate::order;
use crate::protocol::Cursor;
use crate::refusal::Refusal;
use crate::settings::PhoneSettings;
use crate::time::{Recorded, UtcMillis};

/// The version of this file. Software opens rows of its own version and earlier ones.
pub(super) const FORMAT: u32 = 1;

/// The key of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Key {
    Meta,
    Actors,
    Scope(Scope),
    Doc(DocId),
    List(DocId),
    Out(u64),
    Home,
    Status,
}

impl Key {
    pub(super) fn name(self) -> String {
        match self {
            Key::Meta => "meta".to_owned(),
            Key::Actors => "actors".to_owned(),
            Key::Scope(Scope::Customer(id)) => format!("events/c-{id}"),
            Key::Scope(Scope::Person(id)) => format!("events/p-{id}"),
            Key::Scope(Scope::Organisation) => "events/o".to_owned(),
            Key::Doc(id) => format!("doc/{id}"),
            Key::List(id) => format!("row/{id}"),
            Key::Out(number) => format!("out/{number:012}"),
            Key::Home => "view/home".to_owned(),
            Key::Status => "view/status".to_owned(),
        }
    }

    pub(super) fn parse(name: &str) -> Option<Key> {
        let key = match name.split_once('/') {
            None if name == "meta" => Key::Meta,
            None if name == "actors" => Key::Actors,
            Some(("events", "o")) => Key::Scope(Scope::Organisation),
            Some(("events", rest)) => match rest.split_once('-')? {
                ("c", id) => Key::Scope(Scope::Customer(id.parse().ok()?)),
                ("p", id) => Key::Scope(Scope::Person(id.parse().ok()?)),
                _ => return None,
            },
            Some(("doc", id)) => Key::Doc(id.parse().ok()?),
            Some(("row", id)) => Key::List(id.parse().ok()?),
            Some(("out", number)) => Key::Out(number.parse().ok()?),
            Some(("view", "home")) => Key::Home,
            Some(("view", "status")) => Key::Status,
            _ => return None,
        };
        Some(key)
    }
}

/// What the phone knows of itself.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(super) struct Meta {
    /// [`FORMAT`].
    #[n(0)]
    pub(super) format: u32,
    /// The installation's present actor.
    #[n(1)]
    pub(super) actor: ActorId,
    /// Its former ones, given up after refusals. All are its own for S14.
    #[n(2)]
    pub(super) former_actors: Vec<ActorId>,
    #[n(3)]
    pub(super) profile: Option<Profile>,
    /// The server's store that the cursor belongs to.
    #[n(4)]
    pub(super) incarnation: Option<IncarnationId>,
    /// Where the phone's copy ends; none fetches everything.
    #[n(5)]
    pub(super) cursor: Option<Cursor>,
    /// Whether a feed was ever read to its end.
    #[n(6)]
    pub(super) complete: bool,
    /// How often the phone began its copy anew. Scopes of an earlier epoch are stale.
    #[n(7)]
    pub(super) epoch: u32,
    /// Whether the present epoch began because the server lost something (S14): own changes that the new
    /// copy lacks go back into the outbox.
    #[n(8)]
    pub(super) recovering: bool,
    /// Server minus wall clock, as last measured.
    #[n(9)]
    pub(super) clock_offset_ms: Option<i64>,
    /// The latest wall time seen, to notice a clock set back between two runs.
    #[n(10)]
    pub(super) wall_seen: UtcMillis,
    /// The server's time of the last complete exchange.
    #[n(11)]
    pub(super) last_synced: Option<UtcMillis>,
    /// The number of the next outbox row.
    #[n(12)]
    pub(super) next_out: u64,
    /// Notices that the person has read on this phone.
    #[n(13)]
    pub(super) dismissed: Vec<Seq>,
    /// Photos that the server has not verified, as the driver last said.
    #[n(14)]
    pub(super) photos: u32,
    /// The person's time zone when the machine was last called, in minutes east of UTC.
    #[n(15)]
    pub(super) offset_minutes: i32,
    /// What the organisation has set, as the server last said; none before it ever did.
    #[n(16)]
    pub(super) settings: Option<PhoneSettings>,
}

/// An acknowledged document.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(super) struct DocRow {
    #[n(0)]
    pub(super) kind: Kind,
    #[n(1)]
    pub(super) scope: Scope,
    /// When the server received its first change.
    #[n(2)]
    pub(super) received: UtcMillis,
    /// The heads of `saved`, so that digests need no document.
    #[n(3)]
    pub(super) heads: Vec<ChangeHash>,
    /// The [`ScopeRow::generation`] in which it came; an earlier one than the scope's is stale.
    #[n(4)]
    pub(super) generation: u32,
    /// Automerge's saved form.
    #[n(5)]
    pub(super) saved: ByteVec,
}

/// A scope: the grant and the ledger's events.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(super) struct ScopeRow {
    #[n(0)]
    pub(super) access: Access,
    /// The grant ended; the copy goes when everything unsent has gone (S2).
    #[n(1)]
    pub(super) leaving: bool,
    /// The [`Meta::epoch`] in which the scope was last granted.
    #[n(2)]
    pub(super) epoch: u32,
    /// How often the scope was sent whole. Documents of an earlier generation are stale.
    #[n(3)]
    pub(super) generation: u32,
    /// Whether the scope was granted whole and its events have not come yet: the first ones replace those held.
    #[n(4)]
    pub(super) events_stale: bool,
    #[n(5)]
    pub(super) events: Vec<LedgerEvent>,
}

/// One row of the outbox.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct OutRow {
    /// When it was recorded.
    pub(super) recorded: Recorded,
    /// What became of it so far.
    pub(super) state: OutState,
    /// The customer's name when it was refused or held; the card may leave the phone before the person looks.
    pub(super) customer_name: String,
    /// The work.
    pub(super) work: Work,
}

/// What became of outbox work.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(super) enum OutState {
    /// The server has not answered.
    #[n(0)]
    Pending,
    /// The server, or a rebase, said no; kept until the person dismisses it.
    #[n(1)]
    Refused(#[n(0)] Refusal),
    /// On the server's disk, waiting for a decision (S2); kept until the person dismisses it.
    #[n(2)]
    Held(#[n(0)] Seq),
}

/// Unsent work.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Work {
    /// An edit and the changes that it made.
    Edit(EditWork),
    /// Changes that a restored server has lost (S14). Acknowledged once, so the edits are gone; `words` are the
    /// own ones told again.
    Reoffer {
        doc: DocId,
        kind: Kind,
        scope: Scope,
        received: UtcMillis,
        changes: Vec<Reoffered>,
        words: Vec<Told>,
    },
    /// A ledger command.
    Request { id: RequestId, command: Command },
}

/// An edit in the outbox.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct EditWork {
    pub(super) edit: Edit,
    pub(super) doc: DocId,
    pub(super) kind: Kind,
    pub(super) scope: Scope,
    /// Those that the server has not acknowledged, in order.
    pub(super) changes: Vec<OwnChange>,
    /// Whether some of the edit's changes are acknowledged already.
    pub(super) begun: bool,
    /// How often it was made again because its own numbers were refused.
    pub(super) rebases: u32,
}

/// A change made here.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(super) struct OwnChange {
    #[n(0)]
    pub(super) hash: ChangeHash,
    #[n(1)]
    pub(super) bytes: ByteVec,
}

/// A change that a restored server lacks.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub(super) struct Reoffered {
    #[n(0)]
    pub(super) change: OwnChange,
    /// Whether this phone made it and so may push it. Others are kept only because own ones build on them.
    #[n(1)]
    pub(super) own: bool,
}

/// The bytes of an [`OutRow`]. The edit is JSON: it is what a rescue reads, and its shape grows with the
/// domain.
#[derive(Encode, Decode)]
struct OutBytes {
    #[n(0)]
    recorded: Recorded,
    #[n(1)]
    state: OutState,
    #[n(2)]
    customer_name: String,
    #[n(3)]
    work: WorkBytes,
}

#[derive(Encode, Decode)]
enum WorkBytes {
    #[n(0)]
    Edit {
        #[n(0)]
        edit: String,
        #[n(1)]
        doc: DocId,
        #[n(2)]
        kind: Kind,
        #[n(3)]
        scope: Scope,
        #[n(4)]
        changes: Vec<OwnChange>,
        #[n(5)]
        begun: bool,
        #[n(6)]
        rebases: u32,
    },
    #[n(1)]
    Reoffer {
        #[n(0)]
        doc: DocId,
        #[n(1)]
        kind: Kind,
        #[n(2)]
        scope: Scope,
        #[n(3)]
        received: UtcMillis,
        #[n(4)]
        changes: Vec<Reoffered>,
        #[n(5)]
        words: Option<Vec<ToldBytes>>,
    },
    #[n(2)]
    Request {
        #[n(0)]
        id: RequestId,
        #[n(1)]
        command: Command,
    },
}

/// The bytes of [`Told`].
#[derive(Encode, Decode)]
struct ToldBytes {
    #[n(0)]
    changes: Vec<ChangeHash>,
    #[n(1)]
    at: UtcMillis,
    #[n(2)]
    edit: String,
}

impl ToldBytes {
    fn of(told: Told) -> ToldBytes {
        ToldBytes { changes: told.changes, at: told.at, edit: json::write_text(&told.edit) }
    }

    fn told(self) -> Option<Told> {
        Some(Told { changes: self.changes, at: self.at, edit: json::parse(&self.edit).ok()? })
    }
}

impl OutRow {
    pub(super) fn encode(&self) -> Vec<u8> {
        let work = match self.work.clone() {
            Work::Edit(EditWork { edit, doc, kind, scope, changes, begun, rebases }) => {
                let edit = json::write_text(&edit);
                WorkBytes::Edit { edit, doc, kind, scope, changes, begun, rebases }
            }
            Work::Reoffer { doc, kind, scope, received, changes, words } => {
                let words = Some(words.into_iter().map(ToldBytes::of).collect());
                WorkBytes::Reoffer { doc, kind, scope, received, changes, words }
            }
            Work::Request { id, command } => WorkBytes::Request { id, command },
        };
        let customer_name = self.customer_name.clone();
        encode(&OutBytes { recorded: self.recorded, state: self.state.clone(), customer_name, work })
    }

    fn decode(bytes: &[u8]) -> Option<OutRow> {
        let OutBytes { recorded, state, customer_name, work } = decode(bytes)?;
        let work = match work {
            WorkBytes::Edit { edit, doc, kind, scope, changes, begun, rebases } => {
                let edit = json::parse(&edit).ok()?;
                Work::Edit(EditWork { edit, doc, kind, scope, changes, begun, rebases })
            }
            WorkBytes::Reoffer { doc, kind, scope, received, changes, words } => {
                let told = words.unwrap_or_default().into_iter().map(ToldBytes::told);
                Work::Reoffer { doc, kind, scope, received, changes, words: told.collect::<Option<_>>()? }
            }
            WorkBytes::Request { id, command } => Work::Request { id, command },
        };
        Some(OutRow { recorded, state, customer_name, work })
    }

    /// The document that the work changes.
    pub(super) fn doc(&self) -> Option<DocId> {
        match &self.work {
            Work::Edit(EditWork { doc, .. }) | Work::Reoffer { doc, .. } => Some(*doc),
            Work::Request { .. } => None,
        }
    }

    /// The scope that the work lies in.
    pub(super) fn scope(&self) -> Scope {
        match &self.work {
            Work::Edit(EditWork { scope, .. }) | Work::Reoffer { scope, .. } => *scope,
            Work::Request { command, .. } => Scope::Customer(command.customer()),
        }
    }

    /// Whether the server has not answered.
    pub(super) fn is_pending(&self) -> bool {
        self.state == OutState::Pending
    }
}

/// Every row, decoded.
#[derive(Default)]
pub(super) struct Loaded {
    pub(super) meta: Option<Meta>,
    pub(super) actors: Vec<(ActorId, PersonId)>,
    pub(super) scopes: Vec<(Scope, ScopeRow)>,
    pub(super) docs: Vec<(DocId, DocRow)>,
    pub(super) lists: Vec<(DocId, Vec<u8>)>,
    pub(super) out: Vec<(u64, OutRow)>,
    /// Rows that hold nothing but copies of the server's data and cannot be read: deleted and fetched again.
    pub(super) damaged: Vec<String>,
}

/// Reads the rows.
///
/// # Errors
/// `Damaged` for a row that exists nowhere else, `Newer`.
pub(super) fn load(rows: Vec<(String, Vec<u8>)>) -> Result<Loaded, OpenFailure> {
    let mut loaded = Loaded::default();
    for (name, bytes) in rows {
        let read = match Key::parse(&name) {
            Some(Key::Meta) => {
                loaded.meta = Some(load_meta(&bytes)?);
                Some(())
            }
            Some(Key::Out(number)) => {
                let row = OutRow::decode(&bytes).ok_or_else(|| OpenFailure::Damaged(name.clone()))?;
                loaded.out.push((number, row));
                Some(())
            }
            Some(Key::Actors) => decode(&bytes).map(|actors| loaded.actors = actors),
            Some(Key::Scope(scope)) => decode(&bytes).map(|row| loaded.scopes.push((scope, row))),
            Some(Key::Doc(doc)) => decode(&bytes).map(|row| loaded.docs.push((doc, row))),
            Some(Key::List(doc)) => {
                loaded.lists.push((doc, bytes));
                Some(())
            }
            Some(Key::Home | Key::Status) => Some(()),
            None => None,
        };
        if read.is_none() {
            loaded.damaged.push(name);
        }
    }
    if loaded.meta.is_none() && !loaded.out.is_empty() {
        return Err(OpenFailure::Damaged("meta".to_owned()));
    }
    order::sort_by_key(&mut loaded.out, |(number, _)| *number);
    Ok(loaded)
}

fn load_meta(bytes: &[u8]) -> Result<Meta, OpenFailure> {
    let damaged = || OpenFailure::Damaged("meta".to_owned());
    let mut decoder = minicbor::Decoder::new(bytes);
    decoder.array().map_err(|_| damaged())?;
    let format = decoder.u32().map_err(|_| damaged())?;
    if format > FORMAT {
        return Err(OpenFailure::Newer(format));
    }
    decode(bytes).ok_or_else(damaged)
}

pub(super) fn encode<T: Encode<()>>(row: &T) -> Vec<u8> {
    minicbor::to_vec(row).expect("writing to a vector cannot fail")
}

pub(super) fn decode<'b, T: Decode<'b, ()>>(bytes: &'b [u8]) -> Option<T> {
    minicbor::decode(bytes).ok()
}
