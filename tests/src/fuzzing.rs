//! What fuzzing drives: one function a target, each over plain bytes, each with its own opinion of what may
//! not happen. The targets of `fuzz/` and the replay of the kept corpus call the same functions.

use minicbor::bytes::ByteVec;
use server::admission::InProcess;
use server::hub::{Administration, Hub, Identity, Output, SessionId, Transport, administer};
use server::store::{DeviceRow, Lookup, SqliteStore, Store};
use shared::client::{Client, Disconnect, Profile};
use shared::document::{Document, Kind, SCHEMA_VERSION, Writer};
use shared::edit::{Edit, Patch};
use shared::entropy::Entropy;
use shared::id::{ActorId, DeviceId, DocId, IncarnationId, PersonId, Scope};
use shared::ledger::people::{Person, Role};
use shared::limits;
use shared::protocol::{
    ClientFrame, Hello, PROTOCOL_VERSION, PendingCounts, Push, PushItem, decode_client_frame,
    decode_server_frame, encode,
};
use shared::time::{Now, Quality, Recorded, UtcMillis};

use crate::chunk;
use crate::world::clock::EPOCH_MS;

/// A target's name and its function.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 6] = [
    ("wire_parse", wire_parse),
    ("admission", admission),
    ("client_frame", client_frame),
    ("session", session),
    ("server_page", server_page),
    ("sheet", sheet),
];

const PERSON: PersonId = PersonId([1; 16]);
const DEVICE: DeviceId = DeviceId([2; 16]);
const CUSTOMER: DocId = DocId([3; 16]);

fn recorded() -> Recorded {
    let at = UtcMillis(EPOCH_MS);
    Recorded { at, device: at, quality: Quality::Ok, offset_minutes: 480 }
}

/// The pre-parser reads anything without a panic and accepts nothing beyond its limits, with the checksum
/// as it came and made right.
pub fn wire_parse(bytes: &[u8]) {
    for bytes in [bytes.to_vec(), chunk::mend(bytes), chunk::chunk(1, bytes)] {
        if let Ok(header) = shared::wire::parse(&bytes) {
            assert!(bytes.len() <= limits::CHANGE_BYTES_MAX);
            assert!(header.op_count <= limits::CHANGE_OPS_MAX);
            assert!(header.deps.len() <= limits::CHANGE_DEPS_MAX);
            assert!(header.other_actors.len() <= limits::CHANGE_ACTORS_MAX);
        }
    }
}

/// Overwrites a change with pieces of the input: place, length, bytes, and so on.
fn mutated(mut change: Vec<u8>, mut input: &[u8]) -> Vec<u8> {
    while let [place, length, rest @ ..] = input {
        let place = 10 + *place as usize % (change.len() - 10).max(1);
        let (piece, rest) = rest.split_at((*length as usize % 8).min(rest.len()));
        for (index, byte) in piece.iter().enumerate() {
            if let Some(target) = change.get_mut(place + index) {
                *target = *byte;
            }
        }
        input = rest;
    }
    chunk::mend(&change)
}

/// What admission accepts can be loaded again, is within its limits and has the heads that it says.
pub fn admission(bytes: &[u8]) {
    let writer = Writer { person: PERSON, actor: ActorId([4; 16]), recorded: recorded() };
    let fields = Patch::from([("name".into(), "Works".into()), ("remarks".into(), "long text".into())]);
    let (mut document, created) =
        Document::create(&writer, &Edit::CreateCustomer { customer: CUSTOMER, fields }).expect("valid");
    let saved = document.save();
    let fields = Patch::from([
        ("remarks".into(), "another text".into()),
        ("phones/0123456789abcdef/number".into(), "13800138000".into()),
    ]);
    let edited = document.edit(&writer, &Edit::EditCustomer { customer: CUSTOMER, fields }).expect("valid");
    let (choice, input) = bytes.split_first().map_or((0, bytes), |(first, rest)| (*first, rest));
    let (stored, change) = match choice % 2 {
        0 => (None, created[0].bytes.clone()),
        _ => (Some(saved), edited[0].bytes.clone()),
    };
    let change = mutated(change, input);
    if shared::wire::parse(&change).is_err() {
        return;
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
    let judged = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| shared::admission::admit(&input)));
    if let Ok(Ok(admitted)) = judged
        && admitted.applied > 0
    {
        assert!(admitted.saved.len() <= limits::DOCUMENT_BYTES_MAX);
        let mut again = Document::load(&admitted.saved).expect("what was admitted loads");
        assert_eq!(again.heads(), admitted.heads);
    }
}

/// A device's frame is read without a panic, and what was read is written as it came or not at all.
pub fn client_frame(bytes: &[u8]) {
    if let Ok(frame) = decode_client_frame(bytes) {
        let again = encode(&frame);
        assert_eq!(decode_client_frame(&again).expect("just written"), frame);
    }
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
pub fn session(bytes: &[u8]) {
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
        let outputs = hub.settle(now, &mut InProcess);
        assert!(!is_over || outputs.is_empty(), "a closed session is answered");
        is_over |= outputs.iter().any(|output| matches!(output, Output::Close(..)));
    }
    let store = hub.into_store();
    let lookup = store.lookup();
    for doc in lookup.document_ids(None, 100).expect("memory") {
        let saved = lookup.snapshot(doc).expect("memory").expect("just written");
        Document::load(&saved).expect("what was stored loads");
    }
}

/// The phone reads what claims to be the server's without a panic.
pub fn server_page(bytes: &[u8]) {
    if let Ok(shared::protocol::ServerFrame::Page(page)) = decode_server_frame(bytes) {
        let _ = page.items.unpack();
    }
    let now = Now { wall: UtcMillis(EPOCH_MS), monotonic_ms: 1_000, offset_minutes: 480 };
    let mut client = Client::open(now, Entropy::from_seed([5; 32]), Vec::new()).expect("a fresh phone opens");
    client.handle_login(now, Profile { person: person(), team: None, device: DEVICE, server: String::new() });
    settle(&mut client, now);
    client.handle_connected(now, Some(vec![1]));
    settle(&mut client, now);
    for piece in cut(bytes) {
        client.handle_frame(now, piece);
        settle(&mut client, now);
    }
    client.handle_disconnected(now, Disconnect::Lost);
    settle(&mut client, now);
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

/// A sheet, whatever it claims to be, is read or refused within its limits.
pub fn sheet(bytes: &[u8]) {
    if server::report::workbook::looks_like_workbook(bytes) {
        let _ = server::report::workbook::read(bytes);
    } else {
        let _ = server::report::delimited::read(bytes);
    }
}
