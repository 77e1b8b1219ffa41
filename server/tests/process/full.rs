//! A full disk under the real server: the database, the photo store, the login. Each is a named answer that may
//! pass; the process lives, phones keep their work, and when there is room everything arrives.

use serde_json::json;
use server::store::files::FileId;

use crate::caller::{access, cookie, log_in, post, refresh, send};
use crate::support::{PASSWORD, World, must, path};

/// Room for the tables of a small organisation and a little more.
const ROOM_KIB: u64 = 700;

// HUB-42, FILE-9, SEC-15
#[test]
fn a_full_disk_is_a_named_answer_and_nothing_is_lost() {
    let mut world = World::running();
    let phone = world.phone("wang", "王");
    phone.must(&["customer", "add", "--name", "明达机械"]);
    phone.must(&["sync"]);
    let other = log_in(world.url(), "李");
    let token = access(&other);
    assert!(world.server.take().expect("running").stop());
    world.start_with_room(ROOM_KIB);

    let text = "谈了很久，客户要三种油的报价。".repeat(400);
    let mut visits = 0;
    while phone.must(&["pending"])["edits"] == 0 {
        assert!(visits < 100, "the disk is never full");
        visits += 1;
        phone.must(&["visit", "add", "明达机械", "--text", &text]);
        let synced = phone.run(&["sync", "--timeout", "3"]);
        if !synced.ok() {
            assert_eq!(synced.json()["refused"], json!([]), "nothing is refused for good");
        }
    }
    let pending = phone.must(&["pending"]);
    assert!(pending["edits"].as_u64() >= Some(1) && pending["refused"] == 0, "{pending}");

    let url = world.url().to_owned();
    assert_eq!(send("GET", &format!("{url}/healthz"), &[], b"").status, 200, "the process lives");
    // What room is left is taken by small writes, and then nothing fits any more.
    let mut token_of_another = cookie(&other);
    let refuses = (0..60).any(|_| {
        let answer = refresh(&url, &token_of_another);
        if answer.status == 200 {
            token_of_another = cookie(&answer);
        }
        answer.status == 503
    });
    assert!(refuses, "tokens are still written");
    let says_no = || send("GET", &format!("{url}/readyz"), &[], b"").status == 503;
    let full = (0..30).any(|_| !phone.run(&["sync", "--timeout", "1"]).ok() && says_no());
    assert!(full, "it says that it can write");
    let login = post(&format!("{url}/api/login"), &[], &json!({ "name": "李", "password": PASSWORD }));
    assert_eq!((login.status, login.code().as_str()), (503, "store_unavailable"));
    let told = login.json()["error"].clone();
    assert!(told["zh"].as_str().is_some_and(|zh| zh.contains("重试")), "{told}");
    assert!(told["en"].as_str().is_some_and(|en| en.contains("tries again")), "{told}");

    // The photo store: the part that does not fit is an answer, what fitted is kept, and it goes on there.
    let photo: Vec<u8> =
        (0..1_000_000u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let file = format!("{url}/api/files/{}", FileId::of(&photo));
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    let put = |offset: usize, end: usize| {
        let part = format!("{file}?offset={offset}&total={}", photo.len());
        send("PUT", &part, &headers, &photo[offset..end])
    };
    assert_eq!(put(0, 500_000).status, 200);
    let full = put(500_000, photo.len());
    assert_eq!((full.status, full.code().as_str()), (503, "store_unavailable"));
    let held = send("GET", &format!("{file}/held"), &headers, b"").json();
    assert_eq!(held["whole"], false);
    let held = held["held"].as_u64().expect("a number") as usize;
    assert!((500_000..photo.len()).contains(&held), "{held}");

    assert!(world.server.take().expect("running").stop());
    world.start();
    let synced = phone.must(&["sync"]);
    assert_eq!(synced["complete"], true);
    assert_eq!(phone.must(&["pending"])["edits"], 0);
    // The same phone again: what it has sent is its own.
    let device = other.json()["device"].clone();
    let again = json!({ "name": "李", "password": PASSWORD, "device": device });
    let token = access(&post(&format!("{}/api/login", world.url()), &[], &again));
    let part =
        format!("{}/api/files/{}?offset={held}&total={}", world.url(), FileId::of(&photo), photo.len());
    let bearer = format!("Bearer {token}");
    let whole = send("PUT", &part, &[("authorization", &bearer)], &photo[held..]);
    assert_eq!(whole.json()["whole"], true, "{}", whole.status);
    assert!(world.server.take().expect("running").stop());
    let verified = must(&["verify", "--data", path(&world.data())]);
    assert_eq!(verified["agrees"], true);
    assert_eq!(verified["documents"], 1 + visits, "every visit arrived");
}
