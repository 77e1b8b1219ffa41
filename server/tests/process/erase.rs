//! CLI-15: erasure by command. The words are in no file of the data folder any more, phones drop them beside a
//! running server, and a restored backup has them until they are erased again.

use std::path::Path;

use serde_json::{Value, json};
use server::store::files::FileId;

use crate::caller::{access, log_in, send};
use crate::support::{World, files_with, must, path, run};

const CANARY: &str = "canary7319";

/// Which files of a folder hold the canary.
fn files_with_canary(folder: &Path) -> Vec<String> {
    files_with(folder, &|bytes| bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()))
}

fn texts(timeline: &Value) -> Vec<&str> {
    timeline.as_array().expect("a list").iter().filter_map(|entry| entry["text"].as_str()).collect()
}

// CLI-15, HUB-50
#[test]
fn an_erased_visit_is_in_no_file_and_on_no_phone() {
    let mut world = World::running();
    let rep = world.phone("wang", "王");
    let manager = world.phone("chen", "陈");
    rep.must(&["customer", "add", "--name", "明达机械"]);
    rep.must(&["visit", "add", "明达机械", "--text", "还在"]);
    let made = rep.must(&["visit", "add", "明达机械", "--text", CANARY]);
    let visit = made["id"].as_str().expect("an id").to_owned();
    rep.must(&["sync"]);
    manager.must(&["sync"]);
    let data = world.data();
    assert!(!files_with_canary(&data).is_empty(), "it is there before");
    let backup = world.beside("backup");
    must(&["backup", path(&backup), "--data", path(&data)]);
    // Beside the running server.
    let erased = must(&["erase", &visit, "--data", path(&data)]);
    assert_eq!(erased["erased"], json!([visit]));
    rep.must(&["visit", "edit", &visit, "--text", "改过"]);
    let refused = rep.must(&["sync"])["refused"].clone();
    assert_eq!(refused[0]["refusal"]["rule"], "erased", "{refused}");
    manager.must(&["sync"]);
    for phone in [&rep, &manager] {
        let timeline = phone.must(&["timeline", "明达机械"]);
        assert!(texts(&timeline).contains(&"还在") && !texts(&timeline).contains(&CANARY), "{timeline}");
    }
    assert!(world.server.take().expect("running").stop());
    must(&["erase", &visit, "--data", path(&data)]);
    assert_eq!(files_with_canary(&data), Vec::<String>::new());
    assert_eq!(must(&["erase", "--list", "--data", path(&data)])[0]["doc"], json!(visit));
    assert_eq!(must(&["verify", "--data", path(&data)])["agrees"], true);
    let nothing = run(&["erase", &"ab".repeat(16), "--data", path(&data), "--json"]);
    assert!(!nothing.ok());
    assert_eq!(nothing.json()["error"]["code"], "not_found");
    // A backup from before is from before.
    let restored = world.beside("restored");
    must(&["restore", path(&backup), "--data", path(&restored)]);
    assert!(!files_with_canary(&restored).is_empty());
    must(&["erase", &visit, "--data", path(&restored)]);
    assert_eq!(files_with_canary(&restored), Vec::<String>::new());
}

// CLI-15, HUB-50
#[test]
fn with_a_visit_go_the_photos_that_no_other_visit_shows() {
    let world = World::running();
    let rep = world.phone("wang", "王");
    rep.must(&["customer", "add", "--name", "明达机械"]);
    let token = access(&log_in(world.url(), "王"));
    let bearer = format!("Bearer {token}");
    let (own, shared) = (b"a photo of one visit".to_vec(), b"a photo of two visits".to_vec());
    let file = |photo: &[u8]| format!("{}/api/files/{}", world.url(), FileId::of(photo));
    for photo in [&own, &shared] {
        let part = format!("{}?offset=0&total={}", file(photo), photo.len());
        let whole = send("PUT", &part, &[("authorization", &bearer)], photo);
        assert_eq!(whole.json()["whole"], true);
    }
    let field = |number: u32, photo: &[u8]| format!("photos/photo{number:04}/sha256={}", FileId::of(photo));
    let visit = |fields: &[String]| {
        let mut arguments = vec!["visit", "add", "明达机械", "--text", "带照片"];
        fields.iter().for_each(|field| arguments.extend(["--set", field]));
        rep.must(&arguments)["id"].as_str().expect("an id").to_owned()
    };
    let doomed = visit(&[field(1, &own), field(2, &shared)]);
    visit(&[field(3, &shared)]);
    rep.must(&["sync"]);
    let erased = must(&["erase", &doomed, "--data", path(&world.data())]);
    assert_eq!(erased["photos"], 1);
    let held = |photo: &[u8]| {
        let held = send("GET", &format!("{}/held", file(photo)), &[("authorization", &bearer)], b"").json();
        held["whole"].clone()
    };
    assert_eq!((held(&own), held(&shared)), (json!(false), json!(true)));
}
