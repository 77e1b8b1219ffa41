//! S6: a revoked phone that comes back hands its unsent work over into quarantine, then it is empty. The desk sees
//! what lies there and can have it stored; nobody else's door opens.

use serde_json::{Value, json};

use crate::caller::{access, cookie, log_in, refresh, send};
use crate::support::{Phone, World, must, path};

/// Waits for what the hub does in its own time: asks again, a bounded number of times.
fn until(mut holds: impl FnMut() -> bool) {
    assert!((0..2_000).any(|_| holds()), "it never happened");
}

struct Scene {
    world: World,
    rep: Phone,
    device: String,
    desk: String,
}

/// A rep with a factory on the server and unsent work on a phone that is revoked.
fn revoked() -> Scene {
    let world = World::running();
    let rep = world.phone("wang", "王");
    rep.must(&["customer", "add", "--name", "明达机械", "--phone", "13800001111"]);
    rep.must(&["sync"]);
    rep.must(&["visit", "add", "明达机械", "--text", "没传的拜访"]);
    rep.must(&["customer", "edit", "明达机械", "--address", "没传的地址"]);
    let listed = must(&["device", "list", "--data", path(&world.data())]);
    let device = listed.as_array().expect("a list")[0]["id"].as_str().expect("an id").to_owned();
    let desk = format!("Bearer {}", access(&log_in(world.url(), "赵")));
    let revoke = format!("{}/api/devices/{device}/revoke", world.url());
    assert_eq!(send("POST", &revoke, &[("authorization", &desk)], b"").status, 204);
    Scene { world, rep, device, desk }
}

impl Scene {
    fn get(&self, place: &str) -> Value {
        send("GET", &format!("{}{place}", self.world.url()), &[("authorization", &self.desk)], b"").json()
    }

    fn device(&self) -> Value {
        let devices = self.get("/api/devices");
        let mine = |device: &&Value| device["id"] == self.device.as_str();
        devices.as_array().expect("a list").iter().find(mine).expect("it is listed").clone()
    }
}

// S6, SEC-16, CL-60, HUB-60
#[test]
fn a_revoked_phone_hands_its_work_over_and_empties_itself() {
    let scene = revoked();
    let manager = scene.world.phone("chen", "陈");
    let left = scene.rep.run(&["sync"]);
    assert!(!left.ok());
    assert_eq!(left.json()["error"]["code"], "device_revoked", "{}", left.err());
    // It is empty, and its files hold no word of it.
    assert_eq!(scene.rep.must(&["customer", "list"]), json!([]));
    assert_eq!(scene.rep.must(&["pending"])["edits"], 0);
    for entry in std::fs::read_dir(&scene.rep.dir).expect("readable").flatten() {
        let bytes = std::fs::read(entry.path()).expect("readable");
        for word in ["没传的拜访", "明达机械"] {
            let holds = bytes.windows(word.len()).any(|window| window == word.as_bytes());
            assert!(!holds, "{:?} holds {word}", entry.path());
        }
    }
    // The page says what it left; the desk sees it with its reason; nothing of it was merged.
    let device = scene.device();
    assert_eq!(device["quarantined"], 2, "{device}");
    assert!(device["last_contact_at"].is_string() && device["revoked_at"].is_string());
    let items = scene.get("/api/quarantine");
    let kinds: Vec<_> = items.as_array().expect("a list").iter().map(|item| item["what"].clone()).collect();
    assert_eq!(kinds, [json!("visit"), json!("customer")]);
    assert_eq!(items[0]["reason"], "access_ended");
    assert_eq!(items[0]["person_name"], "王");
    manager.must(&["sync"]);
    assert!(!manager.must(&["timeline", "明达机械"]).to_string().contains("没传的拜访"));
    let listed = must(&["device", "quarantine", "--data", path(&scene.world.data())]);
    assert_eq!(listed.as_array().expect("a list").len(), 2);
    // Its author sees it from another phone, a colleague does not.
    let own = |name: &str| {
        let bearer = format!("Bearer {}", access(&log_in(scene.world.url(), name)));
        let url = format!("{}/api/quarantine", scene.world.url());
        send("GET", &url, &[("authorization", &bearer)], b"").json().as_array().expect("a list").len()
    };
    assert_eq!((own("王"), own("李")), (2, 0));
}

// S15, HUB-61
#[test]
fn the_desk_has_quarantined_work_stored_after_all() {
    let scene = revoked();
    assert!(!scene.rep.run(&["sync"]).ok());
    let restore = format!("{}/api/devices/{}/restore", scene.world.url(), scene.device);
    let rep = format!("Bearer {}", access(&log_in(scene.world.url(), "王")));
    assert_eq!(send("POST", &restore, &[("authorization", &rep)], b"").status, 404, "not for a rep");
    let begun = send("POST", &restore, &[("authorization", &scene.desk)], b"");
    assert_eq!((begun.status, begun.json()["items"].clone()), (202, json!(2)));
    until(|| scene.device()["quarantined"] == 0);
    let manager = scene.world.phone("chen", "陈");
    manager.must(&["sync"]);
    let timeline = manager.must(&["timeline", "明达机械"]);
    let entries = timeline.as_array().expect("a list");
    let visit = entries.iter().find(|entry| entry["text"] == "没传的拜访").expect("it is there");
    assert_eq!(visit["person"], "王", "by the hand that wrote it");
    assert_eq!(manager.must(&["customer", "show", "明达机械"])["address"], "没传的地址");
    // Again changes nothing.
    assert_eq!(send("POST", &restore, &[("authorization", &scene.desk)], b"").json()["items"], 0);
    assert_eq!(must(&["verify", "--data", path(&scene.world.data())])["agrees"], true);
}

// SEC-16
#[test]
fn the_door_of_the_quarantine_is_for_revoked_devices_alone() {
    let world = World::running();
    let login = log_in(world.url(), "王");
    let door = format!("{}/api/handover", world.url());
    let knock = |cookie: &str, body: &[u8]| send("POST", &door, &[("cookie", cookie)], body);
    assert_eq!(knock(&cookie(&login), b"").status, 404, "a device in use has no such door");
    assert_eq!(knock(&format!("daybook_refresh={}", "ab".repeat(32)), b"").status, 401);
    assert_eq!(send("POST", &door, &[], b"").status, 401);
    let device = login.json()["device"].as_str().expect("an id").to_owned();
    must(&["device", "revoke", &device, "--data", path(&world.data())]);
    assert_eq!(refresh(world.url(), &cookie(&login)).code(), "access_ended");
    assert_eq!(knock(&cookie(&login), b"").status, 200, "refreshing did not use its token up");
    assert_eq!(knock(&cookie(&login), b"\x9f").status, 400);
    let hello = crate::caller::hello(None);
    assert_eq!(knock(&cookie(&login), &hello).status, 400, "pushes only");
    assert_eq!(must(&["device", "quarantine", "--data", path(&world.data())]), json!([]));
}

// S6, S7, SEC-16: a phone whose person was disabled has the same door.
#[test]
fn the_phone_of_a_disabled_person_hands_its_work_over() {
    let world = World::running();
    let rep = world.phone("wang", "王");
    rep.must(&["customer", "add", "--name", "明达机械", "--phone", "13800001111"]);
    rep.must(&["sync"]);
    let desk = world.phone("zhao", "赵");
    desk.must(&["sync"]);
    desk.must(&["ledger", "transfer", "明达机械", "--to", "李"]);
    desk.must(&["sync"]);
    rep.must(&["visit", "add", "明达机械", "--text", "没传的拜访"]);
    must(&["user", "disable", "王", "--data", path(&world.data())]);
    let left = rep.run(&["sync"]);
    assert_eq!(left.json()["error"]["code"], "device_revoked", "{}", left.err());
    assert_eq!(rep.must(&["pending"])["edits"], 0);
    let items = must(&["device", "quarantine", "--data", path(&world.data())]);
    assert_eq!(items.as_array().expect("a list").len(), 1);
}

// FILE-11, SEC-16: the photos of unsent work go through the same door, and nothing comes out of it.
#[test]
fn a_revoked_device_hands_its_photos_over() {
    let world = World::running();
    let login = log_in(world.url(), "王");
    let device = login.json()["device"].as_str().expect("an id").to_owned();
    let photo = b"what was photographed".to_vec();
    let id = server::store::files::FileId::of(&photo);
    let door = format!("{}/api/handover/files/{id}", world.url());
    let cookie = cookie(&login);
    let put = |offset: usize, bytes: &[u8]| {
        let part = format!("{door}?offset={offset}&total={}", photo.len());
        send("PUT", &part, &[("cookie", &cookie)], bytes)
    };
    assert_eq!(put(0, &photo[..4]).status, 404, "not for a device in use");
    must(&["device", "revoke", &device, "--data", path(&world.data())]);
    assert_eq!(put(0, &photo[..4]).json(), json!({ "held": 4, "whole": false }));
    let held = send("GET", &format!("{door}/held"), &[("cookie", &cookie)], b"");
    assert_eq!(held.json(), json!({ "held": 4, "whole": false }));
    assert_eq!(put(4, &photo[4..]).json()["whole"], true);
    assert_eq!(send("GET", &door, &[("cookie", &cookie)], b"").status, 404, "nothing comes out");
    assert_eq!(send("GET", &format!("{door}/held"), &[], b"").status, 401);
}

// S6: where the server does not take it, everything stays on the phone.
#[test]
fn a_revoked_phone_that_is_not_heard_keeps_its_work() {
    let mut scene = revoked();
    let server = scene.world.server.take().expect("running");
    assert!(server.stop());
    assert!(!scene.rep.run(&["sync", "--timeout", "1"]).ok());
    assert_eq!(scene.rep.must(&["pending"])["edits"], 2);
    assert!(scene.rep.must(&["timeline", "明达机械"]).to_string().contains("没传的拜访"));
}
