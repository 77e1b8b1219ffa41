//! CLI-16: a proxy that breaks sockets does not stop a phone: the same frames go by requests.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Phone, World};

/// A proxy that lets requests through and closes every connection that wants to become a socket. Returns its
/// address and how many it closed.
fn proxy_without_sockets(target: String) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let closed = Arc::new(AtomicUsize::new(0));
    let counter = closed.clone();
    // Ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (target, counter) = (target.clone(), counter.clone());
            std::thread::spawn(move || forward(stream, &target, &counter));
        }
    });
    (address, closed)
}

fn forward(mut from: TcpStream, target: &str, closed: &AtomicUsize) {
    let mut first = [0; 12];
    if from.read_exact(&mut first).is_err() {
        return;
    }
    if first.starts_with(b"GET /sync/ws") {
        closed.fetch_add(1, Ordering::Relaxed);
        return;
    }
    let Ok(mut to) = TcpStream::connect(target) else { return };
    let _ = to.write_all(&first);
    let (mut back_from, mut back_to) =
        (to.try_clone().expect("a socket"), from.try_clone().expect("a socket"));
    let back = std::thread::spawn(move || {
        let _ = std::io::copy(&mut back_from, &mut back_to);
        let _ = back_to.shutdown(std::net::Shutdown::Write);
    });
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(std::net::Shutdown::Write);
    let _ = back.join();
}

#[test]
fn cli_16_a_phone_behind_a_proxy_without_sockets_exchanges_everything() {
    let world = World::running();
    let target = world.url().strip_prefix("http://").expect("http").to_owned();
    let (proxy, closed) = proxy_without_sockets(target);
    let rep = Phone { dir: world.beside("wang") };
    rep.must(&["login", &format!("http://{proxy}"), "王"]);
    rep.must(&["customer", "add", "--name", "明达机械"]);
    // More than one push and more than one page of what does not deflate to nothing.
    for number in 0..8_u32 {
        let text: String = (0..8_000_u32)
            .filter_map(|at| {
                char::from_u32(0x4e00 + (at + number * 8_000).wrapping_mul(2_654_435_761) % 0x5000)
            })
            .collect();
        rep.must(&["visit", "add", "明达机械", "--text", &text]);
    }
    let synced = rep.must(&["sync"]);
    assert_eq!((&synced["complete"], &synced["pending"]["edits"]), (&true.into(), &0.into()));
    assert!(closed.load(Ordering::Relaxed) > 0, "it tried a socket first");
    let manager = world.phone("chen", "陈");
    assert_eq!(manager.must(&["sync"])["documents"], 9);
    manager.must(&["comment", "明达机械", "--text", "抓紧报价"]);
    manager.must(&["sync"]);
    rep.must(&["sync"]);
    let timeline = rep.must(&["timeline", "明达机械"]).to_string();
    assert!(timeline.contains("抓紧报价"), "what others wrote comes back by requests");
    let fresh = Phone { dir: world.beside("second") };
    fresh.must(&["login", &format!("http://{proxy}"), "王"]);
    assert_eq!(fresh.must(&["sync"])["documents"], 10, "page after page");
}
