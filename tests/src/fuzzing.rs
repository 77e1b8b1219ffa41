//! What fuzzing drives: one function a target, each over plain bytes, each with its own opinion of what may
//! not happen, and each says whether its input got past the first gate, so that a replay can see that the
//! target does something. The targets of `fuzz/` and the replay of the kept corpus call the same functions.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, resume_unwind, set_hook, take_hook};
use std::sync::Once;

use minicbor::bytes::ByteVec;
use server::admission::{Admitter, InProcess, Job, Judged};
use server::hub::{Administration, Hub, Identity, Output, SessionId, Transport, administer};
use server::store::{DeviceRow, Lookup, SqliteStore, Store};
use shared::client::{Client, Disconnect, Profile};
use shared::document::{Document, Kind, SCHEMA_VERSION, Writer};
use shared::edit::{Edit, Patch};
use shared::entropy::Entropy;
use shared::id::{ActorId, DeviceId, DocId, IncarnationId, PersonId, Scope};
use shared::ledger::people::{Access, Person, Role};
use shared::limits;
use shared::protocol::{
    ClientFrame, Cursor, Hello, Item, PROTOCOL_VERSION, Page, PageItems, PendingCounts, Push, PushItem,
    ServerFrame, Welcome, decode_client_frame, decode_server_frame, encode,
};
use shared::time::{Now, Quality, Recorded, UtcMillis};

use crate::chunk;
use crate::world::clock::EPOCH_MS;

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

const PERSON: PersonId = PersonId([1; 16]);
const DEVICE: DeviceId = DeviceId([2; 16]);
const CUSTOMER: DocId = DocId([3; 16]);

fn recorded() -> Recorded {
    let at = UtcMillis(EPOCH_MS);
    Recorded { at, device: at, quality: Quality::Ok, offset_minutes: 480 }
}

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

/// A card as it was made and saved, the change that made it, and one that edits it.
struct Card {
    saved: Vec<u8>,
    created: Vec<u8>,
    edited: Vec<u8>,
}

fn a_card() -> Card {
    let writer = Writer { person: PERSON, actor: ActorId([4; 16]), recorded: recorded() };
    let fields = Patch::from([("name".into(), "Works".into()), ("remarks".into(), "long text".into())]);
    let (mut document, mut created) =
        Document::create(&writer, &Edit::CreateCustomer { customer: CUSTOMER, fields }).expect("valid");
    let saved = document.save();
    let fields = Patch::from([
        ("remarks".into(), "another text".into()),
        ("phones/0123456789abcdef/number".into(), "13800138000".into()),
    ]);
    let edit = Edit::EditCustomer { customer: CUSTOMER, fields };
    let mut edited = document.edit(&writer, &edit).expect("valid");
    Card { saved, created: created.remove(0).bytes, edited: edited.remove(0).bytes }
}

/// What admission accepts can be loaded again, is within its limits and has the heads that it says.
pub fn admission(bytes: &[u8]) -> Fate {
    let card = a_card();
    let (choice, input) = bytes.split_first().map_or((0, bytes), |(first, rest)| (*first, rest));
    let (stored, change) = match choice % 2 {
        0 => (None, card.created),
        _ => (Some(card.saved), card.edited),
    };
    let change = mutated(change, input);
    if shared::wire::parse(&change).is_err() {
        return Fate::Refused;
    }
    let input = shared::admission::AdmissionInput {
        doc: CUSTOMER,
        kind: Kind::Customer,
        scope: Scope::Customer(CUSTOMER),
        stored,
        person: PERSON,
        changes: vec![change],
    };
    // Automerge may panic on what the pre-parser lets through: that ends a worker, never the server.
    let Some(Ok(admitted)) = guarded(|| shared::admission::admit(&input)) else { return Fate::Refused };
    if admitted.applied == 0 {
        return Fate::Refused;
    }
    assert!(admitted.saved.len() <= limits::DOCUMENT_BYTES_MAX);
    let mut again = Document::load(&admitted.saved).expect("what was admitted loads");
    assert_eq!(again.heads(), admitted.heads);
    Fate::Taken
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

/// A whole session of frames: raw, or as changes inside honest frames. The hub lives, and what it stored
/// loads.
pub fn session(bytes: &[u8]) -> Fate {
    let mut store = SqliteStore::in_memory(IncarnationId([9; 16])).expect("memory");
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
    for command in
        [Administration::SetPerson { person: person(), by: None }, Administration::PutDevice(device)]
    {
        administer(&mut store, now, &command).expect("an empty organisation takes its first person");
    }
    let mut hub = Hub::new(store).expect("memory");
    let identity = Identity { person: PERSON, device: DEVICE };
    hub.handle_open(now, SessionId(1), identity, Transport::Live);
    hub.handle_frame(now, SessionId(1), &hello());
    let mut is_over = false;
    for (number, piece) in cut(bytes).into_iter().take(16).enumerate() {
        let frame = match piece.split_first() {
            Some((0..128, rest)) => rest.to_vec(),
            Some((_, rest)) => encode(&ClientFrame::Push(Push {
                batch: number as u64,
                items: vec![PushItem::Change {
                    doc: CUSTOMER,
                    kind: Kind::Customer,
                    scope: Scope::Customer(CUSTOMER),
                    change: ByteVec::from(chunk::mend(rest)),
                    recorded: recorded(),
                }],
            })),
            None => Vec::new(),
        };
        hub.handle_frame(now, SessionId(1), &frame);
        let outputs = hub.settle(now, &mut Guarded);
        assert!(!is_over || outputs.is_empty(), "a closed session is answered");
        is_over |= outputs.iter().any(|output| matches!(output, Output::Close(..)));
    }
    let store = hub.into_store();
    let lookup = store.lookup();
    let stored = lookup.document_ids(None, 100).expect("memory");
    for doc in &stored {
        let saved = lookup.snapshot(*doc).expect("memory").expect("just written");
        Document::load(&saved).expect("what was stored loads");
    }
    Fate::of(!stored.is_empty())
}

fn phone_now() -> Now {
    Now { wall: UtcMillis(EPOCH_MS), monotonic_ms: 1_000, offset_minutes: 480 }
}

/// A phone that has logged in and said hello.
fn connected_phone() -> Client {
    let now = phone_now();
    let mut client = Client::open(now, Entropy::from_seed([5; 32]), Vec::new()).expect("a fresh phone opens");
    client.handle_login(now, Profile { person: person(), team: None, device: DEVICE, server: String::new() });
    settle(&mut client, now);
    client.handle_connected(now, Some(vec![1]));
    settle(&mut client, now);
    client
}

/// The phone reads what claims to be the server's without a panic.
pub fn server_page(bytes: &[u8]) -> Fate {
    if let Ok(ServerFrame::Page(page)) = decode_server_frame(bytes) {
        let _ = page.items.unpack();
    }
    let now = phone_now();
    let mut client = connected_phone();
    let is_over = guarded(|| {
        for piece in cut(bytes) {
            client.handle_frame(now, piece);
            settle(&mut client, now);
        }
        client.handle_disconnected(now, Disconnect::Lost);
        settle(&mut client, now);
    });
    Fate::of(is_over.is_some() && client.incidents().faults == 0)
}

/// The phone takes pages of the server whose changes and snapshots are damaged, while an edit of its own waits:
/// what does not fit is dropped and fetched anew, and what was typed stays.
pub fn server_apply(bytes: &[u8]) -> Fate {
    let now = phone_now();
    let card = a_card();
    let mut client = connected_phone();
    let scope = Scope::Customer(CUSTOMER);
    let received = UtcMillis(EPOCH_MS);
    let welcome = Welcome {
        protocol: PROTOCOL_VERSION,
        time: UtcMillis(EPOCH_MS),
        incarnation: IncarnationId([9; 16]),
        settings: None,
    };
    client.handle_frame(now, &encode(&ServerFrame::Welcome(welcome)));
    let page = |client: &mut Client, items: Vec<Item>| {
        let page = Page { cursor: Cursor(vec![1].into()), more: false, items: PageItems::Plain(items) };
        client.handle_frame(now, &encode(&ServerFrame::Page(page)));
        settle(client, now);
    };
    let granted = Item::Granted { scope, access: Access::Write, full: true };
    let changes = |bytes: Vec<u8>| Item::Changes {
        doc: CUSTOMER,
        kind: Kind::Customer,
        scope,
        changes: vec![bytes.into()],
        received,
    };
    page(&mut client, vec![granted, changes(card.created.clone())]);
    let fields = Patch::from([("address".into(), "typed here".into())]);
    client.handle_edit(now, Edit::EditCustomer { customer: CUSTOMER, fields }).expect("it may be edited");
    settle(&mut client, now);
    let is_over = guarded(|| {
        for piece in cut(bytes).into_iter().take(8) {
            let Some((choice, input)) = piece.split_first() else { continue };
            let item = match choice % 4 {
                0 => changes(mutated(card.edited.clone(), input)),
                1 => changes(mutated(card.created.clone(), input)),
                2 => Item::Snapshot {
                    doc: CUSTOMER,
                    kind: Kind::Customer,
                    scope,
                    bytes: mutated(card.saved.clone(), input).into(),
                    received,
                },
                _ => changes(input.to_vec()),
            };
            page(&mut client, vec![item]);
        }
    });
    if is_over.is_none() {
        return Fate::Refused;
    }
    let rescue = String::from_utf8(client.export()).expect("JSON");
    assert!(rescue.contains("typed here"), "an unsent edit is gone");
    Fate::of(client.incidents().faults == 0)
}

/// The phone opens over rows that its disk gives back damaged: it opens, or says which row it cannot do
/// without; it never panics, and never opens without unsent work that it could read.
pub fn stored_row(bytes: &[u8]) -> Fate {
    let now = phone_now();
    let mut rows = std::collections::BTreeMap::new();
    let mut client = connected_phone_over(&mut rows, now);
    let fields = Patch::from([("name".into(), "typed here".into())]);
    client.handle_edit(now, Edit::CreateCustomer { customer: CUSTOMER, fields }).expect("a new card");
    keep(&mut client, now, &mut rows);
    let names: Vec<String> = rows.keys().cloned().collect();
    let mut is_work_whole = true;
    for piece in cut(bytes).into_iter().take(8) {
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
    let opened = guarded(|| Client::open(now, Entropy::from_seed([6; 32]), rows.into_iter().collect()));
    let Some(Ok(mut client)) = opened else { return Fate::Refused };
    settle(&mut client, now);
    let rescue = String::from_utf8(client.export()).expect("JSON");
    assert!(!is_work_whole || rescue.contains("typed here"), "unsent work is gone");
    Fate::Taken
}

type Rows = std::collections::BTreeMap<String, Vec<u8>>;

fn connected_phone_over(rows: &mut Rows, now: Now) -> Client {
    let mut client = Client::open(now, Entropy::from_seed([5; 32]), Vec::new()).expect("a fresh phone opens");
    client.handle_login(now, Profile { person: person(), team: None, device: DEVICE, server: String::new() });
    keep(&mut client, now, rows);
    client
}

/// Does what the machine wants stored, into rows.
fn keep(client: &mut Client, now: Now, rows: &mut Rows) {
    let mut writes = std::collections::VecDeque::new();
    loop {
        while let Some(output) = client.poll_output() {
            if let shared::client::Output::Store(write) = output {
                writes.push_back(write);
            }
        }
        let Some(write) = writes.pop_front() else { return };
        rows.extend(write.puts);
        write.deletes.iter().for_each(|name| drop(rows.remove(name)));
        client.handle_stored(now, write.id);
    }
}

fn settle(client: &mut Client, now: Now) {
    let mut writes = std::collections::VecDeque::new();
    loop {
        while let Some(output) = client.poll_output() {
            if let shared::client::Output::Store(write) = output {
                writes.push_back(write.id);
            }
        }
        match writes.pop_front() {
            Some(id) => client.handle_stored(now, id),
            None => return,
        }
    }
}

/// A sheet, whatever it claims to be, is read or refused within its limits, and what was read becomes a plan of
/// edits.
pub fn sheet(bytes: &[u8]) -> Fate {
    let Ok(sheet) = server::report::followups::parse(bytes, "followups") else { return Fate::Refused };
    let now = phone_now();
    let mut client = connected_phone();
    server::report::followups::plan(&mut client, now, &sheet);
    Fate::Taken
}
