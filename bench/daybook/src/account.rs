//! Logging in, staying logged in and fetching tickets over HTTP, as every client does before it dials.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use shared::id::{DeviceId, PersonId};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use crate::server::PASSWORD;

/// A person's login on one device. Clones are the same device.
#[derive(Clone)]
pub struct Account {
    agent: ureq::Agent,
    /// A refresh token is good once, so whoever draws the next one holds the lock.
    tokens: Arc<Mutex<Tokens>>,
    /// The person.
    pub person: PersonId,
    /// The installation.
    pub device: DeviceId,
}

struct Tokens {
    access: String,
    /// The cookie that the next access token is drawn with.
    refresh: String,
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
        let mut answer = agent
            .post(format!("http://{address}/api/login"))
            .send_json(body)
            .with_context(|| format!("login of {name}"))?;
        let refresh = refresh_cookie(&answer)?;
        let answer: Value = answer.body_mut().read_json()?;
        let device = answer["device"].as_str().context("a device id")?.parse()?;
        let tokens = Tokens { access: access_token(&answer)?, refresh };
        let person = answer["person"]["id"].as_str().context("a person id")?.parse()?;
        Ok(Self { agent, tokens: Arc::new(Mutex::new(tokens)), person, device })
    }

    /// A single-use ticket; without a thread for the question, for thousands of phones ask at once. Where the
    /// access token has run out, the next one is drawn first.
    ///
    /// # Errors
    /// If the server refuses or cannot be reached.
    pub async fn ticket(&self, address: &str) -> Result<Vec<u8>> {
        read_ticket(&self.post(address, "/api/ticket").await?)
    }

    /// Has a device revoked, for which one must be of the desk.
    ///
    /// # Errors
    /// If the server refuses or cannot be reached.
    pub async fn revoke(&self, address: &str, device: DeviceId) -> Result<()> {
        let answer = self.post(address, &format!("/api/devices/{device}/revoke")).await?;
        ensure!(answer.starts_with("HTTP/1.1 204"), "revoke: {}", answer.lines().next().unwrap_or_default());
        Ok(())
    }

    async fn post(&self, address: &str, path: &str) -> Result<String> {
        let access = self.tokens.lock().await.access.clone();
        let answer = post(address, path, &access).await?;
        if !answer.starts_with("HTTP/1.1 401") {
            return Ok(answer);
        }
        let access = self.renew(address, &access).await?;
        post(address, path, &access).await
    }

    /// Draws the next access token, unless a clone has done so already, and returns it.
    async fn renew(&self, address: &str, used_up: &str) -> Result<String> {
        let mut tokens = self.tokens.lock().await;
        if tokens.access != used_up {
            return Ok(tokens.access.clone());
        }
        let question = self.agent.post(format!("http://{address}/api/refresh"));
        let question = question.header("cookie", &tokens.refresh);
        let drawn = tokio::task::spawn_blocking(move || {
            let mut answer = question.send_empty().context("refresh")?;
            let refresh = refresh_cookie(&answer)?;
            anyhow::Ok(Tokens { access: access_token(&answer.body_mut().read_json()?)?, refresh })
        });
        *tokens = drawn.await??;
        Ok(tokens.access.clone())
    }
}

fn access_token(answer: &Value) -> Result<String> {
    Ok(answer["access_token"].as_str().context("an access token")?.to_owned())
}

fn refresh_cookie<Body>(answer: &ureq::http::Response<Body>) -> Result<String> {
    let cookie = answer.headers().get("set-cookie").context("a refresh token")?.to_str()?;
    Ok(cookie.split(';').next().context("a cookie")?.to_owned())
}

async fn post(address: &str, path: &str, access: &str) -> Result<String> {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        let question = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {access}\r\n\
             Content-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}",
        );
        stream.write_all(question.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        anyhow::Ok(answer)
    };
    tokio::time::timeout(Duration::from_secs(60), ask).await.context("silence for a minute")?
}

fn read_ticket(answer: &str) -> Result<Vec<u8>> {
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer")?;
    ensure!(head.starts_with("HTTP/1.1 200"), "ticket: {}", head.lines().next().unwrap_or_default());
    let answer: Value = serde_json::from_str(body)?;
    let hex = answer["ticket"].as_str().context("a ticket")?;
    let digit = |at: usize| hex.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    (0..hex.len()).step_by(2).map(digit).collect::<Option<Vec<u8>>>().context("a ticket in hexadecimal")
}
