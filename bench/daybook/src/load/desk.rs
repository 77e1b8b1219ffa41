//! Who is there beside a load's phones: an assistant who accepts the reps' customers and moves them between reps, so
//! that rights end meanwhile; people who listen and may hear nothing of it; phones that are revoked at work.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use daybook_tests::witness::Witness;
use shared::id::{DocId, PersonId};
use shared::ledger::Command;
use shared::protocol::{Ack, ClientFrame, ItemResult, PushItem};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::rep::ask;
use super::{dial, first_customer, log_in};
use crate::account::Account;
use crate::documents::Phrases;
use crate::figures::Figures;
use crate::phone::{Phone, Socket, recorded};
use crate::server::{Role, Site};

/// The assistant's name.
const DESK: &str = "desk";
/// Who may hear of no customer, with their roles: a rep who owns none, and a manager of another team.
const LISTENERS: [(&str, Role); 2] = [("stranger", Role::Rep), ("other manager", Role::OtherManager)];
/// How long something stays connected that listens.
const STAY: Duration = Duration::from_secs(20);

/// What the desk knows, which alone decides: the reps' customers, and how much was decided.
#[derive(Default)]
pub struct Book {
    customers: Mutex<BTreeMap<DocId, Entry>>,
    accepted: AtomicU64,
    transferred: AtomicU64,
    revoked: AtomicU64,
}

struct Entry {
    owner: PersonId,
    is_accepted: bool,
}

impl Book {
    /// Learns of a customer that the server has.
    pub fn register(&self, customer: DocId, owner: PersonId) {
        self.customers().insert(customer, Entry { owner, is_accepted: false });
    }

    /// Whose customers these are.
    pub fn owned_by(&self, person: PersonId) -> BTreeSet<DocId> {
        let customers = self.customers();
        customers.iter().filter(|(_, entry)| entry.owner == person).map(|(customer, _)| *customer).collect()
    }

    /// Says how much was decided.
    pub fn report(&self, load: &str, figures: &mut Figures) {
        for (metric, count) in
            [("customers_accepted", &self.accepted), ("customers_transferred", &self.transferred)]
        {
            figures.add(load, metric, count.load(Ordering::Relaxed) as f64);
        }
    }

    /// How many phones were revoked.
    pub fn revoked(&self) -> f64 {
        self.revoked.load(Ordering::Relaxed) as f64
    }

    fn customers(&self) -> MutexGuard<'_, BTreeMap<DocId, Entry>> {
        self.customers.lock().expect("nobody panics with it")
    }
}

/// Adds the assistant and those who listen.
pub async fn hire(site: &Site) -> Result<()> {
    site.add(DESK, Role::Assistant).await?;
    for (name, role) in LISTENERS {
        site.add(name, role).await?;
    }
    Ok(())
}

/// Lets those listen who may hear nothing, until it is over.
pub async fn listen(
    address: &str,
    witness: &Arc<Witness>,
    over: &Arc<AtomicBool>,
) -> Result<Vec<JoinHandle<Result<()>>>> {
    let names = LISTENERS.iter().map(|(name, _)| (*name).to_owned());
    let phones = log_in(address, names, witness).await?;
    Ok(phones
        .into_iter()
        .map(|phone| tokio::spawn(listener(address.to_owned(), phone, over.clone())))
        .collect())
}

/// Fetches everything and stays for a while, again and again, and has nothing at the end.
async fn listener(address: String, mut phone: Phone, over: Arc<AtomicBool>) -> Result<()> {
    while !over.load(Ordering::Relaxed) {
        let mut again = phone.twin();
        let until = Instant::now() + STAY;
        match dial(&mut again, &address).await {
            Ok(()) => {
                let socket = again.socket.as_mut().context("connected")?;
                let _ = pass_over(socket, until, &over).await;
            }
            // The server may be down in this load.
            Err(_) => tokio::time::sleep(Duration::from_millis(500)).await,
        }
        ensure!(again.held() == 0, "somebody without customers holds some (I4)");
    }
    let mut last = phone.twin();
    dial(&mut last, &address).await?;
    ensure!(last.held() == 0, "somebody without customers holds some (I4)");
    Ok(())
}

/// Reads pages and keeps nothing of them, until a moment or the end of all.
///
/// # Errors
/// If the socket breaks.
async fn pass_over(socket: &mut Socket, until: Instant, over: &AtomicBool) -> Result<()> {
    while !over.load(Ordering::Relaxed) && Instant::now() < until {
        let soon = until.min(Instant::now() + Duration::from_secs(1));
        let Ok(page) = tokio::time::timeout_at(soon, socket.receive_page()).await else { continue };
        let page = page?;
        if page.more {
            socket.send(&ClientFrame::Pull(page.cursor)).await?;
        }
    }
    Ok(())
}

/// The assistant, logged in.
pub async fn desk(address: &str, witness: &Arc<Witness>) -> Result<Phone> {
    Ok(log_in(address, std::iter::once(DESK.to_owned()), witness).await?.remove(0))
}

/// Accepts customers and moves each to another of these reps, one after the other at a pace, until it is over. The desk
/// alone decides, so that everything it asks for is granted.
pub async fn decide(
    address: String,
    mut phone: Phone,
    reps: Vec<PersonId>,
    book: Arc<Book>,
    pace: Duration,
    over: Arc<AtomicBool>,
) -> Result<()> {
    let mut unsent: Option<Decision> = None;
    while !over.load(Ordering::Relaxed) || unsent.is_some() {
        let until = Instant::now() + pace;
        let Some(mut socket) = open(&mut phone, &address).await else {
            tokio::time::sleep(Duration::from_secs(1)).await;
            continue;
        };
        if pass_over(&mut socket, until, &over).await.is_err() {
            continue;
        }
        let Some(decision) = unsent.take().or_else(|| Decision::draw(&mut phone, &reps, &book)) else {
            phone.socket = Some(socket);
            continue;
        };
        match ask(&mut socket, &decision.frame, &mut Vec::new()).await {
            Ok(ack) => {
                decision.enter(&ack, &book)?;
                phone.socket = Some(socket);
            }
            Err(_) => unsent = Some(decision),
        }
    }
    Ok(())
}

/// The desk's open socket, or a new one; what comes with it is passed over.
async fn open(phone: &mut Phone, address: &str) -> Option<Socket> {
    if let Some(socket) = phone.socket.take() {
        return Some(socket);
    }
    let ticket = phone.account.ticket(address).await.ok()?;
    phone.dial(address, ticket).await.ok()
}

/// One customer moved, and accepted before if it was not.
struct Decision {
    customer: DocId,
    to: PersonId,
    accepts: bool,
    frame: Vec<u8>,
}

impl Decision {
    /// None while there is nothing to decide.
    fn draw(phone: &mut Phone, reps: &[PersonId], book: &Book) -> Option<Decision> {
        let customers = book.customers();
        let index = phone.entropy.below(customers.len().max(1) as u64) as usize;
        let (customer, entry) = customers.iter().nth(index)?;
        let others: Vec<PersonId> = reps.iter().copied().filter(|rep| *rep != entry.owner).collect();
        let to = *others.get(phone.entropy.below(others.len().max(1) as u64) as usize)?;
        let (customer, accepts) = (*customer, !entry.is_accepted);
        let accept = accepts.then_some(Command::Accept { customer });
        let commands = accept.into_iter().chain([Command::Transfer { customer, to, reason: None }]);
        let items = commands
            .map(|command| PushItem::Request {
                id: phone.entropy.request_id(),
                command,
                recorded: recorded(),
            })
            .collect();
        Some(Decision { customer, to, accepts, frame: phone.push_frame(items) })
    }

    /// Enters what was granted into the book.
    fn enter(&self, ack: &Ack, book: &Book) -> Result<()> {
        let is_granted =
            |result: &ItemResult| matches!(result, ItemResult::Accepted(_) | ItemResult::Known(..));
        if let Some(refused) = ack.results.iter().find(|result| !is_granted(result)) {
            bail!("the desk asked for its right and was answered {refused:?}");
        }
        let mut customers = book.customers();
        let entry = customers.get_mut(&self.customer).context("nobody leaves the book")?;
        *entry = Entry { owner: self.to, is_accepted: true };
        book.accepted.fetch_add(u64::from(self.accepts), Ordering::Relaxed);
        book.transferred.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// Lets a rep log in with another phone at a pace, work, and be locked out by the desk: nothing reaches the phone
/// afterwards and nothing of it is taken (SIM-5).
pub struct Revoking {
    pub address: String,
    /// The server's folder.
    pub data: PathBuf,
    pub desk: Account,
    /// How many reps there are.
    pub reps: usize,
    pub pace: Duration,
}

impl Revoking {
    /// Goes on until it is over.
    ///
    /// # Errors
    /// If something reaches a revoked phone.
    pub async fn live(self, book: Arc<Book>, witness: Arc<Witness>, over: Arc<AtomicBool>) -> Result<()> {
        let mut next = Instant::now();
        for number in 0.. {
            next += self.pace;
            while !over.load(Ordering::Relaxed) && Instant::now() < next {
                tokio::time::sleep_until(next.min(Instant::now() + Duration::from_secs(1))).await;
            }
            if over.load(Ordering::Relaxed) {
                break;
            }
            self.revoke(number, &book, &witness).await?;
            book.revoked.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    async fn revoke(&self, number: usize, book: &Book, witness: &Arc<Witness>) -> Result<()> {
        let address = &self.address;
        let name = format!("rep{}", number % self.reps);
        let mut phone = log_in(address, std::iter::once(name), witness).await?.remove(0);
        dial(&mut phone, address).await?;
        let (customer, scope) = first_customer(&mut phone, number).await?;
        book.register(customer, phone.account.person);
        let visit = phone.entropy.doc_id();
        let items = phone.edit(&Phrases::load().visit(visit, customer, number), scope)?;
        let frame = phone.push_frame(items);
        let mut socket = phone.socket.take().context("connected")?;
        self.desk.revoke(address, phone.account.device).await?;
        socket.revoke(Witness::head(&self.data).map_err(anyhow::Error::msg)?);
        // Every other one says something more. What the server said last may be lost with the broken connection then.
        let speaks = number.is_multiple_of(2);
        if speaks {
            let _ = socket.send_bytes(frame).await;
        }
        let is_told = socket.read_to_the_end().await.context("a revoked phone is not cut off (I5)")?;
        ensure!(is_told || speaks, "a revoked phone is not told (I5)");
        ensure!(phone.account.ticket(address).await.is_err(), "a revoked phone gets a ticket (I5)");
        Ok(())
    }
}
