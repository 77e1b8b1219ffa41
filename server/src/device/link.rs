//! The headless phone's way to the server: login, refresh, ticket, socket. Knows nothing of frames.

use std::collections::VecDeque;
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};
use shared::client::{Disconnect, Profile};
use shared::id::{DeviceId, IncarnationId, PersonId, TeamId};
use shared::ledger::{Person, Role, Team};
use shared::limits;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket};

use crate::device::request::{self, Requests};
use crate::outcome::{CommandError, told};
use crate::store::phone::PhoneStore;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const REFRESH: &str = "refresh";
const SERVER: &str = "server";

/// A server's address and what the phone holds of a login there.
pub struct Link {
    base: String,
    agent: ureq::Agent,
    may_request: bool,
}

#[derive(Serialize)]
struct LoginBody<'a> {
    name: &'a str,
    password: &'a str,
    device: Option<DeviceId>,
    label: &'a str,
}

#[derive(Deserialize)]
struct LoginAnswer {
    person: PersonAnswer,
    device: DeviceId,
    #[allow(dead_code, reason = "part of the answer; the hello compares incarnations")]
    incarnation: IncarnationId,
}

#[derive(Deserialize)]
struct PersonAnswer {
    id: PersonId,
    name: String,
    role: Role,
    team: Option<TeamId>,
    team_name: Option<String>,
}

#[derive(Deserialize)]
struct AccessAnswer {
    access_token: String,
}

#[derive(Deserialize)]
struct TicketAnswer {
    ticket: String,
}

#[derive(Deserialize)]
struct ErrorAnswer {
    error: ErrorBody,
}

#[derive(Deserialize)]
struct ErrorBody {
    code: String,
    zh: String,
    en: String,
}

impl Link {
    /// The server that the phone logged in to last.
    ///
    /// # Errors
    /// Nobody has logged in on this phone; the disk failed.
    pub fn of_phone(store: &PhoneStore) -> Result<Link, CommandError> {
        match store.secret(SERVER).context("reading the phone's folder")? {
            Some(base) => Ok(Link::new(&base)),
            None => Err(told(
                "login_needed",
                "这台设备还没有登录。",
                "Nobody has logged in on this phone: daybook device --dir DIR login URL USER",
            )),
        }
    }

    /// A server by its address, such as `http://127.0.0.1:8480`.
    pub fn new(base: &str) -> Link {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(REQUEST_TIMEOUT))
            .max_redirects(0)
            .proxy(None)
            .build();
        Link { base: base.trim_end_matches('/').to_owned(), agent: config.into(), may_request: false }
    }

    /// The same link, which goes on by requests to `POST /sync` where no socket can be had: for an exchange,
    /// not for waiting.
    pub fn with_requests(self) -> Link {
        Link { may_request: true, ..self }
    }

    /// Logs in and keeps the refresh token.
    ///
    /// # Errors
    /// The server's answer in its words; the network or the disk failed.
    pub fn login(
        &self,
        store: &mut PhoneStore,
        name: &str,
        password: &str,
        device: Option<DeviceId>,
        label: &str,
    ) -> Result<Profile, CommandError> {
        let body = LoginBody { name, password, device, label };
        let answer = self.agent.post(format!("{}/api/login", self.base)).send_json(&body);
        let mut answer = answer.map_err(|error| unreachable(&self.base, &error))?;
        if answer.status() != 200 {
            return Err(refused(&mut answer));
        }
        let token = refresh_token(&answer).context("the server gave no refresh token")?;
        let login: LoginAnswer =
            answer.body_mut().read_json().context("the server's answer cannot be read")?;
        store.set_secret(SERVER, &self.base).context("keeping the server's address")?;
        store.set_secret(REFRESH, &token).context("keeping the refresh token")?;
        let team = login.person.team.map(|id| Team { id, name: login.person.team_name.unwrap_or_default() });
        let person = Person {
            id: login.person.id,
            name: login.person.name,
            role: login.person.role,
            team: login.person.team,
            active: true,
        };
        Ok(Profile { person, team, device: login.device, server: self.base.clone() })
    }

    /// Draws a fresh access token. The new refresh token is kept before anything else happens: if we die
    /// before, the old one brings the same successor for thirty seconds.
    fn access(&mut self, store: &mut PhoneStore) -> Result<String, Disconnect> {
        let token = store.secret(REFRESH).map_err(|_| Disconnect::Lost)?.ok_or(Disconnect::LoginNeeded)?;
        let answer = self
            .agent
            .post(format!("{}/api/refresh", self.base))
            .header("cookie", format!("daybook_refresh={token}"))
            .send_empty();
        let mut answer = answer.map_err(|_| Disconnect::Lost)?;
        match answer.status().as_u16() {
            200 => {}
            401 => return Err(Disconnect::LoginNeeded),
            403 => return Err(Disconnect::Revoked),
            _ => return Err(Disconnect::Lost),
        }
        let token = refresh_token(&answer).ok_or(Disconnect::Lost)?;
        store.set_secret(REFRESH, &token).map_err(|_| Disconnect::Lost)?;
        let access: AccessAnswer = answer.body_mut().read_json().map_err(|_| Disconnect::Lost)?;
        Ok(access.access_token)
    }

    /// Hands pushes of a revoked phone over by its refresh token, and returns the acknowledgements.
    ///
    /// # Errors
    /// The server did not take them; all of it stays on the phone.
    pub fn hand_over(&self, store: &PhoneStore, pushes: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
        let token = store.secret(REFRESH)?.context("there is no login")?;
        let request = self.agent.post(format!("{}/api/handover", self.base));
        let request = request.header("cookie", format!("daybook_refresh={token}"));
        let mut answer = request.content_type("application/cbor-seq").send(&pushes.concat())?;
        if answer.status() != 200 {
            bail!("the server answered {}", answer.status());
        }
        let bytes = answer.body_mut().with_config().limit(1024 * 1024).read_to_vec()?;
        request::frames_of(&bytes)
    }

    /// Opens a socket and draws the ticket for its first frame; or, where it may, a connection by requests, which
    /// needs none.
    ///
    /// # Errors
    /// As the machine wants to hear it.
    pub fn connect(&mut self, store: &mut PhoneStore) -> Result<(Line, Option<Vec<u8>>), Disconnect> {
        let access = self.access(store)?;
        let answer = self
            .agent
            .post(format!("{}/api/ticket", self.base))
            .header("authorization", format!("Bearer {access}"))
            .send_empty();
        let mut answer = answer.map_err(|_| Disconnect::Lost)?;
        match answer.status().as_u16() {
            200 => {}
            401 => return Err(Disconnect::LoginNeeded),
            403 => return Err(Disconnect::Revoked),
            _ => return Err(Disconnect::Lost),
        }
        let ticket: TicketAnswer = answer.body_mut().read_json().map_err(|_| Disconnect::Lost)?;
        let ticket: DocTicket = ticket.ticket.parse().map_err(|_| Disconnect::Lost)?;
        match Socket::open(&self.base) {
            Ok(socket) => Ok((Line::Socket(Box::new(socket)), Some(ticket.0.to_vec()))),
            // A proxy that breaks sockets, most likely: it let the ticket's request through.
            Err(_) if self.may_request => {
                let requests = Requests::new(self.agent.clone(), &self.base, &access);
                Ok((Line::Requests(Box::new(requests)), None))
            }
            Err(_) => Err(Disconnect::Lost),
        }
    }
}

/// What carries the frames.
pub enum Line {
    /// An open socket.
    Socket(Box<Socket>),
    /// Requests, each with its answers.
    Requests(Box<Requests>),
}

impl Line {
    /// Sends frames.
    ///
    /// # Errors
    /// The connection ended or does not move.
    pub fn send(&mut self, frames: &mut VecDeque<Vec<u8>>) -> Result<()> {
        match self {
            _ if frames.is_empty() => Ok(()),
            Line::Socket(socket) => frames.drain(..).try_for_each(|frame| socket.send(frame)),
            Line::Requests(requests) => requests.send(frames.drain(..)),
        }
    }

    /// Waits for a frame for at most so long.
    pub fn receive(&mut self, pause: Duration) -> Received {
        match self {
            Line::Socket(socket) => socket.receive(pause),
            Line::Requests(requests) => match requests.receive() {
                Some(frame) => Received::Frame(frame),
                None => {
                    std::thread::park_timeout(pause);
                    Received::Nothing
                }
            },
        }
    }

    /// Says goodbye, as far as the connection still carries it.
    pub fn close(&mut self) {
        if let Line::Socket(socket) = self {
            socket.close();
        }
    }
}

/// A ticket is 32 bytes in hexadecimal, like a hash.
type DocTicket = shared::id::ChangeHash;

fn refresh_token<B>(answer: &ureq::http::Response<B>) -> Option<String> {
    answer.headers().get_all("set-cookie").iter().find_map(|cookie| {
        let value = cookie.to_str().ok()?.strip_prefix("daybook_refresh=")?;
        Some(value.split(';').next().unwrap_or(value).to_owned()).filter(|token| !token.is_empty())
    })
}

fn unreachable(base: &str, error: &ureq::Error) -> CommandError {
    told(
        "unreachable",
        format!("连不上服务器 {base}。"),
        format!("The server {base} cannot be reached: {error}"),
    )
}

fn refused(answer: &mut ureq::http::Response<ureq::Body>) -> CommandError {
    let status = answer.status();
    match answer.body_mut().read_json::<ErrorAnswer>() {
        Ok(ErrorAnswer { error }) => {
            let code = match error.code.as_str() {
                "wrong_login" => "wrong_login",
                "too_many_attempts" => "too_many_attempts",
                _ => "refused",
            };
            told(code, error.zh, error.en)
        }
        Err(_) => CommandError::Failed(anyhow!("the server answered {status}")),
    }
}

/// An open socket.
pub struct Socket(WebSocket<MaybeTlsStream<TcpStream>>);

/// What [`Socket::receive`] saw.
pub enum Received {
    /// One frame.
    Frame(Vec<u8>),
    /// Nothing in the given time.
    Nothing,
    /// The connection ended.
    Closed,
}

impl Socket {
    fn open(base: &str) -> Result<Socket> {
        let (scheme, authority) =
            base.split_once("://").context("an address begins with http:// or https://")?;
        let (scheme, port) = match scheme {
            "http" => ("ws", 80),
            "https" => ("wss", 443),
            _ => bail!("an address begins with http:// or https://"),
        };
        let host = authority.split('/').next().unwrap_or(authority);
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let address = if has_port { host.to_owned() } else { format!("{host}:{port}") };
        let stream = connect(&address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(REQUEST_TIMEOUT))?;
        stream.set_write_timeout(Some(REQUEST_TIMEOUT))?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(limits::SERVER_FRAME_BYTES_MAX))
            .max_frame_size(Some(limits::SERVER_FRAME_BYTES_MAX));
        let url = format!("{scheme}://{authority}/sync/ws");
        let (socket, _) = tungstenite::client_tls_with_config(url, stream, Some(config), None)
            .map_err(|error| anyhow!("the socket was not opened: {error}"))?;
        Ok(Socket(socket))
    }

    /// Sends one frame.
    ///
    /// # Errors
    /// The connection ended or does not move.
    pub fn send(&mut self, frame: Vec<u8>) -> Result<()> {
        Ok(self.0.send(Message::Binary(frame.into()))?)
    }

    /// Waits for a frame for at most so long.
    pub fn receive(&mut self, pause: Duration) -> Received {
        let stream = match self.0.get_ref() {
            MaybeTlsStream::Plain(stream) => stream,
            MaybeTlsStream::Rustls(stream) => &stream.sock,
            _ => return Received::Closed,
        };
        // Zero would mean "for ever".
        let pause = pause.max(Duration::from_millis(1));
        if stream.set_read_timeout(Some(pause)).is_err() {
            return Received::Closed;
        }
        match self.0.read() {
            Ok(Message::Binary(bytes)) => Received::Frame(bytes.to_vec()),
            Ok(Message::Close(_)) => Received::Closed,
            Ok(_) => Received::Nothing,
            Err(tungstenite::Error::Io(error))
                if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) =>
            {
                Received::Nothing
            }
            Err(_) => Received::Closed,
        }
    }

    /// Says goodbye, as far as the connection still carries it.
    pub fn close(&mut self) {
        let _ = self.0.close(None);
        let _ = self.0.flush();
    }
}

fn connect(address: &str) -> Result<TcpStream> {
    let mut last = anyhow!("{address} has no address");
    for candidate in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&candidate, CONNECT_TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error.into(),
        }
    }
    Err(last)
}
