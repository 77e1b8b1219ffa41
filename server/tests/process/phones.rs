//! Phones that meet over a server, as a shell script would drive them.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Phone, World, must, path, run};

fn array(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap_or_else(|| panic!("not a list: {value}"))
}

// CLI-8
#[test]
fn a_visit_written_without_a_server_reaches_the_managers_timeline() {
    let mut world = World::running();
    let rep = world.phone("wang", "王");
    let manager = world.phone("chen", "陈");
    assert!(world.server.take().expect("running").stop());
    let made =
        rep.must(&["customer", "add", "--name", "明达机械", "--address", "烟台", "--phone", "13800001111"]);
    let id = made["id"].as_str().expect("an id").to_owned();
    rep.must(&[
        "visit",
        "add",
        "明达机械",
        "--text",
        "看了设备",
        "--at",
        "2026-11-20T09:10:00+08:00",
        "--quote",
        "46#液压油|200L|1850/桶",
    ]);
    assert!(rep.must(&["pending"])["edits"].as_u64() > Some(0));
    assert!(!rep.run(&["sync", "--timeout", "1"]).ok(), "no server, no success");
    world.start();
    let synced = rep.must(&["sync"]);
    assert_eq!(synced["complete"], true);
    assert_eq!(rep.must(&["pending"])["edits"], 0);
    manager.must(&["sync"]);
    let timeline = manager.must(&["timeline", &id]);
    let visit = array(&timeline).iter().find(|entry| entry["kind"] == "visit").expect("the visit").clone();
    assert_eq!(visit["text"], "看了设备");
    assert_eq!(visit["at"], "2026-11-20T09:10:00+08:00");
    assert_eq!(visit["person"], "王");
    assert!(visit["recorded_at"].is_string() && visit["received_at"].is_string());
    let quote = array(&timeline).iter().find(|entry| entry["kind"] == "quote").expect("the quote").clone();
    assert_eq!(quote["product"], "46#液压油");
    assert_eq!(quote["pack"], "200L");
    assert_eq!(quote["price_fen"], 185_000);
    let shown = manager.must(&["customer", "show", &id]);
    assert_eq!(shown["owner"], "王");
    assert_eq!(shown["address"], "烟台");
    assert_eq!(shown["phones"][0]["number"], "13800001111");
}

// CLI-9
#[test]
fn a_manager_who_watches_sees_the_visit_without_asking() {
    let world = World::running();
    let rep = world.phone("wang", "王");
    let manager = world.phone("chen", "陈");
    manager.must(&["sync"]);
    let mut watching = manager
        .command(&["watch", "--count", "1", "--seconds", "60"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("watch starts");
    let lines = BufReader::new(watching.stdout.take().expect("piped"));
    rep.must(&["customer", "add", "--name", "明达机械"]);
    rep.must(&["visit", "add", "明达机械", "--text", "看了设备"]);
    rep.must(&["sync"]);
    let seen: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(&line.expect("a line")).expect("one value a line"))
        .collect();
    assert!(watching.wait().expect("ended").success());
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0]["customer_name"], "明达机械");
}

// CLI-10
#[test]
fn two_phones_edit_one_card_offline_and_both_show_both_values() {
    let world = World::running();
    let one = world.phone("wang", "王");
    let two = world.phone("zhao", "赵");
    let made =
        one.must(&["customer", "add", "--name", "明达机械", "--address", "旧址", "--phone", "13800001111"]);
    let id = made["id"].as_str().expect("an id");
    one.must(&["sync"]);
    two.must(&["sync"]);
    // Differently: merged. In the same field: both values stay.
    one.must(&["customer", "edit", id, "--short-name", "明达", "--address", "王的地址"]);
    two.must(&["customer", "edit", id, "--level", "C", "--address", "赵的地址"]);
    one.must(&["customer", "edit", id, "--retire-phone", "13800001111", "--add-phone", "13800002222"]);
    two.must(&["customer", "edit", id, "--retire-phone", "13800001111", "--add-phone", "13800003333"]);
    for phone in [&one, &two, &one] {
        phone.must(&["sync"]);
    }
    let (first, second) = (one.must(&["customer", "show", id]), two.must(&["customer", "show", id]));
    for key in ["name", "address", "phones", "clashes", "fields"] {
        assert_eq!(first[key], second[key], "{key}");
    }
    assert_eq!(first["fields"]["short_name"], "明达");
    assert_eq!(first["fields"]["level"], "C");
    let clash =
        array(&first["clashes"]).iter().find(|clash| clash["field"] == "address").expect("a clash").clone();
    let mut values: Vec<_> =
        array(&clash["values"]).iter().map(|value| value["value"].as_str().expect("text")).collect();
    values.sort_unstable();
    assert_eq!(values, ["王的地址", "赵的地址"]);
    assert!(
        array(&clash["values"])
            .iter()
            .all(|value| value["person"].is_string() && value["recorded_at"].is_string())
    );
    let numbers: Vec<_> = array(&first["phones"])
        .iter()
        .filter(|phone| phone["state"] == "active")
        .map(|phone| phone["number"].as_str().expect("a number"))
        .collect();
    assert_eq!(numbers.len(), 2, "S3: both new numbers stay: {numbers:?}");
    // Writing the field again settles the clash.
    one.must(&["customer", "edit", id, "--address", "定下的地址"]);
    one.must(&["sync"]);
    two.must(&["sync"]);
    assert_eq!(two.must(&["customer", "show", id])["clashes"], serde_json::json!([]));
}

// CLI-11, R2, R3, S2
#[test]
fn the_assistant_accepts_and_transfers_while_the_rep_has_unsent_work() {
    let world = World::running();
    let old = world.phone("wang", "王");
    let new = world.phone("li", "李");
    let assistant = world.phone("zhao", "赵");
    let made = old.must(&["customer", "add", "--name", "明达机械", "--phone", "13800001111"]);
    let id = made["id"].as_str().expect("an id");
    old.must(&["sync"]);
    assistant.must(&["sync"]);
    assistant.must(&["ledger", "accept", id]);
    let synced = assistant.must(&["sync"]);
    assert_eq!(synced["refused_requests"][0]["refusal"]["rule"], "acceptance_incomplete", "{synced}");
    assistant.must(&["customer", "edit", id, "--contact", "刘工"]);
    assistant.must(&["sync"]);
    assistant.must(&["ledger", "accept", id]);
    assistant.must(&["sync"]);
    assert_eq!(assistant.must(&["customer", "show", id])["code"], "KH00001");
    old.must(&["sync"]);
    // Offline, before T: a visit and an edit of the card.
    old.must(&["visit", "add", id, "--text", "移交前的拜访"]);
    old.must(&["customer", "edit", id, "--address", "旧负责人改的地址"]);
    assistant.must(&["ledger", "transfer", "KH00001", "--to", "李"]);
    assistant.must(&["sync"]);
    let after = old.must(&["sync"]);
    assert_eq!(after["complete"], true, "{after}");
    new.must(&["sync"]);
    let timeline = new.must(&["timeline", "KH00001"]);
    let visit = array(&timeline).iter().find(|entry| entry["kind"] == "visit").expect("credited").clone();
    assert_eq!(visit["person"], "王");
    assistant.must(&["sync"]);
    let late = assistant.must(&["ledger", "late"]);
    let held = array(&late).iter().find(|work| work["work"]["state"] == "held").expect("held").clone();
    assert_eq!(new.must(&["customer", "show", id])["address"], Value::Null, "not applied silently");
    assistant.must(&["ledger", "settle", id, &held["id"].to_string(), "--apply"]);
    assistant.must(&["sync"]);
    new.must(&["sync"]);
    assert_eq!(new.must(&["customer", "show", id])["address"], "旧负责人改的地址");
}

// CLI-12
#[test]
fn a_customer_of_an_ambiguous_name_is_asked_for_by_id() {
    let world = World::running();
    let rep = world.phone("wang", "王");
    for _ in 0..2 {
        rep.must(&["customer", "add", "--name", "同名厂"]);
    }
    let refused = rep.run(&["visit", "add", "同名厂", "--text", "x"]);
    assert!(!refused.ok());
    let error = refused.json()["error"].clone();
    assert_eq!(error["code"], "customer_ambiguous");
    let ids: Vec<_> = array(&rep.must(&["customer", "list"])).iter().map(|row| row["id"].clone()).collect();
    assert!(ids.iter().all(|id| error["en"].as_str().expect("text").contains(id.as_str().expect("an id"))));
}

// CLI-13
#[test]
fn what_a_killed_server_had_acknowledged_is_there_and_verify_agrees() {
    let mut world = World::running();
    let rep = world.phone("wang", "王");
    rep.must(&["customer", "add", "--name", "明达机械"]);
    rep.must(&["sync"]);
    world.server.take().expect("running").kill();
    assert_eq!(must(&["verify", "--data", path(&world.data())])["agrees"], true);
    world.start();
    let other = world.phone("other", "赵");
    other.must(&["sync"]);
    assert_eq!(array(&other.must(&["customer", "list"])).len(), 1);
}

// CLI-14, S14
#[test]
fn phones_offer_again_what_a_restored_server_has_lost() {
    let mut world = World::running();
    let rep = world.phone("wang", "王");
    rep.must(&["customer", "add", "--name", "备份前"]);
    rep.must(&["sync"]);
    let saved = world.beside("backup.db");
    must(&["backup", path(&saved), "--data", path(&world.data())]);
    rep.must(&["customer", "add", "--name", "备份后"]);
    rep.must(&["sync"]);
    assert!(world.server.take().expect("running").stop());
    std::fs::rename(world.data(), world.beside("lost")).expect("the disk is gone");
    must(&["restore", path(&saved), "--data", path(&world.data())]);
    world.start();
    let rep = world.phone("wang", "王");
    rep.must(&["sync"]);
    let other = world.phone("other", "赵");
    other.must(&["sync"]);
    assert_eq!(array(&other.must(&["customer", "list"])).len(), 2);
}

// CLI-2
#[test]
fn a_user_is_added_beside_a_running_server_and_logs_in_at_once() {
    let world = World::running();
    must(&["user", "add", "新人", "--role", "rep", "--team", "二组", "--data", path(&world.data())]);
    let phone = world.phone("new", "新人");
    phone.must(&["sync"]);
    let people = phone.must(&["people"]);
    assert!(people.as_array().expect("a list").iter().any(|person| person["name"] == "新人"));
}

// CLI-4, R4
#[test]
fn an_owner_of_customers_is_not_disabled() {
    let world = World::running();
    let phone = world.phone("wang", "王");
    phone.must(&["customer", "add", "--name", "明达机械"]);
    phone.must(&["sync"]);
    let refused = run(&["user", "disable", "王", "--data", path(&world.data()), "--json"]);
    assert!(!refused.ok());
    assert_eq!(refused.json()["error"]["code"], "still_owns_customers");
    must(&["user", "disable", "李", "--data", path(&world.data())]);
    let out = Phone { dir: world.beside("li") };
    assert!(!out.run(&["login", world.url(), "李"]).ok());
}

// CLI-9
#[test]
fn a_watch_outlives_its_server() {
    let mut world = World::running();
    let rep = world.phone("wang", "王");
    let manager = world.phone("chen", "陈");
    manager.must(&["sync"]);
    let mut watching = manager
        .command(&["watch", "--count", "2", "--seconds", "60"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut lines = BufReader::new(watching.stdout.take().expect("piped")).lines();
    rep.must(&["customer", "add", "--name", "明达机械"]);
    rep.must(&["visit", "add", "明达机械", "--text", "在线时写的"]);
    rep.must(&["sync"]);
    assert!(lines.next().expect("the first visit").expect("a line").contains("在线时写的"));
    world.server.take().expect("running").kill();
    rep.must(&["visit", "add", "明达机械", "--text", "断线时写的"]);
    world.start();
    rep.must(&["sync"]);
    assert!(lines.next().expect("the visit").expect("a line").contains("断线时写的"));
    assert!(watching.wait().expect("ended").success());
}

// CLI-6
#[test]
fn a_phone_killed_while_it_writes_has_all_of_an_edit_or_nothing_of_it() {
    let world = World::running();
    let rep = world.phone("wang", "王");
    rep.must(&["customer", "add", "--name", "明达机械"]);
    let mut reported = 0;
    for delay_ms in 0..24 {
        let mut writing = rep
            .command(&["visit", "add", "明达机械", "--text", "写到一半"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        // Not for anything to happen: to die at another place each time.
        std::thread::park_timeout(std::time::Duration::from_millis(delay_ms * 3));
        let _ = writing.kill();
        reported += usize::from(writing.wait().expect("ended").success());
    }
    rep.must(&["visit", "add", "明达机械", "--text", "最后一条"]);
    let kept = array(&rep.must(&["visit", "list"])).len();
    assert!(kept > reported, "{kept} kept, {reported} reported as kept");
    rep.must(&["sync"]);
    let other = world.phone("other", "赵");
    other.must(&["sync"]);
    assert_eq!(array(&other.must(&["visit", "list"])).len(), kept);
}

// CLI-6
#[test]
fn a_phone_in_use_is_not_opened_twice() {
    let world = World::running();
    let rep = world.phone("wang", "王");
    rep.must(&["sync"]);
    let mut watching =
        rep.command(&["watch", "--seconds", "60"]).stdout(Stdio::piped()).spawn().expect("starts");
    // The lock is taken before the first line is printed, and a registration is a line.
    let other = world.phone("zhao", "赵");
    let made = other.must(&["customer", "add", "--name", "别家"]);
    assert!(made["id"].is_string());
    let refused = loop {
        let ran = rep.run(&["pending"]);
        if !ran.ok() {
            break ran;
        }
    };
    assert!(refused.err().contains("another daybook process"), "{}", refused.err());
    watching.kill().expect("killed");
    watching.wait().expect("ended");
    rep.must(&["pending"]);
}
