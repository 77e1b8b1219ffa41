//! The story of one run in short lines: the end of it is printed when a seed fails. The lines are also
//! mixed into one number, so that two runs of one seed can be compared.

use shared::protocol::{ClientFrame, Item, PageItems, PushItem, ServerFrame};

/// Lines kept.
const LINES_MAX: usize = 40_000;

/// The story of one run.
#[derive(Debug, Default)]
pub struct Trace {
    lines: std::collections::VecDeque<String>,
    telling: bool,
}

impl Trace {
    /// A trace that keeps its lines, or one that keeps none.
    pub fn new(telling: bool) -> Self {
        Self { lines: std::collections::VecDeque::new(), telling }
    }

    /// Adds a line, made only if somebody will read it.
    pub fn note(&mut self, at_ms: i64, line: impl FnOnce() -> String) {
        if self.telling {
            if self.lines.len() == LINES_MAX {
                self.lines.pop_front();
            }
            self.lines.push_back(format!("{:>9.3} {}", at_ms as f64 / 1000.0, line()));
        }
    }

    /// The last lines.
    pub fn last(&self, count: usize) -> Vec<String> {
        self.lines.iter().skip(self.lines.len().saturating_sub(count)).cloned().collect()
    }
}

/// A device's frame in a few words.
pub fn client_frame(frame: &ClientFrame) -> String {
    match frame {
        ClientFrame::Hello(hello) => {
            format!("hello pending {} cursor {}", hello.pending.edits, hello.cursor.is_some())
        }
        ClientFrame::Push(push) => {
            let items: Vec<_> = push.items.iter().map(push_item).collect();
            format!("push {} [{}]", push.batch, items.join(", "))
        }
        ClientFrame::Pull(_) => "pull".to_owned(),
        ClientFrame::Ping(pending, digest) => format!("ping pending {} digest {digest:?}", pending.edits),
        ClientFrame::Digests(digests) => format!("digests of {} scopes", digests.len()),
    }
}

fn push_item(item: &PushItem) -> String {
    match item {
        PushItem::Change { doc, change, .. } => match shared::wire::parse(change) {
            Ok(header) => {
                format!("change {:?} of {doc:?} by {:?} seq {}", header.hash, header.actor, header.seq)
            }
            Err(refusal) => format!("change of {doc:?}: {refusal:?}"),
        },
        PushItem::Request { id, command, .. } => format!("request {id:?} {command:?}"),
        PushItem::Release { scope } => format!("release {scope:?}"),
    }
}

/// A server's frame in a few words.
pub fn server_frame(frame: &ServerFrame) -> String {
    match frame {
        ServerFrame::Page(page) => {
            let items: Vec<_> = match page.items.clone().unpack() {
                Ok(items) => items.iter().map(item).collect(),
                Err(error) => vec![error.to_string()],
            };
            let packing = if matches!(page.items, PageItems::Plain(_)) { "plain" } else { "deflated" };
            format!("page ({packing}, more: {}) [{}]", page.more, items.join(", "))
        }
        other => format!("{other:?}"),
    }
}

fn item(item: &Item) -> String {
    match item {
        Item::Snapshot { doc, kind, .. } => format!("snapshot {kind:?} {doc:?}"),
        Item::Changes { doc, kind, changes, .. } => format!("{} changes of {kind:?} {doc:?}", changes.len()),
        Item::Events(events) => {
            let events: Vec<_> =
                events.iter().map(|event| format!("{:?} {:?}", event.seq, event.kind)).collect();
            format!("events {events:?}")
        }
        other => format!("{other:?}"),
    }
}
