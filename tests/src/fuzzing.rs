//! What fuzzing drives: one function a target, each over plain bytes, each with its own opinion of what may
//! not happen, and each says whether its input got past the first gate, so that a replay can see that the
//! target does something. The targets of `fuzz/` and the replay of the kept corpus call the same functions.

mod seed;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, resume_unwind, set_hook, take_hook};
use std::sync::Once;

use server::admission::{Admitter, InProcess, Job, Judged};
use server::hub::{Administration, Hub, Identity, Output, SessionId, Transport, administer};
use server::store::{DeviceRow, Lookup, SqliteStore, Store};
use shared::admission::{AdmissionInput, Admitted, admit};
use shared::client::{Client, Disconnect, OpenFailure, Profile};
use shared::document::{Document, Kind, SCHEMA_VERSION};
use shared::edit::{Edit, Patch};
use shared::entropy::Entropy;
use shared::id::{ChangeHash, DeviceId, DocId, RequestId, Scope, Seq};
use shared::ledger::people::{Person, Role};
use shared::limits;
use shared::protocol::{
    ClientFrame, Hello, Item, ItemResult, PROTOCOL_VERSION, PendingCounts, PushItem, ServerFrame,
    decode_client_frame, decode_server_frame, encode,
};
use shared::time::{Now, UtcMillis};
use shared::view::Query;

use crate::chunk;
use crate::invariant::{Heard, check_grants, check_store};
use crate::world::clock::EPOCH_MS;
use seed::{
    CUSTOMER, Card, INCARNATION, OTHER, PERSON, SCOPE, changes, granted, page, pushed, welcome, workbook,
};

/// How far an input came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Something in it was taken.
    Taken,
    /// All of it was refused.
    Refused,
}

impl Fate {
    fn of(is_taken: bool) -> Fate {
        if is_taken { Fate::Taken } else { Fate::Refused }
    }
}

/// A target's name and its function.
pub type Target = (&'static str, fn(&[u8]) -> Fate);

/// Every target.
pub const TARGETS: [Target; 8] = [
    ("wire_parse", wire_parse),
    ("admission", admission),
    ("client_frame", client_frame),
    ("session", session),
    ("server_page", server_page),
    ("server_apply", server_apply),
    ("stored_row", stored_row),
    ("sheet", sheet),
];

thread_local! {
    /// Whether a panic of the document engine is expected here, and whether the last panic was the engine's.
    static GUARD: Cell<(bool, bool)> = const { Cell::new((false, false)) };
}

/// Calls the document engine, which may panic on what it is given: that ends a worker of the server or a run
/// of the phone, and both begin anew. A panic of ours goes on as a panic.
fn guarded<T>(call: impl FnOnce() -> T) -> Option<T> {
    static HOOKED: Once = Once::new();
    HOOKED.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            let (is_guarded, _) = GUARD.get();
            let is_engines = is_engines(panic);
            GUARD.set((is_guarded, is_engines));
            if !(is_guarded && is_engines) {
                before(panic);
            }
        }));
    });
    GUARD.set((true, false));
    let outcome = catch_unwind(AssertUnwindSafe(call));
    let (_, was_engines) = GUARD.replace((false, false));
    match outcome {
        Ok(value) => Some(value),
        Err(_) if was_engines => None,
        Err(panic) => resume_unwind(panic),
    }
}

fn is_engines(panic: &PanicHookInfo<'_>) -> bool {
    panic
        .location()
        .is_some_and(|place| ["/automerge-", "/hexane-"].iter().any(|name| place.file().contains(name)))
}

/// Judges as a worker would, which dies when the engine does.
struct Guarded;

impl Admitter for Guarded {
    fn judge(&mut self, jobs: Vec<Job>) -> Judged {
        guarded(|| InProcess.judge(jobs)).expect("admission itself catches what the engine does")
    }
}

const DEVICE: DeviceId = DeviceId([2; 16]);

/// The pre-parser reads anything without a panic and accepts nothing beyond its limits, with the checksum
/// as it came and made right.
pub fn wire_parse(bytes: &[u8]) -> Fate {
    let mut is_taken = false;
    for bytes in [bytes.to_vec(), chunk::mend(bytes), chunk::chunk(1, bytes)] {
        if let Ok(header) = shared::wire::parse(&bytes) {
            assert!(bytes.len() <= limits::CHANGE_BYTES_MAX);
            assert!(header.op_count <= limits::CHANGE_OPS_MAX);
            assert!(header.deps.len() <= limits::CHANGE_DEPS_MAX);
            assert!(header.other_actors.len() <= limits::CHANGE_ACTORS_MAX);
            is_taken = true;
        }
    }
    Fate::of(is_taken)
}

/// Overwrites bytes with pieces of the input, from a place on: place, length, bytes, and so on.
fn overwrite(bytes: &mut [u8], from: usize, mut input: &[u8]) {
    while let [low, high, length, rest @ ..] = input {
        let place = usize::from(u16::from_le_bytes([*low, *high]));
        let place = from + place % (bytes.len().saturating_sub(from)).max(1);
        let (piece, rest) = rest.split_at((*length as usize % 8).min(rest.len()));
        for (index, byte) in piece.iter().enumerate() {
            if let Some(target) = bytes.get_mut(place + index) {
                *target = *byte;
            }
        }
        input = rest;
    }
}

/// A chunk with pieces of the input in it and its checksum made right.
pub fn mutated(mut chunk_bytes: Vec<u8>, input: &[u8]) -> Vec<u8> {
    overwrite(&mut chunk_bytes, 10, input);
    chunk::mend(&chunk_bytes)
}

/// What admission accepts is within its limits, and comes out the same when it is done again on the stored document and
/// on its log alone; what comes again changes nothing.
pub fn admission(bytes: &[u8]) -> Fate {
    let Card { saved, created, edited, large } = Card::get();
    let (choice, input) = bytes.split_first().map_or((0, bytes), |(first, rest)| (*first, rest));
    let (log, change) = match choice % 5 {
        0 => (vec![], mutated(created.clone(), input)),
        1 => (vec![created.clone()], mutated(edited.clone(), input)),
        2 => (vec![created.clone()], mutated(large.clone(), input)),
        3 => (vec![], chunk::mend(input)),
        _ => (vec![created.clone()], chunk::mend(input)),
    };
    if shared::wire::parse(&change).is_err() {
        return Fate::Refused;
    }
    let stored = (!log.is_empty()).then(|| saved.clone());
    // Automerge may panic on what the pre-parser lets through: that ends a worker, never the server.
    let Some(Ok(admitted)) = guarded(|| admit(&job(stored.clone(), &change))) else { return Fate::Refused };
    if admitted.applied == 0 {
        return Fate::Refused;
    }
    let is_same = |document: &mut Document| {
        let saved = document.save();
        assert_eq!(document.heads(), admitted.heads);
        assert!(saved.len() <= limits::DOCUMENT_BYTES_MAX);
        assert!(document.change_count() <= limits::DOCUMENT_CHANGES_MAX);
        assert_eq!(Document::load(&saved).expect("what was saved loads").heads(), admitted.heads);
    };
    is_same(&mut Document::load(&admitted.saved).expect("what was admitted loads"));
    let stored = stored.map(|saved| Document::load(&saved).expect("the card is honest"));
    let mut on_stored = stored.unwrap_or_else(Document::empty);
    on_stored.apply(&[&change]).expect("what was admitted applies to the stored document");
    is_same(&mut on_stored);
    on_stored.apply(&[&change]).expect("a change may come again");
    assert_eq!(on_stored.change_count(), log.len() as u64 + 1, "a change that came again was applied again");
    let mut of_log = Document::empty();
    of_log.apply(&[log, vec![change.clone()]].concat()).expect("the log loads");
    is_same(&mut of_log);
    let Admitted { saved, heads, .. } =
        admit(&job(Some(admitted.saved.clone()), &change)).expect("a change may come again");
    assert_eq!(
        (saved, heads),
        (admitted.saved, admitted.heads),
        "a change that came again was admitted again"
    );
    Fate::Taken
}

fn job(stored: Option<Vec<u8>>, change: &[u8]) -> AdmissionInput {
    let changes = vec![change.to_vec()];
    AdmissionInput { doc: CUSTOMER, kind: Kind::Customer, scope: SCOPE, stored, person: PERSON, changes }
}

/// A device's frame is read without a panic, and what was read is written as it came or not at all.
pub fn client_frame(bytes: &[u8]) -> Fate {
    let Ok(frame) = decode_client_frame(bytes) else { return Fate::Refused };
    let again = encode(&frame);
    assert_eq!(decode_client_frame(&again).expect("just written"), frame);
    Fate::Taken
}

/// The input cut into frames: two bytes of length, then so many bytes.
fn cut(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    while let [low, high, rest @ ..] = bytes {
        let length = (usize::from(*low) | usize::from(*high) << 8).min(rest.len());
        let (piece, rest) = rest.split_at(length);
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

fn person() -> Person {
    Person { id: PERSON, name: "somebody".to_owned(), role: Role::Rep, team: None, active: true }
}

fn hello() -> Vec<u8> {
    encode(&ClientFrame::Hello(Hello {
        protocol: PROTOCOL_VERSION,
        schema: SCHEMA_VERSION,
        ticket: None,
        incarnation: None,
        cursor: None,
        pending: PendingCounts::default(),
        digest: None,
        software: "fuzz".to_owned(),
    }))
}

/// A whole session of frames: raw, or as changes inside honest frames. The hub lives, everything that can be seen in its
/// store holds, what it acknowledged is there, and it told nothing but what its device may read.
pub fn session(bytes: &[u8]) -> Fate {
    let mut store = SqliteStore::in_memory(INCARNATION).expect("memory");
    let now = UtcMillis(EPOCH_MS);
    let device = DeviceRow {
        id: DEVICE,
        person: PERSON,
        label: String::new(),
        created_at: now,
        last_contact_at: None,
        pending: PendingCounts::default(),
        software: String::new(),
        revoked_at: None,
    };
    // Somebody who may ask for everything, and somebody who may be given a customer.
    let boss = Person { role: Role::Admin, ..person() };
    let other = Person { id: OTHER, name: "somebody else".to_owned(), ..person() };
    for command in [
        Administration::SetPerson { person: boss, by: None },
        Administration::SetPerson { person: other, by: None },
        Administration::PutDevice(device),
    ] {
        administer(&mut store, now, &command).expect("an empty organisation takes its first people");
    }
    let mut hub = Hub::new(store).expect("memory");
    let identity = Identity { person: PERSON, device: DEVICE };
    hub.handle_open(now, SessionId(1), identity, Transport::Live);
    hub.handle_frame(now, SessionId(1), &hello());
    let mut told = Told::default();
    let mut is_over = false;
    for (number, piece) in cut(bytes).into_iter().take(16).enumerate() {
        let frame = match piece.split_first() {
            Some((0..128, rest)) => rest.to_vec(),
            Some((_, rest)) => pushed(number as u64, chunk::mend(rest)),
            None => Vec::new(),
        };
        hub.handle_frame(now, SessionId(1), &frame);
        let outputs = hub.settle(now, &mut Guarded);
        assert!(!is_over || outputs.is_empty(), "a closed session is answered");
        is_over |= outputs.iter().any(|output| matches!(output, Output::Close(..)));
        told.hear(&frame, &outputs);
    }
    let store = hub.into_store();
    let lookup = store.lookup();
    let ledger = check_store(&lookup, told.changes).unwrap_or_else(|violation| panic!("{violation}"));
    for (request, seq) in told.requests {
        let stored = lookup.request(request).expect("memory");
        assert_eq!(stored, Some(ItemResult::Accepted(seq)), "an acknowledged request is gone");
    }
    check_grants(PERSON, told.scopes, |person, scope| ledger.may_read(person, scope))
        .unwrap_or_else(|violation| panic!("{violation}"));
    Fate::of(!lookup.document_ids(None, 1).expect("memory").is_empty())
}

/// What a session was told.
#[derive(Default)]
struct Told {
    changes: BTreeSet<(DocId, ChangeHash)>,
    requests: BTreeMap<RequestId, Seq>,
    scopes: BTreeSet<Scope>,
}

impl Told {
    /// Reads what a frame was answered with.
    fn hear(&mut self, frame: &[u8], outputs: &[Output]) {
        for output in outputs {
            let (Output::Send(_, bytes) | Output::SendPage(_, bytes)) = output else { continue };
            let heard = Heard::read(bytes).unwrap_or_else(|violation| panic!("{violation}"));
            self.scopes.extend(heard.scopes());
            let ServerFrame::Ack(ack) = heard.frame else { continue };
            let Ok(ClientFrame::Push(push)) = decode_client_frame(frame) else {
                panic!("what was not pushed is acknowledged")
            };
            assert_eq!((ack.batch, ack.results.len()), (push.batch, push.items.len()), "one result an item");
            push.items.iter().zip(ack.results).for_each(|(item, result)| self.take(item, &result));
        }
    }

    fn take(&mut self, item: &PushItem, result: &ItemResult) {
        match (item, result) {
            (
                PushItem::Change { doc, change, .. },
                ItemResult::Accepted(_) | ItemResult::Known(..) | ItemResult::Held(_),
            ) => {
                let header = shared::wire::parse(change).expect("an acknowledged change can be read");
                self.changes.insert((*doc, header.hash));
            }
            (PushItem::Request { id, .. }, ItemResult::Accepted(seq) | ItemResult::Known(seq, _)) => {
                let before = self.requests.insert(*id, *seq);
                assert!(before.is_none_or(|before| before == *seq), "a request was decided twice");
            }
            _ => {}
        }
    }
}

fn phone_now() -> Now {
    Now { wall: UtcMillis(EPOCH_MS), monotonic_ms: 1_000, offset_minutes: 480 }
}

/// What is on a phone's disk.
type Rows = BTreeMap<String, Vec<u8>>;

fn open(rows: &Rows, seed: u8) -> Result<Client, OpenFailure> {
    let rows = rows.iter().map(|(name, row)| (name.clone(), row.clone())).collect();
    Client::open(phone_now(), Entropy::from_seed([seed; 32]), rows)
}

/// Does what the machine wants stored, into rows.
fn keep(client: &mut Client, rows: &mut Rows) {
    let mut writes = VecDeque::new();
    loop {
        while let Some(output) = client.poll_output() {
            if let shared::client::Output::Store(write) = output {
                writes.push_back(write);
            }
        }
        let Some(write) = writes.pop_front() else { return };
        rows.extend(write.puts);
        write.deletes.iter().for_each(|name| drop(rows.remove(name)));
        client.handle_stored(phone_now(), write.id);
    }
}

/// The phone hears a frame and stores what comes of it.
fn hear(client: &mut Client, frame: &[u8], rows: &mut Rows) {
    client.handle_frame(phone_now(), frame);
    keep(client, rows);
}

/// A phone that has logged in and said hello.
fn connected_phone(rows: &mut Rows) -> Client {
    let now = phone_now();
    let mut client = open(rows, 5).expect("a fresh phone opens");
    client.handle_login(now, Profile { person: person(), team: None, device: DEVICE, server: String::new() });
    keep(&mut client, rows);
    client.handle_connected(now, Some(vec![1]));
    keep(&mut client, rows);
    client
}

/// What is typed on a phone that holds the card: into the card, and into a new one.
const WORDS: [&str; 2] = ["typed here", "typed anew"];

/// A phone that holds the card, and work that waits.
fn working_phone(card: &Card, rows: &mut Rows) -> Client {
    let mut client = connected_phone(rows);
    hear(&mut client, &welcome(), rows);
    hear(&mut client, &page(vec![granted(), changes(vec![card.created.clone()])]), rows);
    let [here, anew] = WORDS;
    let edit =
        Edit::EditCustomer { customer: CUSTOMER, fields: Patch::from([("address".into(), here.into())]) };
    let fields = Patch::from([("name".into(), anew.into())]);
    for edit in [edit, Edit::CreateCustomer { customer: DocId([7; 16]), fields }] {
        client.handle_edit(phone_now(), edit).expect("a card of one's own may be edited");
        keep(&mut client, rows);
    }
    client
}

/// Every word that waits is shown as unsent or refused, and is in the rescue file.
fn check_work(client: &mut Client) {
    let answers = [Query::Unsent, Query::Refused].map(|query| client.query(phone_now(), &query));
    let shown = serde_json::to_string(&answers).expect("answers are JSON");
    let rescue = String::from_utf8(client.export()).expect("JSON");
    for words in WORDS {
        assert!(shown.contains(words), "unsent work is not shown: {words}");
        assert!(rescue.contains(words), "unsent work is not in the rescue file: {words}");
    }
}

/// The phone reads what claims to be the server's without a panic.
pub fn server_page(bytes: &[u8]) -> Fate {
    if let Ok(ServerFrame::Page(page)) = decode_server_frame(bytes) {
        let _ = page.items.unpack();
    }
    let mut rows = Rows::new();
    let mut client = connected_phone(&mut rows);
    let is_over = guarded(|| {
        for piece in cut(bytes) {
            hear(&mut client, piece, &mut rows);
        }
        client.handle_disconnected(phone_now(), Disconnect::Lost);
        keep(&mut client, &mut rows);
    });
    Fate::of(is_over.is_some() && client.incidents().faults == 0)
}

/// The phone takes pages of the server whose changes and snapshots are damaged, while work of its own waits: what does
/// not fit is dropped and fetched anew, and what was typed stays, in this run and in the next one over the same rows,
/// even where the engine ended this one.
pub fn server_apply(bytes: &[u8]) -> Fate {
    let card = Card::get();
    let mut rows = Rows::new();
    let mut client = working_phone(card, &mut rows);
    let is_over = guarded(|| {
        for piece in cut(bytes).into_iter().take(8) {
            let Some((choice, input)) = piece.split_first() else { continue };
            let item = match choice % 4 {
                0 => changes(vec![mutated(card.edited.clone(), input)]),
                1 => changes(vec![mutated(card.created.clone(), input)]),
                2 => Item::Snapshot {
                    doc: CUSTOMER,
                    kind: Kind::Customer,
                    scope: SCOPE,
                    bytes: mutated(card.saved.clone(), input).into(),
                    received: UtcMillis(EPOCH_MS),
                },
                _ => changes(vec![chunk::mend(input)]),
            };
            hear(&mut client, &page(vec![item]), &mut rows);
        }
    });
    if is_over.is_some() {
        check_work(&mut client);
    }
    check_work(&mut open(&rows, 6).expect("a phone opens over what it stored"));
    Fate::of(is_over.is_some() && client.incidents().faults == 0)
}

/// The phone opens over rows that its disk gives back damaged: it opens, or says which row it cannot do
/// without; it never panics, and never opens without unsent work that it could read.
pub fn stored_row(bytes: &[u8]) -> Fate {
    let mut rows = Rows::new();
    working_phone(Card::get(), &mut rows);
    let names: Vec<String> = rows.keys().cloned().collect();
    let mut is_work_whole = true;
    for piece in cut(bytes).into_iter().take(12) {
        let [choice, how, input @ ..] = piece else { continue };
        let name = &names[usize::from(*choice) % names.len()];
        is_work_whole &= !name.starts_with("out/") && name != "meta";
        let row = rows.get_mut(name).expect("its name was listed");
        match how % 3 {
            0 => *row = input.to_vec(),
            1 => row.truncate(usize::from(*how)),
            _ => overwrite(row, 0, input),
        }
    }
    let opened = guarded(|| open(&rows, 6));
    let Some(Ok(mut client)) = opened else { return Fate::Refused };
    keep(&mut client, &mut rows);
    if is_work_whole {
        check_work(&mut client);
    }
    // What the person looks at is read from rows that were not read before.
    let seen = guarded(|| client.query(phone_now(), &Query::Timeline { customer: CUSTOMER }));
    Fate::of(seen.is_some())
}

/// A card's row damaged into one that holds this change besides, as [`stored_row`] reads it.
fn large_row(change: Vec<u8>) -> Vec<u8> {
    let name = format!("doc/{CUSTOMER}");
    let mut rows = Rows::new();
    let mut client = working_phone(Card::get(), &mut rows);
    let choice = rows.keys().position(|row| *row == name).expect("the phone holds the card");
    hear(&mut client, &page(vec![changes(vec![change])]), &mut rows);
    [&[choice as u8, 0], rows[&name].as_slice()].concat()
}

/// The input of nearly 64 KiB that each target begins with.
pub fn large_inputs() -> [(&'static str, Vec<u8>); 8] {
    seed::large()
}

/// A sheet, whatever it claims to be, is read or refused within its limits, and what was read becomes a plan of
/// edits. Of a workbook the input is the whole archive, or its worksheet alone.
pub fn sheet(bytes: &[u8]) -> Fate {
    let packed = bytes.starts_with(b"<").then(|| workbook(bytes));
    let bytes = packed.as_deref().unwrap_or(bytes);
    let Ok(sheet) = server::report::followups::parse(bytes, "followups") else { return Fate::Refused };
    let mut client = connected_phone(&mut Rows::new());
    server::report::followups::plan(&mut client, phone_now(), &sheet);
    Fate::Taken
}
