//! A device that speaks frames over `POST /sync`: for load, and for bytes that no honest phone sends. Knows
//! the protocol and the HTTP face; keeps nothing on disk.

use anyhow::{Context, Result, bail};
use minicbor::bytes::ByteVec;
use shared::document::{Document, Kind, SCHEMA_VERSION, Writer};
use shared::edit::{Edit, Patch, Value};
use shared::entropy::Entropy;
use shared::id::{ActorId, DeviceId, DocId, PersonId, Scope};
use shared::protocol::{
    ClientFrame, Hello, PROTOCOL_VERSION, PendingCounts, Push, PushItem, ServerFrame, cut_sequence,
    decode_server_frame, encode,
};
use shared::time::{Quality, Recorded, UtcMillis};

use crate::process::PASSWORD;
use crate::witness::Tap;

/// A logged-in device.
pub struct RawDevice {
    agent: ureq::Agent,
    base: String,
    /// The access token.
    token: String,
    /// The cookie that the next access token is drawn with.
    refresh: String,
    /// The person.
    pub person: PersonId,
    /// The installation.
    pub device: DeviceId,
    /// The actor that it writes as.
    pub actor: ActorId,
    /// Where its ids come from.
    pub entropy: Entropy,
    /// Who hears what it sends and is answered.
    pub tap: Option<Tap>,
    batch: u64,
}

impl RawDevice {
    /// Logs in on a server as a new device.
    ///
    /// # Errors
    /// If the server does not let it in.
    pub fn login(address: &str, name: &str, seed: u64) -> Result<RawDevice> {
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        let mut bytes = [7; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut entropy = Entropy::from_seed(bytes);
        let mut device = RawDevice {
            agent: config.into(),
            base: format!("http://{address}"),
            token: String::new(),
            refresh: String::new(),
            person: PersonId([0; 16]),
            device: DeviceId([0; 16]),
            actor: entropy.actor_id(),
            entropy,
            tap: None,
            batch: 0,
        };
        let body = serde_json::json!({ "name": name, "password": PASSWORD, "label": "load" });
        let answer = device.agent.post(format!("{}/api/login", device.base)).send_json(body)?;
        let answer = device.keep_tokens(answer)?;
        let field = |value: &serde_json::Value| {
            value.as_str().map(str::to_owned).context("the login's answer is short")
        };
        device.person = field(&answer["person"]["id"])?.parse()?;
        device.device = field(&answer["device"])?.parse()?;
        Ok(device)
    }

    /// Draws the next access token with the refresh token, which is good once.
    fn renew(&mut self) -> Result<()> {
        let request = self.agent.post(format!("{}/api/refresh", self.base));
        let answer = request.header("cookie", &self.refresh).send_empty()?;
        self.keep_tokens(answer).map(drop)
    }

    fn keep_tokens(&mut self, mut answer: ureq::http::Response<ureq::Body>) -> Result<serde_json::Value> {
        let status = answer.status();
        if !status.is_success() {
            bail!("the login was answered {status}: {}", answer.body_mut().read_to_string()?);
        }
        let cookie = answer.headers().get("set-cookie").context("a refresh token")?.to_str()?;
        self.refresh = cookie.split(';').next().context("a cookie")?.to_owned();
        let answer: serde_json::Value = answer.body_mut().read_json()?;
        self.token = answer["access_token"].as_str().context("an access token")?.to_owned();
        Ok(answer)
    }

    /// The first frame of an exchange.
    pub fn hello(&self) -> ClientFrame {
        ClientFrame::Hello(Hello {
            protocol: PROTOCOL_VERSION,
            schema: SCHEMA_VERSION,
            ticket: None,
            incarnation: None,
            cursor: None,
            pending: PendingCounts::default(),
            digest: None,
            software: "daybook-tests".to_owned(),
        })
    }

    /// Sends bytes to `POST /sync` and returns the status and the answer.
    ///
    /// # Errors
    /// If there is no answer.
    pub fn post(&self, body: &[u8]) -> Result<(u16, Vec<u8>)> {
        let request = self.agent.post(format!("{}/sync", self.base));
        let request = request.header("authorization", format!("Bearer {}", self.token));
        let mut answer = request.content_type("application/cbor-seq").send(body)?;
        let bytes = answer.body_mut().with_config().limit(64 * 1024 * 1024).read_to_vec()?;
        Ok((answer.status().as_u16(), bytes))
    }

    /// Sends a hello and frames, and returns the answers. Where the access token has run out, the next one is
    /// drawn first.
    ///
    /// # Errors
    /// If there is no answer, or one that is not of this protocol.
    pub fn exchange(&mut self, frames: &[ClientFrame]) -> Result<Vec<ServerFrame>> {
        let mut body = encode(&self.hello());
        for frame in frames {
            let bytes = encode(frame);
            if let Some(tap) = &mut self.tap {
                tap.sent(&bytes);
            }
            body.extend(bytes);
        }
        let (mut status, mut bytes) = self.post(&body)?;
        if status == 401 {
            self.renew()?;
            (status, bytes) = self.post(&body)?;
        }
        if status != 200 {
            bail!("sync answered {status}: {}", String::from_utf8_lossy(&bytes));
        }
        let frames = cut_sequence(&bytes).context("the answer is no sequence of frames")?;
        let mut answers = Vec::with_capacity(frames.len());
        for frame in frames {
            if let Some(tap) = &mut self.tap {
                tap.heard(frame);
            }
            answers.push(decode_server_frame(frame)?);
        }
        Ok(answers)
    }

    /// A push of these items.
    pub fn push(&mut self, items: Vec<PushItem>) -> ClientFrame {
        self.batch += 1;
        ClientFrame::Push(Push { batch: self.batch, items })
    }

    /// When this device says that something was recorded.
    pub fn recorded(&self) -> Recorded {
        let at = UtcMillis(crate::world::clock::EPOCH_MS + self.batch as i64);
        Recorded { at, device: at, quality: Quality::Ok, offset_minutes: 480 }
    }

    /// Who writes.
    pub fn writer(&self) -> Writer {
        Writer { person: self.person, actor: self.actor, recorded: self.recorded() }
    }

    /// The changes of a new document as items of a push.
    ///
    /// # Errors
    /// If the schema refuses the edit.
    pub fn create(&mut self, edit: &Edit) -> Result<(Document, Vec<PushItem>)> {
        let (kind, scope) = match edit {
            Edit::CreateCustomer { customer, .. } => (Kind::Customer, Scope::Customer(*customer)),
            Edit::CreateVisit { customer, .. } => (Kind::Visit, Scope::Customer(*customer)),
            Edit::CreateComment { customer, .. } => (Kind::Comment, Scope::Customer(*customer)),
            _ => bail!("this edit creates nothing"),
        };
        let (document, changes) = Document::create(&self.writer(), edit)?;
        let recorded = self.recorded();
        let item = |bytes: Vec<u8>| PushItem::Change {
            doc: edit.doc(),
            kind,
            scope,
            change: bytes.into(),
            recorded,
        };
        Ok((document, changes.into_iter().map(|change| item(change.bytes)).collect()))
    }

    /// A new customer card, complete enough to be accepted. Its texts hold a canary if somebody taps the device.
    ///
    /// # Errors
    /// If the schema refuses it.
    pub fn new_customer(&mut self, name: &str) -> Result<(DocId, Document, Vec<PushItem>)> {
        let customer = self.entropy.doc_id();
        let canary = self.tap.as_ref().map(|tap| tap.canary(customer)).unwrap_or_default();
        let text = |text: &str| Value::Str(format!("{text} {canary}").trim_end().to_owned());
        let fields = Patch::from([
            ("name".to_owned(), text(name)),
            ("contacts/0123456789abcdef/name".to_owned(), text("Zhang")),
            ("phones/0123456789abcdef/number".to_owned(), Value::Str("13800138000".to_owned())),
        ]);
        let (document, items) = self.create(&Edit::CreateCustomer { customer, fields })?;
        Ok((customer, document, items))
    }

    /// A new visit to a customer.
    ///
    /// # Errors
    /// If the schema refuses it.
    pub fn new_visit(&mut self, customer: DocId, record: &str) -> Result<(DocId, Document, Vec<PushItem>)> {
        let visit = self.entropy.doc_id();
        let fields = Patch::from([("record".to_owned(), Value::Str(record.to_owned()))]);
        let (document, items) = self.create(&Edit::CreateVisit { visit, customer, fields })?;
        Ok((visit, document, items))
    }
}

/// The same item with other bytes.
pub fn with_change(item: &PushItem, bytes: Vec<u8>) -> PushItem {
    match item {
        PushItem::Change { doc, kind, scope, recorded, .. } => {
            let change = ByteVec::from(bytes);
            PushItem::Change { doc: *doc, kind: *kind, scope: *scope, change, recorded: *recorded }
        }
        other => other.clone(),
    }
}
