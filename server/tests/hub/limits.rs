//! Beyond each limit of `shared/src/limits.rs` that the hub keeps: a named answer, and the next phone is served.

use server::hub::{Identity, Output, SessionId, Transport};
use shared::document::Kind;
use shared::id::{DocId, Scope};
use shared::limits;
use shared::protocol::{
    ClientFrame, Cursor, Goodbye, Item, ItemResult, Push, PushItem, ServerFrame, decode_server_frame, encode,
};
use shared::refusal::Rule;

use crate::world::{World, recorded, rule};

/// HUB-29: a document that has as many changes as it may takes no more, and the phone hears which limit it is.
#[test]
fn a_document_beyond_its_changes_is_full() {
    let mut world = World::new();
    let mut li = world.online("li");
    let customer = world.stored_customer(&mut li);
    let sql = "UPDATE documents SET changes = ? WHERE id = ?";
    let almost = limits::DOCUMENT_CHANGES_MAX as i64 - 1;
    world.hub().store_mut().connection().execute(sql, (almost, customer.0)).expect("sets");
    li.edit_card(world.now, customer, [("address", "人民路1号")]);
    li.edit_card(world.now, customer, [("address", "人民路2号")]);
    let results = world.push(&mut li, &mut []);
    assert!(matches!(results[0], ItemResult::Accepted(_)), "{results:?}");
    let ItemResult::Refused(refusal) = &results[1] else { panic!("{results:?}") };
    assert_eq!((refusal.rule, refusal.about.as_deref()), (Rule::DocumentTooLarge, Some("changes")));
    assert!(!refusal.rule.is_passing());
}

/// SYNC-5: who pushes without waiting for answers hears `Overloaded`, and nothing of the others is touched.
#[test]
fn pushing_ahead_of_all_answers_ends_the_connection() {
    let mut world = World::new();
    let (greedy, mut zhao) = (world.online("li"), world.online("zhao"));
    let (now, session) = (world.now, greedy.session.expect("connected"));
    let push = |batch| encode(&ClientFrame::Push(Push { batch, items: Vec::new() }));
    for batch in 0..=limits::PUSHES_IN_FLIGHT_MAX as u64 {
        world.hub().handle_frame(now, session, &push(batch));
    }
    assert_eq!(world.hub().stats().sessions, 2, "one above what a phone does is borne");
    world.hub().handle_frame(now, session, &push(99));
    let outputs = world.settle(&mut []);
    let closed = |output: &Output| matches!(output, Output::Close(id, Goodbye::Overloaded) if *id == session);
    assert!(outputs.iter().any(closed), "{outputs:?}");
    world.stored_customer(&mut zhao);
}

/// SYNC-5: who pulls page after page without reading one hears `Overloaded`.
#[test]
fn pulling_ahead_of_all_pages_ends_the_connection() {
    let mut world = World::new();
    let greedy = world.online("li");
    let (now, session) = (world.now, greedy.session.expect("connected"));
    let pull = encode(&ClientFrame::Pull(Cursor(Vec::new().into())));
    for _ in 0..20 {
        world.hub().handle_frame(now, session, &pull);
    }
    let outputs = world.settle(&mut []);
    let closed = |output: &Output| matches!(output, Output::Close(id, Goodbye::Overloaded) if *id == session);
    assert!(outputs.iter().any(closed), "{outputs:?}");
    assert_eq!(world.hub().stats().sessions, 0);
}

/// SYNC-8: beyond 64 MiB of waiting pushes the next ones are answered as if the disk were full, and come again.
#[test]
fn pushes_beyond_the_memory_for_them_are_refused_passing() {
    let mut world = World::new();
    let phone = world.phone("li");
    let Identity { person, device } = phone.identity;
    let now = world.now;
    let scope = Scope::Customer(DocId([9; 16]));
    let item = || PushItem::Change {
        doc: DocId([9; 16]),
        kind: Kind::Customer,
        scope,
        change: vec![0; 60_000].into(),
        recorded: recorded(now),
    };
    let frame =
        |batch| encode(&ClientFrame::Push(Push { batch, items: vec![item(), item(), item(), item()] }));
    let hello = hello();
    let mut refused = 0;
    for number in 1..=100 {
        let session = SessionId(1_000 + number);
        world.hub().handle_open(now, session, Identity { person, device }, Transport::OneShot);
        world.hub().handle_frame(now, session, &hello);
        for batch in 0..3 {
            world.hub().handle_frame(now, session, &frame(batch));
        }
    }
    let waiting = world.hub().stats().pushes_waiting;
    assert!((270..300).contains(&waiting), "{waiting} of 240 kB");
    for output in world.settle(&mut []) {
        let Output::Send(_, bytes) = output else { continue };
        if let Ok(ServerFrame::Ack(ack)) = decode_server_frame(&bytes) {
            refused += usize::from(rule(&ack.results[0]) == Some(Rule::StoreUnavailable));
        }
    }
    assert_eq!(refused as u64, 300 - waiting);
    assert!(Rule::StoreUnavailable.is_passing());
}

fn hello() -> Vec<u8> {
    encode(&ClientFrame::Hello(shared::protocol::Hello {
        protocol: shared::protocol::PROTOCOL_VERSION,
        schema: shared::document::SCHEMA_VERSION,
        ticket: None,
        incarnation: None,
        cursor: None,
        pending: Default::default(),
        digest: None,
        software: String::new(),
    }))
}

/// HUB-3: a page is full at `PAGE_BYTES_MAX`; one document more may stand in it, so a frame has room for the
/// largest.
#[test]
fn a_page_ends_with_the_document_that_fills_it() {
    let mut world = World::new();
    let mut li = world.online("li");
    let customer = world.stored_customer(&mut li);
    for number in 0..60 {
        // Text that does not deflate: each document weighs what it weighs.
        let mut seed = [number; 32];
        seed[31] = 1;
        let mut entropy = shared::entropy::Entropy::from_seed(seed);
        let words = (0..4_000).filter_map(|_| char::from_u32(0x4e00 + entropy.below(0x5000) as u32));
        world.new_visit(&mut li, customer, &words.collect::<String>());
        let results = world.push(&mut li, &mut []);
        assert!(results.iter().all(|result| matches!(result, ItemResult::Accepted(_))), "{results:?}");
    }
    let mut boss = world.phone("boss");
    world.connect(&mut boss);
    assert_eq!(boss.docs.len(), 61);
    assert!(boss.pages >= 3, "{} pages", boss.pages);
    assert!(boss.received / boss.pages <= limits::PAGE_BYTES_MAX + 32 * 1024, "{} bytes", boss.received);
    const { assert!(limits::SERVER_FRAME_BYTES_MAX > limits::DOCUMENT_BYTES_MAX) };
    const { assert!(limits::PAGE_INFLATED_BYTES_MAX >= limits::PAGE_BYTES_MAX + limits::DOCUMENT_BYTES_MAX) };
    // A frame beyond what the server may send is none to the phone.
    let items = vec![Item::Snapshot {
        doc: customer,
        kind: Kind::Customer,
        scope: Scope::Customer(customer),
        bytes: vec![1; limits::SERVER_FRAME_BYTES_MAX].into(),
        received: world.now,
    }];
    let page = shared::protocol::Page {
        cursor: Cursor(Vec::new().into()),
        more: false,
        items: shared::protocol::PageItems::Plain(items),
    };
    assert!(decode_server_frame(&encode(&ServerFrame::Page(page))).is_err());
    assert!(world.lookup(|lookup| lookup.document(customer)).expect("reads").is_some());
}
