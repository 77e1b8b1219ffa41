//! The store under the hub: what survives, what is refused, what a check finds.

use server::admission::InProcess;
use server::hub::{Hub, verify};
use server::store::{self, Lookup, SqliteStore, Store, StoreFailure, Transaction};
use shared::id::{IncarnationId, Scope, Seq};
use shared::ledger::Command;
use shared::ledger::people::{Access, Principal};
use shared::protocol::ItemResult;
use shared::refusal::Rule;

use crate::world::{COMPLETE, World, patch, rule};

/// A busy day: customers, visits, acceptance, transfer, late work, a settled one.
fn busy(world: &mut World) {
    let (mut li, mut zhao, mut mei) = (world.online("li"), world.online("zhao"), world.online("mei"));
    for _ in 0..3 {
        let customer = world.new_customer(&mut li, patch(COMPLETE));
        world.new_visit(&mut li, customer, "谈了46#液压油");
        world.push(&mut li, &mut [&mut mei]);
        world.request(&mut mei, Command::Accept { customer }, &mut [&mut li]);
        world.later(1_000);
        let to = zhao.identity.person;
        world.request(&mut mei, Command::Transfer { customer, to, reason: None }, &mut [&mut li, &mut zhao]);
        world.later(1_000);
        li.edit_card(world.now, customer, [("address", "人民路1号")]);
        world.new_visit(&mut li, customer, "移交后");
        let results = world.push(&mut li, &mut [&mut mei, &mut zhao]);
        let ItemResult::Held(late) = results[0] else { panic!("{results:?}") };
        world.request(&mut zhao, Command::SettleLate { customer, late, apply: true }, &mut [&mut mei]);
        // A held change leaves its actor behind.
        li.actor = world.entropy.actor_id();
    }
    for (phone, name) in [(&mut li, "li"), (&mut zhao, "zhao"), (&mut mei, "mei")] {
        world.reconnect(phone);
        assert_eq!(phone.wanted_digests, 0, "{name}");
    }
}

/// HUB-40: everything beside the log can be made again from it, and a check says that it is the same.
#[test]
fn a_check_finds_nothing_after_a_busy_day() {
    let mut world = World::new();
    busy(&mut world);
    let found = verify(&world.hub().store().lookup(), &mut InProcess).expect("reads");
    assert_eq!(found.told, Vec::<String>::new());
    assert_eq!(found.documents, 9);
    assert_eq!(found.changes, 12);
    assert!(found.events > 20 && found.grants > 20, "{found:?}");
    assert_eq!(world.hub().store().integrity().expect("reads"), Vec::<String>::new());
}

/// HUB-41: the check finds what was changed behind the hub's back.
#[test]
fn a_check_finds_each_kind_of_damage() {
    let damages = [
        "UPDATE documents SET digest = digest + 1 WHERE rowid = 1",
        "UPDATE documents SET changes = 9 WHERE rowid = 2",
        "UPDATE projections SET body = x'00' WHERE rowid = 1",
        "UPDATE snapshots SET saved = (SELECT saved FROM snapshots WHERE rowid = 2) WHERE rowid = 1",
        "DELETE FROM changes WHERE seq = (SELECT max(seq) FROM changes)",
        "UPDATE changes SET bytes = zeroblob(length(bytes)) WHERE seq = (SELECT max(seq) FROM changes)",
        "UPDATE scopes SET digest = 1",
        "UPDATE principals SET digest = 1",
        "UPDATE grants SET access = 0 WHERE id = (SELECT max(id) FROM grants)",
        "UPDATE grants SET last_seq = 1 WHERE until_seq IS NULL",
        "INSERT INTO grants (principal, scope, access, from_seq, last_seq) \
         SELECT zeroblob(17), scope, 2, 1, 1000 FROM grants ORDER BY id DESC LIMIT 1",
        "UPDATE customers SET record = (SELECT record FROM customers ORDER BY id DESC LIMIT 1)",
        "UPDATE customers SET owner = (SELECT id FROM people WHERE id != owner AND active) \
         WHERE id = (SELECT max(id) FROM customers)",
        "UPDATE ownerships SET from_seq = from_seq - 1 WHERE until_seq IS NULL",
        "INSERT INTO codes (code, prefix, number, customer) SELECT 'Y', 'Y', 1, id FROM customers LIMIT 1",
        "UPDATE people SET name = 'x' WHERE name = 'li'",
        "INSERT INTO changes SELECT 1000, zeroblob(16), hash, actor, actor_seq, max_op, device, person, received, \
         recorded, bytes FROM changes LIMIT 1",
        "UPDATE held SET bytes = zeroblob(length(bytes))",
        "UPDATE held SET late = 1 WHERE late = (SELECT max(late) FROM held)",
        "UPDATE held SET person = (SELECT id FROM people WHERE id != person)",
        "UPDATE held SET device = (SELECT id FROM devices WHERE person != held.person LIMIT 1)",
        "INSERT INTO held SELECT late, 1, zeroblob(16), hash, actor, actor_seq, max_op, device, person, received, \
         recorded, bytes FROM held LIMIT 1",
        "DELETE FROM held",
    ];
    for damage in damages {
        let mut world = World::new();
        busy(&mut world);
        world.hub().store_mut().connection().execute(damage, []).expect(damage);
        let found = verify(&world.hub().store().lookup(), &mut InProcess).expect("reads");
        assert!(found.differences > 0, "{damage}");
    }
}

/// HUB-42: a full disk refuses, passing; nothing is half there; the process lives and goes on when there is room.
#[test]
fn a_full_disk_refuses_and_keeps_nothing_of_the_group() {
    let mut world = World::new();
    let mut li = world.online("li");
    world.stored_customer(&mut li);
    let pages: u32 = world
        .hub()
        .store_mut()
        .connection()
        .query_row("PRAGMA page_count", [], |row| row.get(0))
        .expect("reads");
    world.hub().store_mut().limit_pages(pages + 2).expect("sets");
    let head = world.hub().stats().head;
    let customer = world.new_customer(&mut li, patch([("name", "厂")]));
    for _ in 0..8 {
        world.new_visit(&mut li, customer, &"很长的记录。".repeat(300));
    }
    let items = li.unsent.clone();
    let refused = world.push(&mut li, &mut []);
    assert!(refused.iter().all(|result| rule(result) == Some(Rule::StoreUnavailable)), "{refused:?}");
    assert!(!world.hub().stats().store_writable);
    assert_eq!(world.hub().stats().head, head);
    assert!(world.lookup(|lookup| lookup.document(customer)).expect("reads").is_none());
    world.hub().store_mut().limit_pages(1_000_000).expect("sets");
    let accepted = world.push_items(&mut li, items, &mut []);
    assert!(accepted.iter().all(|result| matches!(result, ItemResult::Accepted(_))), "{accepted:?}");
    assert!(world.hub().stats().store_writable);
}

/// HUB-43: a transaction that fails keeps nothing, and the log goes on without a gap.
#[test]
fn a_failed_transaction_keeps_nothing() {
    let mut store = SqliteStore::in_memory(IncarnationId([1; 16])).expect("opens");
    let scope = Scope::Organisation;
    let failed: Result<(), StoreFailure> = store.transaction(|tx| {
        let seq = tx.next_seq();
        tx.open_grant(Principal::Everyone, scope, Access::Read, seq)?;
        Err(StoreFailure::Closed)
    });
    assert!(failed.is_err());
    assert!(store.lookup().grants_of(scope).expect("reads").is_empty());
    let seq = store.transaction(|tx| Ok::<_, StoreFailure>(tx.next_seq())).expect("commits");
    assert_eq!(seq, Seq(1));
}

/// HUB-44: what is written is there after closing and opening; a second database is not made over it.
#[test]
fn a_store_in_a_file_is_opened_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let incarnation = IncarnationId([1; 16]);
    assert!(matches!(SqliteStore::open(folder.path()), Err(StoreFailure::Place(_))));
    drop(SqliteStore::create(folder.path(), incarnation).expect("creates"));
    assert!(matches!(SqliteStore::create(folder.path(), incarnation), Err(StoreFailure::Place(_))));
    let mut store = SqliteStore::open(folder.path()).expect("opens");
    assert_eq!(store.lookup().incarnation().expect("reads"), incarnation);
    let settings: Vec<(String, i64)> = ["synchronous", "foreign_keys", "secure_delete", "trusted_schema"]
        .into_iter()
        .map(|name| {
            let value = store.connection().query_row(&format!("PRAGMA {name}"), [], |row| row.get(0));
            (name.to_owned(), value.expect("reads"))
        })
        .collect();
    let expected = [("synchronous", 2), ("foreign_keys", 1), ("secure_delete", 1), ("trusted_schema", 0)];
    assert_eq!(settings, expected.map(|(name, value)| (name.to_owned(), value)));
    store.connection().pragma_update(None, "user_version", 99).expect("sets");
    drop(store);
    assert!(matches!(SqliteStore::open(folder.path()), Err(StoreFailure::TooNew { found: 99, .. })));
}

/// HUB-45 (S14): a restored backup is another life: phones see a new incarnation and begin anew.
#[test]
fn a_restored_backup_has_a_new_incarnation() {
    let (source, target, files) = (folder(), folder(), folder());
    let old = IncarnationId([1; 16]);
    let store = SqliteStore::create(source.path(), old).expect("creates");
    let file = files.path().join("backup");
    // A server may have it open meanwhile.
    let hub = Hub::new(store).expect("begins");
    store::backup(source.path(), &file).expect("copies");
    assert!(matches!(store::backup(source.path(), &file), Err(StoreFailure::Place(_))));
    drop(hub);
    let new = IncarnationId([2; 16]);
    assert!(matches!(store::restore(&file, source.path(), new), Err(StoreFailure::Place(_))));
    store::restore(&file, target.path(), new).expect("restores");
    let store = SqliteStore::open(target.path()).expect("opens");
    assert_eq!(store.lookup().incarnation().expect("reads"), new);
    let no_backup = files.path().join("text");
    std::fs::write(&no_backup, "hello, this is no database at all").expect("writes");
    assert!(store::restore(&no_backup, folder().path(), new).is_err());
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// HUB-46: a command beside a running server is noticed: its person is cut off, its commits are told.
#[test]
fn another_programs_commits_are_noticed() {
    use server::hub::{Administration, administer};
    let folder = folder();
    let mut world = World::new();
    let file = folder.path().join("copy");
    // The world's own store is in memory; this test needs two connections to one file.
    let incarnation = world.lookup(|lookup| lookup.incarnation()).expect("reads");
    world
        .hub()
        .store_mut()
        .connection()
        .execute("VACUUM INTO ?", [file.to_str().expect("a path")])
        .expect("copies");
    store::restore(&file, folder.path(), incarnation).expect("restores");
    world.hub = Some(Hub::new(SqliteStore::open(folder.path()).expect("opens")).expect("begins"));
    let (mut li, mut zhao) = (world.online("li"), world.online("zhao"));
    let mut beside = SqliteStore::open(folder.path()).expect("opens");
    let mut person = world.people["zhao"].clone();
    person.active = false;
    let now = world.now;
    administer(&mut beside, now, &Administration::SetPerson { person, by: None }).expect("allowed");
    let events = li.events.len();
    world.later(10_000);
    let now = world.now;
    world.hub().handle_timeout(now);
    world.settle(&mut [&mut li, &mut zhao]);
    assert_eq!(zhao.goodbye, Some(shared::protocol::Goodbye::Revoked));
    assert_eq!(li.events.len(), events + 1, "everybody reads of people");
    let forbidden = shared::settings::Settings { position_allowed: false, ..Default::default() };
    administer(&mut beside, now, &Administration::PutSettings(forbidden)).expect("allowed");
    world.later(10_000);
    let now = world.now;
    world.hub().handle_timeout(now);
    world.settle(&mut [&mut li]);
    assert_eq!(li.goodbye.take(), Some(shared::protocol::Goodbye::ShuttingDown), "HUB-15");
    world.connect(&mut li);
    world.settle(&mut [&mut li]);
    assert!(li.settings.is_some_and(|settings| !settings.position_allowed), "HUB-15");
    let customer = world.stored_customer(&mut li);
    assert!(world.lookup(|lookup| lookup.customer(customer)).expect("reads").is_some());
}
