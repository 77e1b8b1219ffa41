//! `daybook device login`, `sync` and `watch`: the commands that need a server.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;
use shared::client::Handover;
use shared::protocol::PendingCounts;
use shared::view::{Answer, Link as LinkState, Query, RefusedView, RequestView, TimelineEntry};

use crate::device::find;
use crate::device::link::Link;
use crate::device::phone::{Flow, Phone};
use crate::device::visit;
use crate::outcome::{CommandError, CommandResult, Outcome, say, told};

/// How often `sync` and `watch` look at their own deadlines.
const TICK: Duration = Duration::from_millis(500);

/// Requests without a push after which handing over is given up, and everything stays.
const HANDOVER_EMPTY_ROUNDS_MAX: usize = 4;

/// Entries that `watch` asks for at each change; if all are new it asks for more.
const NEWEST_AT_FIRST: usize = 200;

#[derive(Serialize)]
struct LoggedIn {
    person: String,
    role: shared::ledger::Role,
    device: shared::id::DeviceId,
    server: String,
}

/// Logs in with the password of the environment.
pub fn login(phone: &mut Phone, url: &str, user: &str, label: Option<&str>) -> CommandResult {
    let Ok(password) = std::env::var("DAYBOOK_PASSWORD") else {
        return Err(told(
            "password_missing",
            "请用环境变量 DAYBOOK_PASSWORD 给出密码。",
            "Give the password in DAYBOOK_PASSWORD.",
        ));
    };
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(told(
            "address_malformed",
            "服务器地址以 http:// 或 https:// 开头。",
            "The server's address begins with http:// or https://.",
        ));
    }
    let present = phone.client().profile().cloned();
    // A phone that somebody else's unsent work lies on is not given to another person.
    if let Some(profile) = &present
        && profile.person.name != user.trim()
        && !is_empty(phone.status().pending)
    {
        return Err(told(
            "other_persons_work",
            format!("这台设备上还有 {} 未上传的内容，请先同步。", profile.person.name),
            format!("This phone still holds unsent work of {}; sync it first.", profile.person.name),
        ));
    }
    let device = present.filter(|profile| profile.person.name == user.trim()).map(|profile| profile.device);
    let label = label.unwrap_or("daybook device");
    let profile = Link::new(url).login(&mut phone.store, user, &password, device, label)?;
    if !phone.client().may_login(profile.person.id) {
        return Err(told(
            "other_persons_work",
            "这台设备上还有他人未上传的内容。",
            "This phone still holds unsent work of somebody else.",
        ));
    }
    let told = LoggedIn {
        person: profile.person.name.clone(),
        role: profile.person.role,
        device: profile.device,
        server: profile.server.clone(),
    };
    phone.act(|client, now| client.handle_login(now, profile))?;
    let text = format!("已登录 Logged in: {}", told.person);
    Ok(Outcome::new(told, text))
}

fn is_empty(pending: PendingCounts) -> bool {
    pending.edits == 0 && pending.photos == 0
}

#[derive(Serialize)]
struct Synced {
    complete: bool,
    pending: PendingCounts,
    documents: u32,
    refused: Vec<RefusedView>,
    refused_requests: Vec<RequestView>,
}

/// Sends everything unsent, fetches everything new.
pub fn sync(phone: &mut Phone, timeout: Duration) -> CommandResult {
    let mut link = Link::of_phone(&phone.store)?.with_requests();
    let deadline = Instant::now() + timeout;
    let mut failures = 0_u32;
    let mut ended = None;
    phone.run(&mut link, TICK, |phone, _| {
        if phone.client().is_settled() {
            return Ok(Flow::Stop);
        }
        let state = phone.status().link;
        if matches!(state, LinkState::LoginNeeded | LinkState::Revoked) {
            ended = Some(state);
            return Ok(Flow::Stop);
        }
        if state == LinkState::Offline {
            failures += 1;
        }
        let gave_up = Instant::now() >= deadline;
        Ok(if gave_up { Flow::Stop } else { Flow::Continue })
    })?;
    match ended {
        Some(LinkState::LoginNeeded) => return Err(login_needed()),
        Some(LinkState::Revoked) => return Err(leave(phone, &link)),
        _ => {}
    }
    let complete = phone.client().is_settled();
    let (refused, refused_requests) = refused_work(phone);
    for view in &refused {
        let (zh, en) = fate(view);
        eprintln!("{}: {zh}\nedit {}: {en}", view.customer_name, view.edit_id);
    }
    for view in &refused_requests {
        let rule = view.refusal.as_ref().map(|refusal| refusal.rule);
        let (zh, en) = rule.map_or(("", ""), |rule| (rule.zh(), rule.en()));
        eprintln!("申请被退回 {}: {zh}\nrequest refused: {en}", view.customer_name);
    }
    let status = phone.status();
    if !complete {
        eprintln!(
            "未完成：还有 {} 条未传。\nNot complete: {} unsent.",
            status.pending.edits, status.pending.edits
        );
    }
    let held = refused.iter().filter(|view| view.held).count();
    let text = format!(
        "{} documents, {} unsent, {} refused, {held} held",
        status.documents,
        status.pending.edits,
        refused.len() - held
    );
    let synced =
        Synced { complete, pending: status.pending, documents: status.documents, refused, refused_requests };
    Ok(Outcome { done: complete, ..Outcome::new(synced, text) })
}

/// What became of an edit that the server did not merge, in both languages.
pub fn fate(view: &RefusedView) -> (String, String) {
    if view.held {
        let zh = "客户已移交，这条修改已上传保留，等新负责人或内勤决定。";
        let en = "held: the customer has been transferred; the new owner or the assistant decides.";
        return (zh.to_owned(), en.to_owned());
    }
    (format!("退回：{}", view.zh), format!("refused: {}", view.en))
}

/// The phone was revoked (S6): what is unsent goes into quarantine, and then the phone empties itself. Where the
/// server does not take it, everything stays.
fn leave(phone: &mut Phone, link: &Link) -> CommandError {
    let ended =
        || -> CommandError { shared::refusal::Refusal::from(shared::refusal::Rule::AccessEnded).into() };
    // Refused work is written down as unsent before it goes: one round without a push is no end. Several are:
    // what is left has no bytes yet, because it waits in words for a customer that the server has lost.
    let mut without = 0;
    while without < HANDOVER_EMPTY_ROUNDS_MAX {
        let round = (|| {
            let pushes = phone.act(|client, now| client.handover(now))?;
            without = if pushes.is_empty() { without + 1 } else { 0 };
            let acknowledged = link.hand_over(&phone.store, &pushes)?;
            phone.act(|client, now| client.handle_handed_over(now, &acknowledged))
        })();
        match round {
            Ok(Handover::Goes) => {}
            Ok(Handover::Done) => {
                let forgotten = phone.store.forget_secrets();
                let (zh, en) = if forgotten.is_ok() {
                    ("", "")
                } else {
                    ("（令牌未删除）", " (its token stays)")
                };
                return told(
                    "device_revoked",
                    format!("此设备已停用：未传内容已交服务器隔离区，本机资料已清空。{zh}"),
                    format!(
                        "This phone was revoked: its unsent work is in quarantine and it is empty now.{en}"
                    ),
                );
            }
            Ok(Handover::Stopped(rule)) => return shared::refusal::Refusal::from(rule).into(),
            Err(error) => {
                eprintln!("{error:#}");
                return ended();
            }
        }
    }
    ended()
}

fn login_needed() -> CommandError {
    told(
        "login_needed",
        "登录已失效，请重新登录。",
        "The login has ended; log in again: daybook device --dir DIR login URL USER",
    )
}

fn refused_work(phone: &mut Phone) -> (Vec<RefusedView>, Vec<RequestView>) {
    let refused = match phone.query(&Query::Refused) {
        Answer::Refused(refused) => refused,
        other => unreachable!("refused edits answer their query, not {other:?}"),
    };
    let requests = match phone.query(&Query::Requests) {
        Answer::Requests(requests) => requests,
        other => unreachable!("requests answer their query, not {other:?}"),
    };
    (refused, requests.into_iter().filter(|request| request.refusal.is_some()).collect())
}

/// When `watch` ends.
pub struct WatchLimits {
    /// After so many entries.
    pub count: Option<u64>,
    /// After so long.
    pub time: Option<Duration>,
}

/// Stays connected and prints entries as they come, one a line.
pub fn watch(
    phone: &mut Phone,
    customer: Option<&str>,
    from_the_beginning: bool,
    limits: &WatchLimits,
    as_json: bool,
) -> CommandResult {
    let mut link = Link::of_phone(&phone.store)?;
    let customer = customer.map(|typed| find::customer(phone, typed)).transpose()?.map(|row| row.id);
    let mut seen = HashSet::new();
    if !from_the_beginning {
        seen.extend(entries(phone, customer, &HashSet::new()).iter().map(fingerprint));
    }
    let deadline = limits.time.map(|time| Instant::now() + time);
    let mut printed = 0_u64;
    let mut ended = None;
    let mut first = true;
    phone.run(&mut link, TICK, |phone, changed| {
        if changed || std::mem::take(&mut first) {
            for entry in entries(phone, customer, &seen) {
                if limits.count.is_some_and(|count| printed >= count) {
                    break;
                }
                if seen.insert(fingerprint(&entry)) {
                    let json = || serde_json::to_string(&entry).context("entries have text keys");
                    say(&if as_json { json()? } else { visit::line(&entry) });
                    printed += 1;
                }
            }
        }
        let state = phone.status().link;
        if matches!(state, LinkState::LoginNeeded | LinkState::Revoked) {
            ended = Some(state);
            return Ok(Flow::Stop);
        }
        let enough = limits.count.is_some_and(|count| printed >= count);
        let over = deadline.is_some_and(|deadline| Instant::now() >= deadline);
        Ok(if enough || over { Flow::Stop } else { Flow::Continue })
    })?;
    if ended.is_some() {
        return Err(login_needed());
    }
    // The entries were the output; a value after them would be one more line to tell apart.
    Ok(Outcome {
        json: serde_json::Value::Null,
        text: String::new(),
        done: limits.count.is_none_or(|count| printed >= count),
    })
}

/// Entries oldest first, as far back as the first that was seen.
fn entries(
    phone: &mut Phone,
    customer: Option<shared::id::DocId>,
    seen: &HashSet<u64>,
) -> Vec<TimelineEntry> {
    if let Some(customer) = customer {
        return visit::timeline(phone, customer);
    }
    let mut limit = NEWEST_AT_FIRST;
    loop {
        let mut newest = visit::newest(phone, limit);
        let reaches_back = newest.iter().any(|entry| seen.contains(&fingerprint(entry)));
        if reaches_back || newest.len() < limit {
            newest.reverse();
            return newest;
        }
        limit = limit.saturating_mul(4);
    }
}

/// What makes an entry another one for somebody who reads along: itself, its words, its marks.
fn fingerprint(entry: &TimelineEntry) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&entry.kind, &entry.id, &entry.text, &entry.marks).hash(&mut hasher);
    hasher.finish()
}
