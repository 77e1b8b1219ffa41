//! I4 at the real process: with every log line switched on, the words of a customer are in no line of the log, in
//! no metric, in no answer to anybody without a grant, and in no file but the store's own.

use shared::protocol::{Goodbye, ServerFrame, encode};

use crate::caller::{Socket, access, log_in, post, send};
use crate::support::{Phone, World, files_with};

/// In every text of the customer, and in what people type into the wrong field.
const CANARY: &str = "canary2841";

fn holds_canary(bytes: &[u8]) -> bool {
    bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes())
}

/// The rep's work, from first word to the assistant's acceptance, all of it full of canaries.
fn work(world: &World, rep: &Phone, assistant: &Phone) {
    let name = format!("明达机械{CANARY}");
    rep.must(&["customer", "add", "--name", &name, "--address", CANARY, "--phone", "13800001111"]);
    rep.must(&["visit", "add", &name, "--text", &format!("客户说{CANARY}")]);
    rep.must(&["comment", &name, "--text", CANARY]);
    rep.must(&["sync"]);
    assistant.must(&["sync"]);
    assistant.must(&["ledger", "accept", &name]);
    assistant.must(&["sync"]);
    rep.must(&["customer", "edit", &name, "--address", &format!("搬到{CANARY}")]);
    rep.must(&["sync"]);
    // A photo of the visit, and a photo that somebody else asks for.
    let photo = format!("a photo of {CANARY}");
    let file = server::store::files::FileId::of(photo.as_bytes());
    let url = format!("{}/api/files/{file}?offset=0&total={}", world.url(), photo.len());
    let bearer = |person: &str| format!("Bearer {}", access(&log_in(world.url(), person)));
    let kept = send("PUT", &url, &[("authorization", &bearer("王"))], photo.as_bytes());
    assert!(kept.status < 300, "{}", kept.status);
    let refused = send("GET", &url, &[("authorization", &bearer("李"))], b"");
    assert!(refused.status >= 400 && !holds_canary(&refused.body), "{}", refused.status);
}

/// What goes wrong around it: a name and a password in the wrong fields, frames that are none, paths that are none.
fn mistakes(world: &World) {
    let url = world.url();
    let token = access(&log_in(url, "王"));
    let bearer = format!("Bearer {token}");
    let typed = serde_json::json!({ "name": CANARY, "password": CANARY, "label": CANARY });
    let mistyped = serde_json::json!({ "name": [CANARY] });
    let (login, ticket) = (format!("{url}/api/login"), format!("{url}/api/ticket"));
    let forged = format!("Bearer {CANARY}");
    let answers = [
        (post(&login, &[], &typed), 401),
        (post(&login, &[], &mistyped), 400),
        (send("POST", &ticket, &[("authorization", &forged)], b""), 401),
        (send("POST", &format!("{url}/sync"), &[("authorization", &bearer)], CANARY.as_bytes()), 400),
        (send("GET", &format!("{url}/api/{CANARY}"), &[], b""), 404),
    ];
    for (number, (answer, status)) in answers.iter().enumerate() {
        assert_eq!(answer.status, *status, "mistake {number}");
        assert!(!holds_canary(&answer.body), "mistake {number}");
    }
    let mut socket = Socket::logged_in(url, &token);
    socket.send(CANARY.as_bytes().to_vec());
    assert_eq!(socket.goodbye(), Some(Goodbye::Malformed));
}

// SEC-18
#[test]
fn no_word_of_a_customer_is_in_the_log_in_a_metric_or_with_anybody_without_a_grant() {
    let mut world = World::new();
    let log = world.beside("log");
    world.start_with_log(&log, "trace");
    let (rep, colleague) = (world.phone("wang", "王"), world.phone("li", "李"));
    let assistant = world.phone("zhao", "赵");
    let mut listening = Socket::logged_in(world.url(), &access(&log_in(world.url(), "李")));
    work(&world, &rep, &assistant);
    mistakes(&world);
    colleague.must(&["sync"]);

    for page in ["/metrics", "/healthz", "/readyz", "/", "/api/devices", "/api/quarantine"] {
        let answer = send("GET", &format!("{}{page}", world.url()), &[], b"");
        assert!(!holds_canary(&answer.body), "{page}");
    }
    let metrics = send("GET", &format!("{}/metrics", world.url()), &[], b"").body;
    assert!(String::from_utf8_lossy(&metrics).contains("daybook_"), "the metrics were looked at");
    assert!(world.server.take().expect("running").stop());
    // The socket of the colleague ends with the server: that is all that ever came through it.
    while let Some(frame) = listening.next() {
        let inside = match frame {
            ServerFrame::Page(page) => encode(&page.items.unpack().expect("a page")),
            other => encode(&other),
        };
        assert!(!holds_canary(&inside), "{}", String::from_utf8_lossy(&inside));
    }
    assert_eq!(files_with(&colleague.dir, &holds_canary), Vec::<String>::new());
    assert!(!files_with(&rep.dir, &holds_canary).is_empty(), "the rep has it");

    let written = std::fs::read(&log).expect("the log");
    let lines = String::from_utf8_lossy(&written);
    assert!(lines.contains("\"stopped\""), "the log was written to its end: {lines}");
    let told: Vec<_> = lines.lines().filter(|line| holds_canary(line.as_bytes())).collect();
    assert_eq!(told, Vec::<&str>::new());
    let allowed = |file: &String| file.starts_with("daybook.sqlite3") || file.starts_with("files/");
    let elsewhere: Vec<_> =
        files_with(&world.data(), &holds_canary).into_iter().filter(|file| !allowed(file)).collect();
    assert_eq!(elsewhere, Vec::<String>::new());
}
