//! A rep of the soak: writes visits to the customers that are hers at the moment, now and then edits a card, and goes on
//! with another customer when one is moved away, after a last word on the one that went. The net goes at times.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use shared::edit::Edit;
use shared::id::{DocId, Scope};
use shared::protocol::{Ack, ClientFrame, ItemResult, PushItem, ServerFrame};
use shared::refusal::Rule;

use super::desk::Book;
use super::soak::Counts;
use crate::documents::{Phrases, customer_edit};
use crate::phone::{Move, Phone, Socket, moves};

/// How long a rep's last work may take to be acknowledged.
const PATIENCE: Duration = Duration::from_secs(60);
/// Edits between two of a card: a document holds so many changes and no more.
const VISITS_A_CARD_EDIT: usize = 200;

/// What all reps of a soak have in common.
#[derive(Clone)]
pub struct Shift {
    /// Where the server is.
    pub address: String,
    /// Between two things that a phone does, on average.
    pub pace_ms: u64,
    /// Where the desk looks up whose customers there are.
    pub book: Arc<Book>,
    /// Whether all is over.
    pub over: Arc<AtomicBool>,
    /// What is done to the server.
    pub counts: Arc<Counts>,
}

/// Somebody who works until it is over.
pub struct Rep {
    shift: Shift,
    phone: Phone,
    number: usize,
    /// Customers that are hers, as far as her phone has heard.
    mine: Vec<DocId>,
    /// What she still has to say of customers that were moved away.
    late: VecDeque<Edit>,
    /// Cards that may have changes of hers that her phone lacks, such as held ones: she builds no others on them.
    retired: BTreeSet<DocId>,
    phrases: Phrases,
}

/// One push without an answer.
struct Work {
    frame: Vec<u8>,
    items: Vec<PushItem>,
    customer: DocId,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    NewCard,
    CardEdit,
    Visit,
}

impl Rep {
    /// A rep with a phone that was never connected.
    pub fn new(shift: Shift, phone: Phone, number: usize) -> Rep {
        let (mine, late, retired) = (Vec::new(), VecDeque::new(), BTreeSet::new());
        Rep { shift, phone, number, mine, late, retired, phrases: Phrases::load() }
    }

    /// Works, and gets everything through at the end.
    ///
    /// # Errors
    /// If work is refused otherwise than by the rule on moved customers.
    pub async fn live(mut self) -> Result<()> {
        let mut unsent: Option<Work> = None;
        let mut round = 0;
        while !self.shift.over.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(self.phone.entropy.below(2 * self.shift.pace_ms))).await;
            // Nobody is refused for a broken net; a busy server is dialled again.
            if self.phone.socket.is_none() && self.dial().await.is_err() {
                continue;
            }
            round += 1;
            let work = match unsent.take() {
                Some(work) => work,
                None => self.next(round)?,
            };
            match self.phone.entropy.below(40) {
                0 => {
                    self.shift.counts.cut.fetch_add(1, Ordering::Relaxed);
                    self.phone.socket = None;
                    unsent = Some(work);
                    continue;
                }
                1 => {
                    self.shift.counts.torn.fetch_add(1, Ordering::Relaxed);
                    let socket = self.phone.socket.take().context("connected")?;
                    socket.tear(&work.frame).await;
                    unsent = Some(work);
                    continue;
                }
                2 if round % 5 == 0 => {
                    self.shift.counts.logins.fetch_add(1, Ordering::Relaxed);
                    drop(Phone::new(&self.shift.address, &format!("rep{}", self.number)).await?);
                }
                _ => {}
            }
            unsent = self.send(work).await?;
        }
        self.finish(unsent).await
    }

    async fn dial(&mut self) -> Result<()> {
        let ticket = self.phone.account.ticket(&self.shift.address).await?;
        let caught = self.phone.catch_up(&self.shift.address, ticket).await?;
        self.hear(caught.moves);
        Ok(())
    }

    /// Customers come and go. To one that goes there is always something left to say.
    fn hear(&mut self, moves: Vec<Move>) {
        for heard in moves {
            match heard {
                Move::Given(customer) if !self.mine.contains(&customer) => self.mine.push(customer),
                Move::Given(_) => {}
                Move::Taken(customer) => {
                    let count = self.mine.len();
                    self.mine.retain(|mine| *mine != customer);
                    if self.mine.len() == count {
                        continue;
                    }
                    if self.phone.holds(customer) && self.retired.insert(customer) {
                        self.late.push_back(customer_edit(customer, count));
                    }
                    let visit = self.phone.entropy.doc_id();
                    self.late.push_back(self.phrases.visit(visit, customer, count));
                }
            }
        }
    }

    fn next(&mut self, round: usize) -> Result<Work> {
        let edit = loop {
            match self.late.pop_front() {
                // Fetched to its end meanwhile, the feed has taken the card away.
                Some(Edit::EditCustomer { customer, .. }) if !self.phone.holds(customer) => {}
                Some(edit) => break edit,
                None => break self.draw(round),
            }
        };
        let (customer, kind) = match &edit {
            Edit::CreateCustomer { customer, .. } => (*customer, Kind::NewCard),
            Edit::EditCustomer { customer, .. } => (*customer, Kind::CardEdit),
            Edit::CreateVisit { customer, .. } => (*customer, Kind::Visit),
            _ => bail!("a rep makes no other edits"),
        };
        let items = self.phone.edit_aside(&edit, Scope::Customer(customer))?;
        Ok(Work { frame: self.phone.push_frame(items.clone()), items, customer, kind })
    }

    fn draw(&mut self, round: usize) -> Edit {
        let doc = self.phone.entropy.doc_id();
        let drawn = self.phone.entropy.below(self.mine.len().max(1) as u64) as usize;
        let Some(customer) = self.mine.get(drawn).copied() else {
            return self.phrases.customer(doc, self.number);
        };
        let is_for_card = round.is_multiple_of(VISITS_A_CARD_EDIT);
        if is_for_card && self.phone.holds(customer) && !self.retired.contains(&customer) {
            return customer_edit(customer, round);
        }
        self.phrases.visit(doc, customer, round)
    }

    /// Sends work and takes the answer; the work again if there is none.
    async fn send(&mut self, work: Work) -> Result<Option<Work>> {
        let mut socket = self.phone.socket.take().context("connected")?;
        let mut heard = Vec::new();
        let answered = ask(&mut socket, &work.frame, &mut heard).await;
        self.hear(heard);
        let Ok(ack) = answered else { return Ok(Some(work)) };
        self.phone.socket = Some(socket);
        self.take(&work, &ack)?;
        Ok(None)
    }

    /// Honest work is taken, or held or refused because its customer was moved; whether rightly is the witness's to say.
    fn take(&mut self, work: &Work, ack: &Ack) -> Result<()> {
        for result in &ack.results {
            match result {
                ItemResult::Accepted(_) | ItemResult::Known(..) => {}
                ItemResult::Held(_) => {
                    self.retired.insert(work.customer);
                }
                ItemResult::Refused(refusal) if refusal.rule == Rule::Transferred => {}
                other => bail!("{other:?} for honest work"),
            }
        }
        let is_new = ack.results.iter().all(|result| matches!(result, ItemResult::Accepted(_)));
        match work.kind {
            // A card that came and went meanwhile is no longer there to be edited.
            Kind::CardEdit if is_new && self.phone.holds(work.customer) => {
                self.phone.keep_accepted(&work.items)?;
            }
            // The server had it, the answer was lost, and the card on this phone may lack it: nothing is built on that.
            Kind::CardEdit => {
                self.retired.insert(work.customer);
                self.late.retain(
                    |edit| !matches!(edit, Edit::EditCustomer { customer, .. } if *customer == work.customer),
                );
            }
            Kind::NewCard => {
                if is_new {
                    self.phone.keep_accepted(&work.items)?;
                }
                self.hear(vec![Move::Given(work.customer)]);
                self.shift.book.register(work.customer, self.phone.account.person);
            }
            Kind::Visit => {}
        }
        Ok(())
    }

    /// What she had not got through when the soak ended gets through now, in bounded time (SIM-8).
    async fn finish(mut self, mut unsent: Option<Work>) -> Result<()> {
        let get_through = async {
            while let Some(work) = unsent.take() {
                self.phone.socket = None;
                if self.dial().await.is_ok() {
                    unsent = self.send(work).await?;
                } else {
                    unsent = Some(work);
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
            Ok(())
        };
        let ended = tokio::time::timeout(PATIENCE, get_through).await;
        ended.context("a rep's last work is not acknowledged (I8)")?
    }
}

/// Sends a push and waits for its answer. Of the pages before it only what comes and goes is heard: when the phone dials
/// again it takes them from where it stood.
///
/// # Errors
/// If the socket breaks.
pub async fn ask(socket: &mut Socket, frame: &[u8], heard: &mut Vec<Move>) -> Result<Ack> {
    socket.send_bytes(frame.to_vec()).await?;
    loop {
        match socket.receive().await? {
            ServerFrame::Ack(ack) => return Ok(ack),
            ServerFrame::Page(page) => {
                heard.extend(moves(&page)?);
                if page.more {
                    socket.send(&ClientFrame::Pull(page.cursor)).await?;
                }
            }
            _ => {}
        }
    }
}
