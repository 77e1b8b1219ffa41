//! A caller that is no phone of ours: plain HTTP and a bare socket.

use std::io;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use shared::protocol::{self, ClientFrame, Hello, PROTOCOL_VERSION, PendingCounts, ServerFrame};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket};

use crate::support::PASSWORD;

/// How long any of these tests waits for an answer that must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// An answer.
pub struct Answered {
    pub status: u16,
    pub cookie: Option<String>,
    pub body: Vec<u8>,
}

impl Answered {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or("").to_owned()
    }
}

/// Sends a request with headers and a body.
pub fn send(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Answered {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(PATIENCE))
        .proxy(None)
        .build()
        .into();
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(body.to_vec()).expect("a request");
    let mut answer = agent.run(request).expect("an answer");
    let cookie = answer.headers().get("set-cookie").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let status = answer.status().as_u16();
    Answered { status, cookie, body: answer.body_mut().read_to_vec().unwrap_or_default() }
}

/// Posts JSON.
pub fn post(url: &str, headers: &[(&str, &str)], body: &Value) -> Answered {
    let headers = [&[("content-type", "application/json")], headers].concat();
    send("POST", url, &headers, body.to_string().as_bytes())
}

/// Logs in by name with the password of these tests.
pub fn log_in(url: &str, name: &str) -> Answered {
    post(&format!("{url}/api/login"), &[], &json!({ "name": name, "password": PASSWORD, "label": "test" }))
}

/// The access token of a login.
pub fn access(login: &Answered) -> String {
    login.json()["access_token"].as_str().expect("an access token").to_owned()
}

/// The refresh cookie of a login or refresh, as a browser sends it.
pub fn cookie(answer: &Answered) -> String {
    let cookie = answer.cookie.as_deref().expect("a cookie");
    cookie.split(';').next().expect("a value").to_owned()
}

/// Refreshes with a cookie.
pub fn refresh(url: &str, cookie: &str) -> Answered {
    send("POST", &format!("{url}/api/refresh"), &[("cookie", cookie)], b"")
}

/// Draws a ticket.
pub fn ticket(url: &str, token: &str) -> Answered {
    send("POST", &format!("{url}/api/ticket"), &[("authorization", &format!("Bearer {token}"))], b"")
}

/// A hello with or without a ticket in hexadecimal.
pub fn hello(ticket: Option<&str>) -> Vec<u8> {
    let ticket =
        ticket.map(|hex| hex.parse::<shared::id::ChangeHash>().expect("64 digits").0.to_vec().into());
    protocol::encode(&ClientFrame::Hello(Hello {
        protocol: PROTOCOL_VERSION,
        schema: shared::document::SCHEMA_VERSION,
        ticket,
        incarnation: None,
        cursor: None,
        pending: PendingCounts::default(),
        digest: None,
        software: "test/1".to_owned(),
    }))
}

/// A bare socket.
pub struct Socket(WebSocket<MaybeTlsStream<TcpStream>>);

impl Socket {
    /// Opens a socket.
    pub fn open(url: &str) -> Socket {
        let (socket, _) =
            tungstenite::connect(format!("{}/sync/ws", url.replace("http", "ws"))).expect("a socket");
        if let MaybeTlsStream::Plain(stream) = socket.get_ref() {
            stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        }
        Socket(socket)
    }

    /// Opens a socket that takes longer messages than `bytes` in frames of at most so many.
    pub fn open_for_frames_of(url: &str, bytes: usize) -> Socket {
        let config = WebSocketConfig::default().max_frame_size(Some(bytes));
        let url = format!("{}/sync/ws", url.replace("http", "ws"));
        let (socket, _) = tungstenite::client::connect_with_config(url, Some(config), 0).expect("a socket");
        Socket(socket)
    }

    /// The next message as it came; none when the server has closed the socket or sent too long a frame.
    pub fn next_bytes(&mut self) -> Option<tungstenite::Bytes> {
        loop {
            match self.0.read() {
                Ok(Message::Binary(bytes)) => return Some(bytes),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Opens a socket and says hello for a person.
    pub fn logged_in(url: &str, token: &str) -> Socket {
        let ticket = ticket(url, token).json()["ticket"].as_str().expect("a ticket").to_owned();
        let mut socket = Socket::open(url);
        socket.send(hello(Some(&ticket)));
        assert!(matches!(socket.next(), Some(ServerFrame::Welcome(_))));
        socket
    }

    /// Sends bytes; whether they arrive is the server's affair.
    pub fn send(&mut self, bytes: Vec<u8>) {
        let _ = self.0.send(Message::Binary(bytes.into()));
    }

    /// The next frame; none when the server has closed the socket.
    pub fn next(&mut self) -> Option<ServerFrame> {
        loop {
            match self.0.read() {
                Ok(Message::Binary(bytes)) => {
                    return Some(protocol::decode_server_frame(&bytes).expect("a frame of the protocol"));
                }
                Ok(Message::Close(_)) => return None,
                Ok(_) => {}
                Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    panic!("the server neither answers nor closes");
                }
                Err(_) => return None,
            }
        }
    }

    /// The goodbye that comes after whatever comes before it.
    pub fn goodbye(&mut self) -> Option<shared::protocol::Goodbye> {
        loop {
            match self.next()? {
                ServerFrame::Goodbye(why) => return Some(why),
                _ => continue,
            }
        }
    }
}
