//! Logging in and fetching tickets over HTTP, as every client does before it dials.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use shared::id::PersonId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::server::PASSWORD;

/// A person's login on one device.
#[derive(Clone)]
pub struct Account {
    agent: ureq::Agent,
    token: String,
    /// The person.
    pub person: PersonId,
}

impl Account {
    /// Logs in as a new device.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn login(address: &str, name: &str) -> Result<Self> {
        let (address, name) = (address.to_owned(), name.to_owned());
        tokio::task::spawn_blocking(move || Self::login_blocking(&address, &name)).await?
    }

    fn login_blocking(address: &str, name: &str) -> Result<Self> {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(60))).build().into();
        let body = json!({ "name": name, "password": PASSWORD, "label": "bench" });
        let answer: Value = agent
            .post(format!("http://{address}/api/login"))
            .send_json(body)
            .with_context(|| format!("login of {name}"))?
            .body_mut()
            .read_json()?;
        let token = answer["access_token"].as_str().context("an access token")?.to_owned();
        let person = answer["person"]["id"].as_str().context("a person id")?.parse()?;
        Ok(Self { agent, token, person })
    }

    /// A single-use ticket.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn ticket(&self, address: &str) -> Result<Vec<u8>> {
        let (account, address) = (self.clone(), address.to_owned());
        tokio::task::spawn_blocking(move || account.ticket_blocking(&address)).await?
    }

    fn ticket_blocking(&self, address: &str) -> Result<Vec<u8>> {
        let answer: Value = self
            .agent
            .post(format!("http://{address}/api/ticket"))
            .header("Authorization", format!("Bearer {}", self.token))
            .send_json(json!({}))
            .context("ticket")?
            .body_mut()
            .read_json()?;
        read_ticket(&answer)
    }

    /// A single-use ticket, without a thread for the question: for thousands of phones at once.
    ///
    /// # Errors
    /// If the server refuses or cannot be reached.
    pub async fn ticket_quickly(&self, address: &str) -> Result<Vec<u8>> {
        let ask = async {
            let mut stream = TcpStream::connect(address).await?;
            let question = format!(
                "POST /api/ticket HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\
                 Content-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}",
                self.token
            );
            stream.write_all(question.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            let (head, body) = answer.split_once("\r\n\r\n").context("an answer")?;
            ensure!(head.starts_with("HTTP/1.1 200"), "ticket: {}", head.lines().next().unwrap_or_default());
            read_ticket(&serde_json::from_str(body)?)
        };
        tokio::time::timeout(Duration::from_secs(60), ask).await.context("silence for a minute")?
    }
}

fn read_ticket(answer: &Value) -> Result<Vec<u8>> {
    let hex = answer["ticket"].as_str().context("a ticket")?;
    let digit = |at: usize| hex.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    (0..hex.len()).step_by(2).map(digit).collect::<Option<Vec<u8>>>().context("a ticket in hexadecimal")
}
