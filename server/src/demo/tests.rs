//! The demo as a whole, on a store in memory.

use shared::id::IncarnationId;

use super::*;
use crate::admission::InProcess;
use crate::hub::verify;
use crate::store::{Lookup, Store};

fn made(now: i64) -> (SqliteStore, Demo) {
    let store = SqliteStore::in_memory(IncarnationId([1; 16])).expect("a store in memory");
    seed(store, UtcMillis(now), 7, str::to_owned).expect("a demo")
}

#[test]
fn imp_11_the_demo_breaks_no_rule_follows_from_its_seed_and_the_store_agrees_with_its_log() {
    let (store, demo) = made(1_795_312_800_000);
    assert_eq!(demo.refused, Vec::<String>::new());
    assert_eq!((demo.customers, demo.visits, demo.comments), (60, 602, 48));
    let teams: Vec<Option<&str>> = demo.logins.iter().map(|login| login.team.as_deref()).collect();
    let (first, second) = (Some("业务一部"), Some("业务二部"));
    assert_eq!(teams, [first, first, first, second, second, None, first, None]);

    let found = verify(&store.lookup(), &mut InProcess).expect("a readable store");
    assert_eq!((found.documents, found.differences), (60 + 602 + 48, 0), "{:?}", found.told);

    let (again, same) = made(1_795_312_800_000);
    assert_eq!(same, demo);
    let heads = |store: &SqliteStore| store.lookup().head().expect("a readable store");
    assert_eq!(heads(&again), heads(&store));
}
