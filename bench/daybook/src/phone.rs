//! A client that speaks frames and nothing more: it holds documents as a phone does (saved bytes, heads,
//! cursor, digest), makes changes with the domain's own code, and counts every frame's bytes both ways.
//! Keeps nothing on disk, so that what is measured is the server and the wire.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use daybook_tests::witness::{Tap, Witness};
use futures_util::{SinkExt, StreamExt};
use shared::document::{Digest, Document, Kind, LocalChange, SCHEMA_VERSION, Writer, digest};
use shared::edit::Edit;
use shared::entropy::Entropy;
use shared::id::{ActorId, DocId, IncarnationId, Scope, Seq};
use shared::limits::BATCH_ITEMS_MAX;
use shared::protocol::{
    self, Ack, ClientFrame, Cursor, Hello, Item, ItemResult, PROTOCOL_VERSION, Page, PendingCounts, Push,
    PushItem, ServerFrame,
};
use shared::time::{Quality, Recorded, UtcMillis};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::account::Account;
use crate::documents::with_canary;

/// Nothing that is waited for may take longer.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A document as a phone holds it.
#[derive(Clone)]
pub struct Held {
    scope: Scope,
    saved: Vec<u8>,
    digest: Digest,
}

/// Frames and payload bytes that passed a socket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Frames that ask for an answer: hello and pull.
    pub questions: u64,
    /// All frames, both ways.
    pub frames: u64,
    /// Their payload bytes.
    pub bytes: u64,
}

/// An open socket.
pub struct Socket {
    stream: WebSocketStream<TcpStream>,
    /// What passed.
    pub count: Count,
    /// Who hears all of it.
    tap: Option<Tap>,
}

impl Socket {
    /// Connects and upgrades; sends no frame.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn dial(address: &str, tap: Option<Tap>) -> Result<Self> {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let config = WebSocketConfig::default().read_buffer_size(8 * 1024).write_buffer_size(0);
        let request = format!("ws://{address}/sync/ws");
        let (stream, _) = client_async_with_config(request, tcp, Some(config)).await?;
        Ok(Self { stream, count: Count::default(), tap })
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// If the socket is broken.
    pub async fn send(&mut self, frame: &ClientFrame) -> Result<()> {
        if matches!(frame, ClientFrame::Hello(_) | ClientFrame::Pull(_)) {
            self.count.questions += 1;
        }
        self.send_bytes(protocol::encode(frame)).await
    }

    /// Sends a frame that was encoded before.
    ///
    /// # Errors
    /// If the socket is broken.
    pub async fn send_bytes(&mut self, bytes: Vec<u8>) -> Result<()> {
        self.count.frames += 1;
        self.count.bytes += bytes.len() as u64;
        if let Some(tap) = &mut self.tap {
            tap.sent(&bytes);
        }
        self.stream.send(Message::Binary(bytes.into())).await.map_err(Into::into)
    }

    /// Waits for the next frame.
    ///
    /// # Errors
    /// If the socket closes, the server says goodbye, or nothing comes for a minute.
    pub async fn receive(&mut self) -> Result<ServerFrame> {
        loop {
            let message =
                tokio::time::timeout(PATIENCE, self.stream.next()).await.context("silence for a minute")?;
            let Message::Binary(bytes) = message.context("the socket closed")?? else { continue };
            self.count.frames += 1;
            self.count.bytes += bytes.len() as u64;
            if let Some(tap) = &mut self.tap {
                tap.heard(&bytes);
            }
            let frame = protocol::decode_server_frame(&bytes)?;
            match frame {
                ServerFrame::Goodbye(why) => bail!("goodbye: {why:?}"),
                ServerFrame::WantDigests => bail!("the server holds other heads than the phone"),
                frame => return Ok(frame),
            }
        }
    }

    /// Waits for the next page, passing over other frames.
    ///
    /// # Errors
    /// As [`Socket::receive`].
    pub async fn receive_page(&mut self) -> Result<Page> {
        loop {
            if let ServerFrame::Page(page) = self.receive().await? {
                return Ok(page);
            }
        }
    }

    /// Waits for the answer to a push, passing over other frames.
    ///
    /// # Errors
    /// As [`Socket::receive`].
    pub async fn receive_ack(&mut self) -> Result<Ack> {
        loop {
            if let ServerFrame::Ack(ack) = self.receive().await? {
                return Ok(ack);
            }
        }
    }

    /// Reads until the connection ends; whether the server said that the device is revoked.
    ///
    /// # Errors
    /// If nothing comes for a minute.
    pub async fn read_to_the_end(mut self) -> Result<bool> {
        let mut is_revoked = false;
        loop {
            let message =
                tokio::time::timeout(PATIENCE, self.stream.next()).await.context("silence for a minute")?;
            let Some(Ok(message)) = message else { return Ok(is_revoked) };
            let Message::Binary(bytes) = message else { continue };
            if let Some(tap) = &mut self.tap {
                tap.heard(&bytes);
            }
            is_revoked |= matches!(
                protocol::decode_server_frame(&bytes)?,
                ServerFrame::Goodbye(protocol::Goodbye::Revoked)
            );
        }
    }

    /// The phone was revoked before the commit after this one: what it hears and sends from here on is judged so.
    pub fn revoke(&mut self, head: Seq) {
        if let Some(tap) = &mut self.tap {
            tap.revoke(head);
        }
    }

    /// Writes the first half of a frame and drops the connection, as a net does that goes in the middle.
    pub async fn tear(self, frame: &[u8]) {
        let mut stream = self.stream.into_inner();
        // A binary message from a client, masked with zeros, of 16 bits of length.
        let length = u16::try_from(frame.len()).unwrap_or(u16::MAX).to_be_bytes();
        let mut bytes = vec![0x82, 0x80 | 126, length[0], length[1], 0, 0, 0, 0];
        bytes.extend_from_slice(&frame[..frame.len() / 2]);
        let _ = stream.write_all(&bytes).await;
    }

    /// Closes the socket.
    pub async fn hang_up(mut self) {
        let closed = async {
            let _ = self.stream.close(None).await;
            while let Some(Ok(_)) = self.stream.next().await {}
        };
        let _ = tokio::time::timeout(Duration::from_secs(5), closed).await;
    }
}

/// A phone of one person.
pub struct Phone {
    /// The login.
    pub account: Account,
    /// Its ids.
    pub entropy: Entropy,
    /// Its open socket.
    pub socket: Option<Socket>,
    /// Who hears all that passes its sockets; nobody in a bench, whose times it would cost.
    pub witness: Option<Arc<Witness>>,
    actor: ActorId,
    incarnation: Option<IncarnationId>,
    cursor: Option<Cursor>,
    held: HashMap<DocId, Held>,
    digest: u64,
    /// What is told at the next hello: of what came from the server, not of unsent edits.
    settled: u64,
    next_batch: u64,
    /// Whether pages were passed over.
    is_blind: bool,
}

/// The machine's clock, as a phone would stamp an edit.
pub fn recorded() -> Recorded {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let at = UtcMillis(since.as_millis() as i64);
    Recorded { at, device: at, quality: Quality::Ok, offset_minutes: 480 }
}

impl Phone {
    /// A phone that holds nothing yet.
    ///
    /// # Errors
    /// If the login fails.
    pub async fn new(address: &str, name: &str) -> Result<Self> {
        let account = Account::login(address, name).await?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
        Ok(Self::of(account, Entropy::from_seed(seed)))
    }

    /// Another phone of the same login that holds nothing.
    pub fn twin(&mut self) -> Self {
        let twin = Self::of(self.account.clone(), Entropy::from_seed(self.entropy.bytes()));
        Self { witness: self.witness.clone(), ..twin }
    }

    /// A tap on a socket of this phone.
    pub fn tap(&self) -> Option<Tap> {
        self.witness.as_ref().map(|witness| witness.tap(self.account.person))
    }

    fn of(account: Account, mut entropy: Entropy) -> Self {
        Self {
            account,
            actor: entropy.actor_id(),
            entropy,
            socket: None,
            witness: None,
            incarnation: None,
            cursor: None,
            held: HashMap::new(),
            digest: 0,
            settled: 0,
            next_batch: 1,
            is_blind: false,
        }
    }

    /// Moves on without taking what came: for a watcher whose own memory is not measured. It can say no
    /// digest afterwards.
    pub fn pass_over(&mut self, cursor: Cursor) {
        self.cursor = Some(cursor);
        self.is_blind = true;
    }

    /// A customer card that is held.
    pub fn some_customer(&self) -> Option<DocId> {
        let is_card = |held: &Held| {
            Document::load(&held.saved).is_ok_and(|document| document.kind() == Some(Kind::Customer))
        };
        self.held.iter().find(|(_, held)| is_card(held)).map(|(doc, _)| *doc)
    }

    /// The scopes of everything held.
    pub fn scopes(&self) -> BTreeSet<Scope> {
        self.held.values().map(|held| held.scope).collect()
    }

    /// Everything that it holds is what the server has: for a phone that took every page and got every answer.
    pub fn settle(&mut self) {
        self.settled = self.digest;
    }

    /// Whether it holds a document.
    pub fn holds(&self, doc: DocId) -> bool {
        self.held.contains_key(&doc)
    }

    /// The number of documents held.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// The digest of everything held: two phones with the same digest hold the same changes.
    pub fn digest(&self) -> Digest {
        Digest(self.digest)
    }

    /// Dials with a ticket fetched before, says hello, and reads every page up to the present.
    ///
    /// # Errors
    /// If the server refuses or the socket breaks.
    pub async fn catch_up(&mut self, address: &str, ticket: Vec<u8>) -> Result<CaughtUp> {
        let begun = Instant::now();
        let mut socket = self.dial(address, ticket).await?;
        let mut caught = CaughtUp::default();
        loop {
            let page = socket.receive_page().await?;
            let more = page.more;
            self.take(page, &mut caught)?;
            if !more {
                break;
            }
            socket.send(&ClientFrame::Pull(self.cursor.clone().expect("a page brings a cursor"))).await?;
        }
        caught.ms = milliseconds(begun.elapsed());
        caught.count = socket.count;
        self.settled = self.digest;
        self.socket = Some(socket);
        Ok(caught)
    }

    /// Dials, says hello and hangs up after so many pages, as a phone in a lift does.
    ///
    /// # Errors
    /// If the server refuses or the socket breaks.
    pub async fn catch_up_in_part(
        &mut self,
        address: &str,
        ticket: Vec<u8>,
        pages: usize,
    ) -> Result<CaughtUp> {
        let mut socket = self.dial(address, ticket).await?;
        let mut caught = CaughtUp::default();
        for _ in 0..pages {
            let page = socket.receive_page().await?;
            ensure!(page.more, "the feed ended before it was cut");
            self.take(page, &mut caught)?;
            socket.send(&ClientFrame::Pull(self.cursor.clone().expect("a page brings a cursor"))).await?;
        }
        caught.count = socket.count;
        Ok(caught)
    }

    /// Dials and says hello, without waiting for any answer.
    ///
    /// # Errors
    /// If the server refuses or the socket breaks.
    pub async fn dial(&mut self, address: &str, ticket: Vec<u8>) -> Result<Socket> {
        let mut socket = Socket::dial(address, self.tap()).await?;
        let hello = Hello {
            protocol: PROTOCOL_VERSION,
            schema: SCHEMA_VERSION,
            ticket: Some(ticket.into()),
            incarnation: self.incarnation,
            cursor: self.cursor.clone(),
            pending: PendingCounts::default(),
            digest: self.cursor.as_ref().filter(|_| !self.is_blind).map(|_| Digest(self.settled)),
            software: "daybook/0.1.0".to_owned(),
        };
        socket.send(&ClientFrame::Hello(hello)).await?;
        let frame = socket.receive().await?;
        let ServerFrame::Welcome(welcome) = frame else { bail!("no welcome but {frame:?}") };
        ensure!(self.incarnation.is_none_or(|known| known == welcome.incarnation), "another incarnation");
        self.incarnation = Some(welcome.incarnation);
        Ok(socket)
    }

    /// Takes a page: inflates it, keeps its cursor, and applies every item.
    ///
    /// # Errors
    /// If the page is malformed or does not fit what is held.
    pub fn take(&mut self, page: Page, caught: &mut CaughtUp) -> Result<()> {
        caught.pages += 1;
        for item in page.items.unpack()? {
            match item {
                Item::Snapshot { doc, scope, bytes, .. } => {
                    caught.snapshots += 1;
                    caught.documents.push(doc);
                    let mut document = Document::load(&bytes)?;
                    self.keep(doc, scope, bytes.into(), &mut document);
                }
                Item::Changes { doc, scope, changes, .. } => {
                    caught.changes += changes.len();
                    caught.documents.push(doc);
                    let mut document = match self.held.get(&doc) {
                        Some(held) => Document::load(&held.saved)?,
                        None => Document::empty(),
                    };
                    let changes: Vec<Vec<u8>> = changes.into_iter().map(Into::into).collect();
                    document.apply(&changes)?;
                    let saved = document.save();
                    self.keep(doc, scope, saved, &mut document);
                }
                Item::Granted { scope, full, .. } => {
                    if full {
                        self.drop_scope(scope);
                    }
                    caught.moves.extend(scope.customer().map(Move::Given));
                }
                Item::Removed { scope } => {
                    self.drop_scope(scope);
                    caught.moves.extend(scope.customer().map(Move::Taken));
                }
                Item::Events(_) | Item::Actors(_) => {}
                Item::Erased { .. } => bail!("nothing is erased in a bench"),
            }
        }
        self.cursor = Some(page.cursor);
        Ok(())
    }

    /// Drops what it holds of a scope: nothing of it is unsent.
    fn drop_scope(&mut self, scope: Scope) {
        let of_it = self.held.iter().filter(|(_, held)| held.scope == scope);
        for doc in of_it.map(|(doc, _)| *doc).collect::<Vec<_>>() {
            self.forget(doc);
        }
    }

    fn keep(&mut self, doc: DocId, scope: Scope, saved: Vec<u8>, document: &mut Document) {
        let digest = digest(doc, &document.heads());
        if let Some(before) = self.held.insert(doc, Held { scope, saved, digest }) {
            self.digest ^= before.digest.0;
        }
        self.digest ^= digest.0;
    }

    /// Makes an edit as this phone's person and keeps the result; what must be pushed. Where somebody listens, the edit's
    /// words hold the canary of their customer.
    ///
    /// # Errors
    /// If a rule refuses the edit.
    pub fn edit(&mut self, edit: &Edit, scope: Scope) -> Result<Vec<PushItem>> {
        match (&self.witness, scope.customer()) {
            (Some(witness), Some(customer)) => {
                let edit = with_canary(edit.clone(), &witness.canary(customer));
                self.edit_as_it_is(&edit, scope)
            }
            _ => self.edit_as_it_is(edit, scope),
        }
    }

    /// As [`Phone::edit`], but what is held stays as it was until the server has the work.
    ///
    /// # Errors
    /// If a rule refuses the edit.
    pub fn edit_aside(&mut self, edit: &Edit, scope: Scope) -> Result<Vec<PushItem>> {
        let doc = edit.doc();
        let before = self.held.get(&doc).cloned();
        let items = self.edit(edit, scope)?;
        self.forget(doc);
        if let Some(before) = before {
            self.digest ^= before.digest.0;
            self.held.insert(doc, before);
        }
        Ok(items)
    }

    /// Keeps what was edited aside, once the server has it.
    ///
    /// # Errors
    /// If it does not fit what is held.
    pub fn keep_accepted(&mut self, items: &[PushItem]) -> Result<()> {
        for item in items {
            let PushItem::Change { doc, scope, change, .. } = item else { continue };
            let mut document = match self.held.get(doc) {
                Some(held) => Document::load(&held.saved)?,
                None => Document::empty(),
            };
            document.apply(&[change.to_vec()])?;
            let saved = document.save();
            self.keep(*doc, *scope, saved, &mut document);
        }
        Ok(())
    }

    /// As [`Phone::edit`], without a canary.
    ///
    /// # Errors
    /// If a rule refuses the edit.
    pub fn edit_as_it_is(&mut self, edit: &Edit, scope: Scope) -> Result<Vec<PushItem>> {
        let writer = Writer { person: self.account.person, actor: self.actor, recorded: recorded() };
        let doc = edit.doc();
        let (mut document, changes) = match self.held.get(&doc) {
            None => Document::create(&writer, edit).map_err(|refusal| anyhow::anyhow!("{refusal:?}"))?,
            Some(held) => {
                let mut document = Document::load(&held.saved)?;
                let changes =
                    document.edit(&writer, edit).map_err(|refusal| anyhow::anyhow!("{refusal:?}"))?;
                (document, changes)
            }
        };
        let kind = document.kind().context("a document has a kind")?;
        let saved = document.save();
        self.keep(doc, scope, saved, &mut document);
        Ok(changes.into_iter().map(|change| push_item(doc, kind, scope, change, writer.recorded)).collect())
    }

    /// Forgets a document's bytes; the phone can no longer edit it. Keeps the bench small, not the phone.
    pub fn forget(&mut self, doc: DocId) {
        if let Some(held) = self.held.remove(&doc) {
            self.digest ^= held.digest.0;
        }
    }

    /// Encodes a push.
    pub fn push_frame(&mut self, items: Vec<PushItem>) -> Vec<u8> {
        let batch = self.next_batch;
        self.next_batch += 1;
        protocol::encode(&ClientFrame::Push(Push { batch, items }))
    }

    /// Pushes everything over the open socket, some batches ahead of the answers.
    ///
    /// # Errors
    /// If an item is not accepted or the socket breaks.
    pub async fn push_all(&mut self, items: Vec<PushItem>) -> Result<()> {
        const AHEAD: usize = 4;
        let mut socket = self.socket.take().context("not connected")?;
        let mut unanswered = 0;
        let mut items = items.into_iter().peekable();
        while items.peek().is_some() || unanswered > 0 {
            if items.peek().is_some() && unanswered < AHEAD {
                let batch = items.by_ref().take(BATCH_ITEMS_MAX).collect();
                socket.send_bytes(self.push_frame(batch)).await?;
                unanswered += 1;
                continue;
            }
            accepted(&socket.receive_ack().await?)?;
            unanswered -= 1;
        }
        self.socket = Some(socket);
        Ok(())
    }

    /// Hangs up, if connected.
    pub async fn hang_up(&mut self) {
        if let Some(socket) = self.socket.take() {
            socket.hang_up().await;
        }
    }
}

/// Checks that every item was accepted.
///
/// # Errors
/// Names the first that was not.
pub fn accepted(ack: &Ack) -> Result<()> {
    match ack.results.iter().find(|result| !matches!(result, ItemResult::Accepted(_))) {
        None => Ok(()),
        Some(other) => bail!("an item was not accepted: {other:?}"),
    }
}

/// What a catch-up brought and cost.
#[derive(Debug, Default)]
pub struct CaughtUp {
    /// From dialling to the last page applied.
    pub ms: f64,
    /// What passed the socket.
    pub count: Count,
    /// Pages.
    pub pages: usize,
    /// Whole documents that came.
    pub snapshots: usize,
    /// Changes that came.
    pub changes: usize,
    /// Every document touched, in order, doubled if it came twice.
    pub documents: Vec<DocId>,
    /// Customers that were given and taken, in order.
    pub moves: Vec<Move>,
}

/// What became of somebody's right to a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// It is there, or goes on with another access.
    Given(DocId),
    /// It ended.
    Taken(DocId),
}

/// What a page says of customers that come and go.
///
/// # Errors
/// If the page is malformed.
pub fn moves(page: &Page) -> Result<Vec<Move>> {
    let items = page.items.clone().unpack()?;
    let moves = items.iter().filter_map(|item| match item {
        Item::Granted { scope, .. } => scope.customer().map(Move::Given),
        Item::Removed { scope } => scope.customer().map(Move::Taken),
        _ => None,
    });
    Ok(moves.collect())
}

fn push_item(doc: DocId, kind: Kind, scope: Scope, change: LocalChange, recorded: Recorded) -> PushItem {
    PushItem::Change { doc, kind, scope, change: change.bytes.into(), recorded }
}

/// A duration in milliseconds.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
