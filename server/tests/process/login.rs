//! SEC-1 to SEC-8: passwords, tokens, refresh, devices, origins, guesses.

use std::io::{Read, Write};

use serde_json::json;

use crate::caller::{access, cookie, log_in, post, refresh, send, ticket};
use crate::support::{PASSWORD, World, must, path, run};

// SEC-1
#[test]
fn a_wrong_password_an_unknown_name_and_a_disabled_person_get_one_answer() {
    let world = World::running();
    must(&["user", "disable", "李", "--data", path(&world.data())]);
    let url = format!("{}/api/login", world.url());
    let wrong = post(&url, &[], &json!({ "name": "王", "password": "wrong password" }));
    let unknown = post(&url, &[], &json!({ "name": "nobody", "password": PASSWORD }));
    let disabled = post(&url, &[], &json!({ "name": "李", "password": PASSWORD }));
    assert_eq!(wrong.status, 401);
    assert_eq!(wrong.code(), "wrong_login");
    for other in [unknown, disabled] {
        assert_eq!((other.status, &other.body), (wrong.status, &wrong.body));
    }
    assert_eq!(log_in(world.url(), "王").status, 200);
}

// SEC-2
#[test]
fn only_tokens_of_this_server_open_its_doors() {
    let world = World::running();
    let other = World::running();
    let good = access(&log_in(world.url(), "王"));
    let foreign = access(&log_in(other.url(), "王"));
    assert_eq!(ticket(world.url(), &good).status, 200);
    let (head, signature) = good.rsplit_once('.').expect("three parts");
    let flipped: String = signature.chars().rev().collect();
    for bad in [foreign, format!("{head}.{flipped}"), format!("{head}."), String::new(), "a.b.c".to_owned()] {
        assert_eq!(ticket(world.url(), &bad).status, 401, "{bad}");
    }
    assert_eq!(send("POST", &format!("{}/sync", world.url()), &[], b"").status, 401);
}

// SEC-3
#[test]
fn a_refresh_token_rotates_and_a_lost_reply_is_repeated() {
    let world = World::running();
    let first = cookie(&log_in(world.url(), "王"));
    let second = refresh(world.url(), &first);
    assert_eq!(second.status, 200);
    assert_ne!(cookie(&second), first);
    let repeated = refresh(world.url(), &first);
    assert_eq!(cookie(&repeated), cookie(&second), "the same successor within thirty seconds");
    assert_eq!(ticket(world.url(), &access(&repeated)).status, 200);
}

// SEC-3
#[test]
fn a_refresh_token_used_by_two_holders_ends_the_family() {
    let world = World::running();
    let stolen = cookie(&log_in(world.url(), "王"));
    let second = cookie(&refresh(world.url(), &stolen));
    let third = cookie(&refresh(world.url(), &second));
    assert_eq!(refresh(world.url(), &stolen).status, 401);
    assert_eq!(refresh(world.url(), &third).status, 401, "the honest holder logs in again, the thief cannot");
    assert_eq!(refresh(world.url(), "daybook_refresh=00").status, 401);
    assert_eq!(refresh(world.url(), "").status, 401);
}

// SEC-3
#[test]
fn the_cookie_is_out_of_reach_of_scripts_and_other_sites_and_logout_voids_it() {
    let world = World::running();
    let login = log_in(world.url(), "王");
    let header = login.cookie.clone().expect("a cookie");
    for part in ["HttpOnly", "SameSite=Strict", "Path=/api"] {
        assert!(header.contains(part), "{header}");
    }
    let cookie = cookie(&login);
    assert_eq!(send("POST", &format!("{}/api/logout", world.url()), &[("cookie", &cookie)], b"").status, 204);
    assert_eq!(refresh(world.url(), &cookie).status, 401);
}

// SEC-5
#[test]
fn a_page_of_another_site_gets_nowhere() {
    let world = World::running();
    let url = format!("{}/api/login", world.url());
    let body = json!({ "name": "王", "password": PASSWORD });
    let foreign = post(&url, &[("origin", "https://evil.example")], &body);
    assert_eq!((foreign.status, foreign.code().as_str()), (403, "origin_foreign"));
    assert_eq!(post(&url, &[("origin", world.url())], &body).status, 200);
    let upgrade = [
        ("origin", "https://evil.example"),
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    assert_eq!(send("GET", &format!("{}/sync/ws", world.url()), &upgrade, b"").status, 403);
}

// SEC-6
#[test]
fn guessing_is_braked_by_name() {
    let world = World::running_with(&[("DAYBOOK_LOGIN_PER_MINUTE_BY_NAME", "3")]);
    let url = format!("{}/api/login", world.url());
    let guess = || post(&url, &[], &json!({ "name": "王", "password": "guess" })).status;
    assert_eq!([guess(), guess(), guess()], [401, 401, 401]);
    assert_eq!(guess(), 429);
    assert_eq!(log_in(world.url(), "王").status, 429, "even the right password waits");
    assert_eq!(log_in(world.url(), "李").status, 200);
}

// SEC-7, S6
#[test]
fn a_revoked_device_is_out_at_once_and_others_stay() {
    let world = World::running();
    let lost = log_in(world.url(), "王");
    let kept = log_in(world.url(), "王");
    let assistant = access(&log_in(world.url(), "赵"));
    let device = lost.json()["device"].as_str().expect("an id").to_owned();
    let mut socket = crate::caller::Socket::logged_in(world.url(), &access(&lost));
    let bearer = format!("Bearer {assistant}");
    let revoke = format!("{}/api/devices/{device}/revoke", world.url());
    assert_eq!(send("POST", &revoke, &[("authorization", &bearer)], b"").status, 204);
    assert_eq!(socket.goodbye(), Some(shared::protocol::Goodbye::Revoked));
    let refused = ticket(world.url(), &access(&lost));
    assert_eq!((refused.status, refused.code().as_str()), (403, "access_ended"));
    let refused = refresh(world.url(), &cookie(&lost));
    assert_eq!((refused.status, refused.code().as_str()), (403, "access_ended"));
    assert_eq!(ticket(world.url(), &access(&kept)).status, 200);
    let again = json!({ "name": "王", "password": PASSWORD, "device": device });
    assert_eq!(post(&format!("{}/api/login", world.url()), &[], &again).code(), "access_ended");
}

// SEC-7
#[test]
fn a_device_revoked_by_a_command_is_out_at_once_too() {
    let world = World::running();
    let login = log_in(world.url(), "王");
    let device = login.json()["device"].as_str().expect("an id").to_owned();
    let listed = must(&["device", "list", "--data", path(&world.data())]);
    assert_eq!(listed[0]["id"], device.as_str());
    assert_eq!(listed[0]["person_name"], "王");
    must(&["device", "revoke", &device, "--data", path(&world.data())]);
    assert_eq!(ticket(world.url(), &access(&login)).status, 403);
    assert!(!run(&["device", "revoke", &"0".repeat(32), "--data", path(&world.data())]).ok());
}

// SEC-8
#[test]
fn what_is_not_there_and_what_is_not_yours_look_alike() {
    let world = World::running();
    let rep = format!("Bearer {}", access(&log_in(world.url(), "王")));
    let device = log_in(world.url(), "赵").json()["device"].as_str().expect("an id").to_owned();
    let get = |path: &str| send("GET", &format!("{}{path}", world.url()), &[("authorization", &rep)], b"");
    let revoke = |id: &str| {
        let url = format!("{}/api/devices/{id}/revoke", world.url());
        send("POST", &url, &[("authorization", &rep)], b"")
    };
    let nothing = get("/api/nothing");
    assert_eq!(nothing.status, 404);
    let others = [get("/api/devices"), revoke(&device), revoke(&"0".repeat(32)), revoke("x")];
    for other in others {
        assert_eq!((other.status, &other.body), (nothing.status, &nothing.body));
    }
}

// SEC-11
#[test]
fn a_body_beyond_its_limit_is_refused_unread() {
    let world = World::running();
    let long = json!({ "name": "x".repeat(100_000), "password": PASSWORD });
    assert_eq!(post(&format!("{}/api/login", world.url()), &[], &long).status, 413);
    let bearer = format!("Bearer {}", access(&log_in(world.url(), "王")));
    let headers = [("authorization", bearer.as_str())];
    let sync = format!("{}/sync", world.url());
    // The head alone: the answer must come before the body.
    let address = world.url().strip_prefix("http://").expect("http");
    let mut long = std::net::TcpStream::connect(address).expect("connects");
    long.set_read_timeout(Some(std::time::Duration::from_secs(10))).expect("a timeout");
    write!(
        long,
        "POST /sync HTTP/1.1\r\nHost: {address}\r\nAuthorization: {bearer}\r\nContent-Length: 3000000\r\n\r\n"
    )
    .expect("sent");
    let mut status = [0; 12];
    long.read_exact(&mut status).expect("an answer");
    assert_eq!(&status, b"HTTP/1.1 413");
    assert_eq!(send("POST", &sync, &headers, &[0x9f]).status, 400);
    assert_eq!(post(&format!("{}/api/login", world.url()), &[], &json!([1])).status, 400);
}

// SEC-12
#[test]
fn no_name_password_or_token_is_logged() {
    let data = World::new();
    let log = data.beside("log");
    let file = std::fs::File::create(&log).expect("a file");
    let mut child = crate::support::binary()
        .args(["serve", "--data", path(&data.data()), "--listen", "127.0.0.1:0"])
        .env("DAYBOOK_LOG", "debug")
        .stdout(std::process::Stdio::piped())
        .stderr(file)
        .spawn()
        .expect("starts");
    let mut line = String::new();
    let out = child.stdout.take().expect("piped");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).expect("a line");
    let url = line.trim().strip_prefix("ready ").expect("ready").to_owned();
    let login = log_in(&url, "王");
    let drawn = ticket(&url, &access(&login)).json()["ticket"].as_str().expect("a ticket").to_owned();
    let wrong =
        post(&format!("{url}/api/login"), &[], &json!({ "name": "secretname", "password": "secretword" }));
    assert_eq!(wrong.status, 401);
    let mut socket = crate::caller::Socket::open(&url);
    socket.send(crate::caller::hello(Some(&drawn)));
    assert!(socket.next().is_some());
    child.kill().expect("killed");
    child.wait().expect("ended");
    let log = std::fs::read_to_string(&log).expect("UTF-8");
    assert!(log.contains("ready"), "something is logged");
    let refresh = cookie(&login);
    let secrets = [
        "王",
        "secretname",
        "secretword",
        PASSWORD,
        &drawn,
        &access(&login),
        &refresh["daybook_refresh=".len()..],
    ];
    for secret in secrets {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}
