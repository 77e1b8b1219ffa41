//! SEC-4 and SEC-10: tickets, silence, slowness and size on sockets. Whatever one connection does, the next one
//! is served.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use shared::limits;
use shared::protocol::{self, ClientFrame, Goodbye, PendingCounts, ServerFrame};

use crate::caller::{Socket, access, hello, log_in, send, ticket};
use crate::support::World;

fn ticket_of(world: &World) -> String {
    let token = access(&log_in(world.url(), "王"));
    ticket(world.url(), &token).json()["ticket"].as_str().expect("a ticket").to_owned()
}

// SEC-4
#[test]
fn a_ticket_opens_one_socket_and_no_second() {
    let world = World::running();
    let ticket = ticket_of(&world);
    let mut first = Socket::open(world.url());
    first.send(hello(Some(&ticket)));
    assert!(matches!(first.next(), Some(ServerFrame::Welcome(_))));
    assert!(matches!(first.next(), Some(ServerFrame::Page(_))));
    let mut second = Socket::open(world.url());
    second.send(hello(Some(&ticket)));
    assert_eq!(second.goodbye(), Some(Goodbye::Unauthenticated));
    first.send(protocol::encode(&ClientFrame::Ping(PendingCounts::default(), None)));
    assert!(matches!(first.next(), Some(ServerFrame::Pong(_))), "the first lives on");
}

// SEC-4
#[test]
fn no_ticket_a_forged_ticket_and_another_first_frame_end_the_socket() {
    let world = World::running();
    let forged = "ab".repeat(32);
    let ping = protocol::encode(&ClientFrame::Ping(PendingCounts::default(), None));
    let cases = [
        (hello(None), Goodbye::Unauthenticated),
        (hello(Some(&forged)), Goodbye::Unauthenticated),
        (ping, Goodbye::Malformed),
        (vec![0xff; 40], Goodbye::Malformed),
        (Vec::new(), Goodbye::Malformed),
    ];
    for (frame, expected) in cases {
        let mut socket = Socket::open(world.url());
        socket.send(frame);
        assert_eq!(socket.goodbye(), Some(expected));
        assert!(socket.next().is_none(), "and then it is closed");
    }
}

// SEC-10
#[test]
fn a_frame_beyond_its_limit_ends_its_socket_and_no_other() {
    let world = World::running();
    let token = access(&log_in(world.url(), "王"));
    let mut honest = Socket::logged_in(world.url(), &token);
    let mut greedy = Socket::logged_in(world.url(), &token);
    greedy.send(vec![0; limits::FRAME_BYTES_MAX + 1]);
    while greedy.next().is_some() {}
    honest.send(protocol::encode(&ClientFrame::Ping(PendingCounts::default(), None)));
    let answer = std::iter::from_fn(|| honest.next()).find(|frame| !matches!(frame, ServerFrame::Page(_)));
    assert!(matches!(answer, Some(ServerFrame::Pong(_))));
}

// SEC-19
#[test]
fn a_long_message_leaves_in_frames_of_sixteen_kib() {
    let world = World::running();
    let phone = world.phone("wang", "王");
    phone.must(&["customer", "add", "--name", "明达机械"]);
    let mut dice = 1_u32;
    for _ in 0..20 {
        // Texts that no compression makes short.
        let text = std::iter::repeat_with(|| {
            dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from_u32(0x4E00 + (dice >> 16) % 0x4000).expect("a Chinese character")
        });
        let text: String = text.take(1_000).collect();
        phone.must(&["visit", "add", "明达机械", "--text", &text]);
    }
    phone.must(&["sync"]);
    let ticket = ticket_of(&world);
    let mut socket = Socket::open_for_frames_of(world.url(), 16 * 1024);
    socket.send(hello(Some(&ticket)));
    let messages = std::iter::from_fn(|| socket.next_bytes());
    let page = messages.take(3).find(|message| message.len() > 32 * 1024).expect("a long page, whole");
    assert!(matches!(protocol::decode_server_frame(&page), Ok(ServerFrame::Page(_))));
}

/// Reads until the server closes; panics if it does not within ten seconds.
fn until_closed(mut stream: TcpStream) -> Vec<u8> {
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    let mut read = Vec::new();
    match stream.read_to_end(&mut read) {
        Ok(_) => read,
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => read,
        Err(error) => panic!("not closed: {error}"),
    }
}

// SEC-10
#[test]
fn silent_and_slow_connections_are_closed() {
    let settings =
        [("DAYBOOK_FIRST_BYTE_MS", "200"), ("DAYBOOK_HEAD_MS", "300"), ("DAYBOOK_HELLO_MS", "200")];
    let world = World::running_with(&settings);
    let address = world.url().strip_prefix("http://").expect("http").to_owned();
    let connect = || TcpStream::connect(&address).expect("connects");
    assert!(until_closed(connect()).is_empty(), "silence from the start");
    let mut slow = connect();
    slow.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ").expect("sent");
    let answer = String::from_utf8_lossy(&until_closed(slow)).into_owned();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    let mut idle = connect();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
    assert!(
        String::from_utf8_lossy(&until_closed(idle)).contains("200 OK"),
        "answered, then closed for idleness"
    );
    let mut mute = Socket::open(world.url());
    assert_eq!(mute.goodbye(), Some(Goodbye::Malformed), "no hello");
    assert_eq!(send("GET", &format!("{}/healthz", world.url()), &[], b"").status, 200);
}

// SEC-10
#[test]
fn a_socket_that_falls_silent_is_closed() {
    let world = World::running_with(&[("DAYBOOK_SILENCE_MS", "300")]);
    let token = access(&log_in(world.url(), "王"));
    let mut socket = Socket::logged_in(world.url(), &token);
    while socket.next().is_some() {}
}

// SEC-10
#[test]
fn connections_beyond_the_cap_are_closed_unanswered_and_room_comes_back() {
    let world = World::running_with(&[("DAYBOOK_CONNECTIONS_MAX", "3"), ("DAYBOOK_FIRST_BYTE_MS", "60000")]);
    let address = world.url().strip_prefix("http://").expect("http").to_owned();
    let held: Vec<_> = (0..3).map(|_| TcpStream::connect(&address).expect("connects")).collect();
    assert!(until_closed(TcpStream::connect(&address).expect("connects")).is_empty());
    drop(held);
    // The server notices the three ends in its own time; each try is answered or closed, none hangs.
    let healthy = || {
        let mut stream = TcpStream::connect(&address).expect("connects");
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").is_ok()
            && until_closed(stream).starts_with(b"HTTP/1.1 200")
    };
    assert!((0..1_000).any(|_| healthy()));
}

// SEC-13
#[test]
fn a_stopping_server_says_goodbye_to_its_sockets() {
    let mut world = World::running();
    let token = access(&log_in(world.url(), "王"));
    let mut socket = Socket::logged_in(world.url(), &token);
    let server = world.server.take().expect("running");
    assert!(server.stop());
    assert_eq!(socket.goodbye(), Some(Goodbye::ShuttingDown));
}

// SEC-14
#[test]
fn metrics_count_and_name_nobody() {
    let world = World::running();
    log_in(world.url(), "王");
    let metrics = send("GET", &format!("{}/metrics", world.url()), &[], b"");
    let text = String::from_utf8(metrics.body).expect("UTF-8");
    for name in [
        "daybook_sessions",
        "daybook_commits_total",
        "daybook_admission_worker_deaths_total",
        "daybook_logins_total",
    ] {
        assert!(text.contains(name), "{name} in {text}");
    }
    assert!(!text.contains('王'));
    assert_eq!(send("GET", &format!("{}/readyz", world.url()), &[], b"").status, 200);
}

// CLI-18
#[cfg(target_os = "linux")]
#[test]
fn a_running_server_takes_no_huge_pages() {
    let world = World::running();
    let server = world.server.as_ref().expect("running").id();
    let told = std::fs::read_to_string(format!("/proc/{server}/status")).expect("readable");
    let line = told.lines().find_map(|line| line.strip_prefix("THP_enabled:")).expect("Linux 5.0 or later");
    assert_eq!(line.trim(), "0");
}

// ADM-44
#[cfg(target_os = "linux")]
#[test]
fn the_workers_of_a_running_server_have_their_limits() {
    let world = World::running();
    // Workers begin with the first work.
    let phone = world.phone("wang", "王");
    phone.must(&["customer", "add", "--name", "明达机械"]);
    phone.must(&["sync"]);
    let server = world.server.as_ref().expect("running").id().to_string();
    let is_worker = |process: &std::path::Path| {
        let stat = std::fs::read_to_string(process.join("stat")).unwrap_or_default();
        // The parent is the second field after the name in brackets.
        stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)) == Some(&server)
            && std::fs::read(process.join("cmdline"))
                .is_ok_and(|line| line.windows(16).any(|word| word == b"admission-worker"))
    };
    let processes = std::fs::read_dir("/proc").expect("a process table").flatten();
    let workers: Vec<_> = processes.map(|entry| entry.path()).filter(|path| is_worker(path)).collect();
    assert!(!workers.is_empty(), "a server has workers");
    for worker in workers {
        let told = std::fs::read_to_string(worker.join("limits")).expect("readable");
        let limit = |name: &str| {
            let line = told.lines().find(|line| line.starts_with(name)).expect("a limit");
            line[name.len()..].split_whitespace().next().expect("a number").to_owned()
        };
        assert_eq!(limit("Max address space"), limits::ADMISSION_MEMORY_BYTES_MAX.to_string());
        assert_eq!(limit("Max file size"), "0");
        assert_eq!(limit("Max core file size"), "0");
        assert!(limit("Max open files").parse::<u64>().expect("a number") < 100);
    }
}
