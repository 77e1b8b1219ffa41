//! A small organisation, a hub in this thread, and fake phones that speak in frames.

use std::collections::{BTreeMap, BTreeSet};

use server::admission::InProcess;
use server::hub::{Administration, Hub, Identity, Output, SessionId, Transport, administer};
use server::store::{DeviceRow, Lookup, SqliteStore, Store};
use shared::document::{Document, Kind, LocalChange, Writer, digest};
use shared::edit::{Edit, Patch, Value};
use shared::entropy::Entropy;
use shared::id::*;
use shared::ledger::{Command, LedgerEvent, Person, Role, Team};
use shared::protocol::*;
use shared::refusal::Rule;
use shared::settings::PhoneSettings;
use shared::time::{Quality, Recorded, UtcMillis};

pub const START: i64 = 1_790_000_000_000;

pub struct World {
    pub hub: Option<Hub<SqliteStore>>,
    pub now: UtcMillis,
    pub entropy: Entropy,
    next_session: u64,
    pub people: BTreeMap<String, Person>,
}

/// A device with its own replica, as far as the hub can tell.
pub struct Phone {
    pub identity: Identity,
    pub actor: ActorId,
    pub session: Option<SessionId>,
    pub incarnation: Option<IncarnationId>,
    pub cursor: Option<Cursor>,
    pub docs: BTreeMap<DocId, (Kind, Scope, Document)>,
    pub scopes: BTreeSet<Scope>,
    pub removed: BTreeSet<Scope>,
    pub events: Vec<LedgerEvent>,
    pub unsent: Vec<PushItem>,
    pub acks: Vec<Ack>,
    pub goodbye: Option<Goodbye>,
    /// How much of what it pushed no honest phone makes.
    pub offences: u32,
    pub settings: Option<PhoneSettings>,
    pub wanted_digests: u32,
    /// Bytes of all frames, both ways.
    pub bytes: usize,
    /// Bytes of the hub's frames alone.
    pub received: usize,
    pub pages: usize,
    batch: u64,
}

pub fn patch<const N: usize>(fields: [(&str, &str); N]) -> Patch {
    fields.into_iter().map(|(path, value)| (path.to_owned(), Value::from(value))).collect()
}

pub const COMPLETE: [(&str, &str); 3] =
    [("name", "华东轴承厂"), ("contacts/aaaaaaaa1/name", "王工"), ("phones/aaaaaaaa2/number", "13800001111")];

impl World {
    pub fn new() -> World {
        let mut entropy = Entropy::from_seed([7; 32]);
        let mut store = SqliteStore::in_memory(entropy.incarnation_id()).expect("opens");
        let now = UtcMillis(START);
        let team = Team { id: entropy.team_id(), name: "东区".to_owned() };
        administer(&mut store, now, &Administration::SetTeam { team: team.clone(), by: None })
            .expect("a new team");
        let mut people = BTreeMap::new();
        let roles = [
            ("li", Role::Rep, true),
            ("zhao", Role::Rep, true),
            ("mei", Role::Assistant, false),
            ("boss", Role::Manager, true),
            ("chief", Role::Manager, false),
            ("stranger", Role::Rep, false),
        ];
        for (name, role, in_team) in roles {
            let team = in_team.then_some(team.id);
            let person = Person { id: entropy.person_id(), name: name.to_owned(), role, team, active: true };
            administer(&mut store, now, &Administration::SetPerson { person: person.clone(), by: None })
                .expect("a new person");
            people.insert(name.to_owned(), person);
        }
        World { hub: Some(Hub::new(store).expect("begins")), now, entropy, next_session: 1, people }
    }

    pub fn hub(&mut self) -> &mut Hub<SqliteStore> {
        self.hub.as_mut().expect("the hub runs")
    }

    pub fn later(&mut self, ms: i64) {
        self.now = UtcMillis(self.now.0 + ms);
    }

    pub fn administer(&mut self, command: Administration) {
        let now = self.now;
        self.hub().handle_administration(now, command).expect("allowed");
    }

    /// A new phone, registered.
    pub fn phone(&mut self, name: &str) -> Phone {
        let person = self.people[name].id;
        let device = self.entropy.device_id();
        let row = DeviceRow {
            id: device,
            person,
            label: format!("{name}'s phone"),
            created_at: self.now,
            last_contact_at: None,
            pending: PendingCounts::default(),
            software: String::new(),
            revoked_at: None,
        };
        self.administer(Administration::PutDevice(row));
        Phone {
            identity: Identity { person, device },
            actor: self.entropy.actor_id(),
            session: None,
            incarnation: None,
            cursor: None,
            docs: BTreeMap::new(),
            scopes: BTreeSet::new(),
            removed: BTreeSet::new(),
            events: Vec::new(),
            unsent: Vec::new(),
            acks: Vec::new(),
            goodbye: None,
            offences: 0,
            settings: None,
            wanted_digests: 0,
            bytes: 0,
            received: 0,
            pages: 0,
            batch: 0,
        }
    }

    /// A phone that is connected and up to date.
    pub fn online(&mut self, name: &str) -> Phone {
        let mut phone = self.phone(name);
        self.connect(&mut phone);
        phone
    }

    pub fn connect(&mut self, phone: &mut Phone) {
        let session = SessionId(self.next_session);
        self.next_session += 1;
        phone.session = Some(session);
        let now = self.now;
        self.hub().handle_open(now, session, phone.identity, Transport::Live);
        let hello = Hello {
            protocol: PROTOCOL_VERSION,
            schema: 1,
            ticket: None,
            incarnation: phone.incarnation,
            cursor: phone.cursor.clone(),
            pending: PendingCounts::default(),
            digest: phone.cursor.is_some().then(|| phone.digest()),
            software: "test/1".to_owned(),
        };
        self.send(phone, &ClientFrame::Hello(hello));
    }

    pub fn disconnect(&mut self, phone: &mut Phone) {
        if let Some(session) = phone.session.take() {
            let now = self.now;
            self.hub().handle_close(now, session);
        }
    }

    pub fn reconnect(&mut self, phone: &mut Phone) {
        self.disconnect(phone);
        self.connect(phone);
    }

    pub fn send(&mut self, phone: &mut Phone, frame: &ClientFrame) {
        self.send_raw(phone, &encode(frame));
    }

    pub fn send_raw(&mut self, phone: &mut Phone, bytes: &[u8]) {
        phone.bytes += bytes.len();
        let (now, session) = (self.now, phone.session.expect("connected"));
        self.hub().handle_frame(now, session, bytes);
        self.settle(&mut [phone]);
    }

    /// Runs the hub until it is quiet; gives phones their frames and lets them pull.
    pub fn settle(&mut self, phones: &mut [&mut Phone]) -> Vec<Output> {
        let now = self.now;
        let mut others = Vec::new();
        loop {
            let outputs = self.hub().settle(now, &mut InProcess);
            if outputs.is_empty() {
                return others;
            }
            for output in outputs {
                let (session, bytes) = match &output {
                    Output::Send(session, bytes) | Output::SendPage(session, bytes) => {
                        (*session, bytes.to_vec())
                    }
                    Output::Close(session, why) => {
                        if let Some(phone) = phones.iter_mut().find(|phone| phone.session == Some(*session)) {
                            phone.goodbye = Some(*why);
                            phone.session = None;
                        } else {
                            others.push(output);
                        }
                        continue;
                    }
                    Output::Offences(session, count) => {
                        if let Some(phone) = phones.iter_mut().find(|phone| phone.session == Some(*session)) {
                            phone.offences += count;
                        }
                        continue;
                    }
                    Output::Judge(_) | Output::Read(_) => unreachable!("settled"),
                };
                match phones.iter_mut().find(|phone| phone.session == Some(session)) {
                    Some(phone) => {
                        if let Some(answer) = phone.take(&bytes) {
                            let answer = encode(&answer);
                            phone.bytes += answer.len();
                            self.hub().handle_frame(now, session, &answer);
                        }
                    }
                    None => others.push(output),
                }
            }
        }
    }

    /// Pushes what a phone has unsent and returns the answers; what others get waits in their channels.
    pub fn push(&mut self, phone: &mut Phone, others: &mut [&mut Phone]) -> Vec<ItemResult> {
        let items = std::mem::take(&mut phone.unsent);
        self.push_items(phone, items, others)
    }

    pub fn push_items(
        &mut self,
        phone: &mut Phone,
        items: Vec<PushItem>,
        others: &mut [&mut Phone],
    ) -> Vec<ItemResult> {
        phone.batch += 1;
        let frame = encode(&ClientFrame::Push(Push { batch: phone.batch, items }));
        phone.bytes += frame.len();
        let (now, session) = (self.now, phone.session.expect("connected"));
        self.hub().handle_frame(now, session, &frame);
        let mut phones: Vec<&mut Phone> = vec![phone];
        for other in others.iter_mut() {
            phones.push(other);
        }
        self.settle(&mut phones);
        phone
            .acks
            .last()
            .filter(|ack| ack.batch == phone.batch)
            .expect("every push is answered")
            .results
            .clone()
    }

    pub fn request(&mut self, phone: &mut Phone, command: Command, others: &mut [&mut Phone]) -> ItemResult {
        let id = self.entropy.request_id();
        let item = PushItem::Request { id, command, recorded: recorded(self.now) };
        self.push_items(phone, vec![item], others).remove(0)
    }

    pub fn new_customer(&mut self, phone: &mut Phone, fields: Patch) -> DocId {
        let customer = self.entropy.doc_id();
        phone.create(self.now, &Edit::CreateCustomer { customer, fields });
        customer
    }

    pub fn new_visit(&mut self, phone: &mut Phone, customer: DocId, text: &str) -> DocId {
        let visit = self.entropy.doc_id();
        phone.create(self.now, &Edit::CreateVisit { visit, customer, fields: patch([("record", text)]) });
        visit
    }

    /// A customer of this phone's person that the hub has.
    pub fn stored_customer(&mut self, phone: &mut Phone) -> DocId {
        let customer = self.new_customer(phone, patch(COMPLETE));
        let results = self.push(phone, &mut []);
        assert!(results.iter().all(|result| matches!(result, ItemResult::Accepted(_))), "{results:?}");
        customer
    }

    pub fn lookup<T>(&mut self, read: impl FnOnce(&dyn Lookup) -> T) -> T {
        read(&self.hub().store().lookup())
    }

    /// Ends the hub as a crash would and begins another on the same store.
    pub fn restart(&mut self) {
        let store = self.hub.take().expect("the hub runs").into_store();
        self.hub = Some(Hub::new(store).expect("begins"));
    }
}

pub fn recorded(at: UtcMillis) -> Recorded {
    Recorded { at, device: at, quality: Quality::Ok, offset_minutes: 480 }
}

impl Phone {
    pub fn writer(&self, at: UtcMillis) -> Writer {
        Writer { person: self.identity.person, actor: self.actor, recorded: recorded(at) }
    }

    pub fn create(&mut self, at: UtcMillis, edit: &Edit) {
        let (kind, scope) = match edit {
            Edit::CreateCustomer { customer, .. } => (Kind::Customer, Scope::Customer(*customer)),
            Edit::CreateVisit { customer, .. } => (Kind::Visit, Scope::Customer(*customer)),
            Edit::CreateComment { customer, .. } => (Kind::Comment, Scope::Customer(*customer)),
            _ => unreachable!("not a creation"),
        };
        let (document, changes) = Document::create(&self.writer(at), edit).expect("valid");
        self.docs.insert(edit.doc(), (kind, scope, document));
        self.queue(edit.doc(), kind, scope, changes, at);
    }

    pub fn edit(&mut self, at: UtcMillis, edit: &Edit) {
        let writer = self.writer(at);
        let (kind, scope, document) = self.docs.get_mut(&edit.doc()).expect("it is on this phone");
        let (kind, scope) = (*kind, *scope);
        let changes = document.edit(&writer, edit).expect("valid");
        assert!(!changes.is_empty(), "the edit changes something");
        self.queue(edit.doc(), kind, scope, changes, at);
    }

    pub fn edit_card<const N: usize>(&mut self, at: UtcMillis, customer: DocId, fields: [(&str, &str); N]) {
        self.edit(at, &Edit::EditCustomer { customer, fields: patch(fields) });
    }

    fn queue(&mut self, doc: DocId, kind: Kind, scope: Scope, changes: Vec<LocalChange>, at: UtcMillis) {
        for change in changes {
            let (change, recorded) = (change.bytes.into(), recorded(at));
            self.unsent.push(PushItem::Change { doc, kind, scope, change, recorded });
        }
    }

    pub fn digest(&mut self) -> Digest {
        let mut sum = 0;
        for (id, (_, scope, document)) in &mut self.docs {
            if self.scopes.contains(scope) {
                sum ^= digest(*id, &document.heads()).0;
            }
        }
        Digest(sum)
    }

    pub fn digests(&mut self) -> Vec<(Scope, Digest)> {
        let mut sums: BTreeMap<Scope, u64> = self.scopes.iter().map(|scope| (*scope, 0)).collect();
        for (id, (_, scope, document)) in &mut self.docs {
            if let Some(sum) = sums.get_mut(scope) {
                *sum ^= digest(*id, &document.heads()).0;
            }
        }
        sums.into_iter().map(|(scope, sum)| (scope, Digest(sum))).collect()
    }

    pub fn text(&self, doc: DocId, key: &str) -> Option<String> {
        self.docs.get(&doc)?.2.text_of(key)
    }

    /// Takes a frame as a phone does. Returns what it answers by itself.
    fn take(&mut self, bytes: &[u8]) -> Option<ClientFrame> {
        self.bytes += bytes.len();
        self.received += bytes.len();
        match decode_server_frame(bytes).expect("the hub speaks the protocol") {
            ServerFrame::Welcome(welcome) => {
                self.settings = welcome.settings;
                self.incarnation = Some(welcome.incarnation);
                None
            }
            ServerFrame::Ack(ack) => {
                self.acks.push(ack);
                None
            }
            ServerFrame::Page(page) => {
                self.pages += 1;
                self.cursor = Some(page.cursor.clone());
                for item in page.items.unpack().expect("well formed") {
                    self.take_item(item);
                }
                page.more.then_some(ClientFrame::Pull(page.cursor))
            }
            ServerFrame::Pong(_) => None,
            ServerFrame::WantDigests => {
                self.wanted_digests += 1;
                Some(ClientFrame::Digests(self.digests()))
            }
            ServerFrame::Goodbye(why) => {
                self.goodbye = Some(why);
                None
            }
        }
    }

    fn take_item(&mut self, item: Item) {
        match item {
            Item::Granted { scope, full, .. } => {
                self.scopes.insert(scope);
                self.removed.remove(&scope);
                if full {
                    self.docs.retain(|_, (_, held, _)| *held != scope);
                    self.events.retain(|event| event.scope != scope);
                }
            }
            Item::Snapshot { doc, kind, scope, bytes, .. } => {
                let document = Document::load(&bytes).expect("the hub sends what loads");
                self.docs.insert(doc, (kind, scope, document));
            }
            Item::Changes { doc, kind, scope, changes, .. } => {
                let (_, _, document) =
                    self.docs.entry(doc).or_insert_with(|| (kind, scope, Document::empty()));
                document
                    .apply(&changes.iter().map(|change| change.as_slice()).collect::<Vec<_>>())
                    .expect("in order");
            }
            Item::Events(events) => self.events.extend(events),
            Item::Actors(_) => {}
            Item::Removed { scope } => {
                self.scopes.remove(&scope);
                self.removed.insert(scope);
            }
            Item::Erased { doc } => {
                self.docs.remove(&doc);
            }
        }
    }
}

pub fn rule(result: &ItemResult) -> Option<Rule> {
    match result {
        ItemResult::Refused(refusal) => Some(refusal.rule),
        _ => None,
    }
}
