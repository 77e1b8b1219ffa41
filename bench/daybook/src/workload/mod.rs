//! The workloads, one file a subject. Each prepares a store of its own through frames, as phones would.

pub mod fanout;
pub mod first_sync;
pub mod preparser;
pub mod pwa;
pub mod reconnect;
pub mod rest;
pub mod writing;

use std::path::Path;

use anyhow::Result;
use shared::id::{DocId, Scope};

use crate::documents::{CUSTOMERS, Phrases};
use crate::phone::{CaughtUp, Phone};
use crate::server::{Role, Server, Site};

/// A served store with one rep's documents, and the phone that wrote them.
pub struct Seeded {
    /// The store.
    pub site: Site,
    /// The process.
    pub server: Server,
    /// The phone that wrote everything; connected.
    pub writer: Phone,
    /// The cards.
    pub customers: Vec<DocId>,
    /// The visits and their scopes.
    pub visits: Vec<(DocId, Scope)>,
}

/// The name of the rep who owns everything in a seeded store.
pub const REP: &str = "rep";

impl Seeded {
    /// Fills a new store with so many documents.
    ///
    /// # Errors
    /// If the server fails or refuses.
    pub async fn new(binary: &Path, documents: usize) -> Result<Self> {
        let site = Site::new(binary).await?;
        site.add(REP, Role::Rep).await?;
        let server = site.serve().await?;
        let mut writer = Phone::new(&server.address, REP).await?;
        connect(&mut writer, &server).await?;
        let (customers, visits) = write_documents(
            &mut writer,
            CUSTOMERS.min(documents),
            documents.saturating_sub(CUSTOMERS),
            Keep::All,
        )
        .await?;
        Ok(Self { site, server, writer, customers, visits })
    }

    /// Another phone of the same rep, which holds everything; disconnected.
    ///
    /// # Errors
    /// If the server fails or refuses.
    pub async fn second_phone(&self) -> Result<(Phone, CaughtUp)> {
        let mut phone = Phone::new(&self.server.address, REP).await?;
        let caught = connect(&mut phone, &self.server).await?;
        phone.hang_up().await;
        Ok((phone, caught))
    }
}

/// Fetches a ticket and catches up.
///
/// # Errors
/// If the server fails or refuses.
pub async fn connect(phone: &mut Phone, server: &Server) -> Result<CaughtUp> {
    let ticket = phone.account.ticket(&server.address).await?;
    phone.catch_up(&server.address, ticket).await
}

/// Whether the writing phone keeps what it wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Everything, to edit it later.
    All,
    /// Nothing, where only the server's memory is looked at.
    Nothing,
}

/// What was written: the cards, and the visits with their scopes.
pub type Written = (Vec<DocId>, Vec<(DocId, Scope)>);

/// Writes so many customers and visits through the phone's open socket.
///
/// # Errors
/// If the server fails or refuses.
pub async fn write_documents(
    phone: &mut Phone,
    customers: usize,
    visits: usize,
    keep: Keep,
) -> Result<Written> {
    const CHUNK: usize = 256;
    let phrases = Phrases::load();
    let mut written: Written = (Vec::with_capacity(customers), Vec::with_capacity(visits));
    let mut items = Vec::new();
    for index in 0..customers + visits {
        let doc = phone.entropy.doc_id();
        let (edit, scope) = if index < customers {
            written.0.push(doc);
            (phrases.customer(doc, index), Scope::Customer(doc))
        } else {
            let number = index - customers;
            let customer = written.0[number % customers];
            let scope = Scope::Customer(customer);
            written.1.push((doc, scope));
            (phrases.visit(doc, customer, number), scope)
        };
        items.extend(phone.edit(&edit, scope)?);
        if keep == Keep::Nothing {
            phone.forget(doc);
        }
        if items.len() >= CHUNK || index + 1 == customers + visits {
            phone.push_all(std::mem::take(&mut items)).await?;
        }
    }
    Ok(written)
}
