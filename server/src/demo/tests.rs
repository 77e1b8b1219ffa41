//! The demo as a whole, on a store in memory.

use std::time::Instant;

use shared::id::IncarnationId;

use super::*;
use crate::admission::InProcess;
use crate::hub::verify;
use crate::store::Store;

fn made(now: i64) -> (SqliteStore, Demo) {
    let store = SqliteStore::in_memory(IncarnationId([1; 16])).expect("a store in memory");
    seed(store, UtcMillis(now), 7, str::to_owned).expect("a demo")
}

#[test]
fn imp_11_the_demo_breaks_no_rule_and_the_store_agrees_with_its_log() {
    let begun = Instant::now();
    let (store, demo) = made(1_795_312_800_000);
    eprintln!("{:?} {:?}", begun.elapsed(), demo.refused);
    assert_eq!(demo.refused, Vec::<String>::new());
    assert_eq!((demo.customers, demo.visits), (60, 600 + 2));
    assert_eq!(demo.logins.len(), 8);
    let found = verify(&store.lookup(), &mut InProcess).expect("a readable store");
    eprintln!("{found:?}");
}
