//! What screens and scripts read: plain values, serialised as JSON. Made by the client machine from
//! documents and ledger events; carries no bytes and decides nothing.

use serde::Serialize;
use serde_json::Value as Json;

use crate::id::{DocId, PersonId, Seq};
use crate::json::{Fields, FromJson};
use crate::ledger::fold::CustomerStatus;
use crate::ledger::people::{Access, Role};
use crate::ledger::{Command, LateWork};
use crate::protocol::PendingCounts;
use crate::refusal::Refusal;
use crate::sorted;
use crate::time::{Recorded, StatedTime, UtcMillis};

/// How far a record has come. Ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum SyncState {
    /// Typed; the phone's store has not confirmed it yet.
    Saving,
    /// 仅本机: on this phone's disk only.
    Local,
    /// 已到公司: on the server's disk.
    Server,
    /// 已核: the assistant has accepted it.
    Accepted,
}

/// A question to the client machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum Query {
    /// [`Answer::Status`]
    Status,
    /// [`Answer::Home`]
    Home,
    /// [`Answer::Customers`], best first. Searches name, short name, aliases, pinyin and initials, code, the
    /// last four digits of phones. An empty text lists all by last follow-up, newest first.
    Customers {
        /// The text searched for.
        search: String,
        /// How many at most.
        limit: usize,
    },
    /// [`Answer::Customer`]
    Customer {
        /// The card.
        id: DocId,
    },
    /// [`Answer::Timeline`], oldest first.
    Timeline {
        /// The customer.
        customer: DocId,
    },
    /// [`Answer::Visit`]
    Visit {
        /// The visit.
        id: DocId,
    },
    /// [`Answer::Timeline`] over all customers, newest first (by receipt, then by when it took place).
    Newest {
        /// How many at most.
        limit: usize,
    },
    /// [`Answer::Customers`] awaiting acceptance, oldest first.
    ToAccept,
    /// [`Answer::Late`], newest first.
    Late,
    /// [`Answer::People`]
    People,
    /// [`Answer::Refused`]
    Refused,
    /// [`Answer::Unsent`]
    Unsent,
    /// [`Answer::Requests`]: ledger requests not yet answered, and those refused.
    Requests,
}

impl FromJson for Query {
    fn from_json(json: Json) -> Option<Self> {
        let mut json = Fields::of(json)?;
        let query = match json.take::<String>("type")?.as_str() {
            "status" => Query::Status,
            "home" => Query::Home,
            "customers" => Query::Customers { search: json.take("search")?, limit: json.take("limit")? },
            "customer" => Query::Customer { id: json.take("id")? },
            "timeline" => Query::Timeline { customer: json.take("customer")? },
            "visit" => Query::Visit { id: json.take("id")? },
            "newest" => Query::Newest { limit: json.take("limit")? },
            "to_accept" => Query::ToAccept,
            "late" => Query::Late,
            "people" => Query::People,
            "refused" => Query::Refused,
            "unsent" => Query::Unsent,
            "requests" => Query::Requests,
            _ => return None,
        };
        Some(query)
    }
}

/// The answer to a [`Query`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", content = "value", rename_all = "snake_case")]
pub enum Answer {
    /// Where the phone stands.
    Status(StatusView),
    /// The first screen.
    Home(HomeView),
    /// Customers.
    Customers(Vec<CustomerRow>),
    /// One card; none if it is not on this phone.
    Customer(Option<Box<CustomerCard>>),
    /// Timeline entries.
    Timeline(Vec<TimelineEntry>),
    /// One visit; none if it is not on this phone.
    Visit(Option<Box<VisitView>>),
    /// Late work of former owners.
    Late(Vec<LateView>),
    /// Everybody in the organisation.
    People(Vec<PersonView>),
    /// Edits that the server refused, oldest first.
    Refused(Vec<RefusedView>),
    /// Edits that the server has not answered, oldest first.
    Unsent(Vec<UnsentView>),
    /// Ledger requests, oldest first.
    Requests(Vec<RequestView>),
}

/// The person of this phone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ProfileView {
    /// The person.
    pub person: PersonId,
    /// The person's name.
    pub name: String,
    /// The person's role.
    pub role: Role,
    /// The team's name.
    pub team: Option<String>,
}

/// Where the connection stands. Decides nothing; shown small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum Link {
    /// No connection; will be dialled.
    Offline,
    /// Dialling or catching up.
    Syncing,
    /// Connected and up to date.
    Live,
    /// The server asks for a new login.
    LoginNeeded,
    /// The device was revoked.
    Revoked,
}

/// Where the phone stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct StatusView {
    /// The person; none before the first login.
    pub profile: Option<ProfileView>,
    /// The connection.
    pub link: Link,
    /// "3 条未传 · 2 张照片".
    pub pending: PendingCounts,
    /// Edits whose store has not confirmed them.
    pub saving: u32,
    /// The server's time of the last complete exchange.
    pub last_synced: Option<UtcMillis>,
    /// How many documents the phone holds.
    pub documents: u32,
    /// Server's clock minus the phone's, in milliseconds, as last measured.
    pub clock_offset_ms: Option<i64>,
    /// Whether the first sync is complete.
    pub complete: bool,
    /// Whether positions may be recorded at arrival and departure (R14).
    pub position_allowed: bool,
}

/// The first screen.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct HomeView {
    /// Where the phone stands.
    pub status: StatusView,
    /// The person's own visits of today, newest first.
    pub today: Vec<TimelineEntry>,
    /// Customers with a next action due today or earlier, most overdue first; at most 50.
    pub due: Vec<CustomerRow>,
    /// The person's customers by last follow-up, newest first; at most 50.
    pub recent: Vec<CustomerRow>,
    /// How many customers the phone holds.
    pub customers: u32,
    /// How many customers await acceptance.
    pub to_accept: u32,
    /// How many late card edits await a decision.
    pub late_held: u32,
    /// Notices not dismissed on this phone, newest first; at most 20.
    pub notices: Vec<NoticeView>,
}

/// A customer in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct CustomerRow {
    /// The card.
    pub id: DocId,
    /// The full name, else the short name, else empty.
    pub name: String,
    /// The short name.
    pub short_name: Option<String>,
    /// The code once accepted.
    pub code: Option<String>,
    /// The provisional number; none before the server registered the card.
    pub provisional: Option<String>,
    /// 待核, 正式; none before the server registered the card.
    pub status: Option<CustomerStatus>,
    /// The owner.
    pub owner: Option<PersonId>,
    /// The owner's name.
    pub owner_name: Option<String>,
    /// Level such as `B`.
    pub level: Option<String>,
    /// District or city.
    pub district: Option<String>,
    /// When the last visit took place.
    pub last_visit: Option<StatedTime>,
    /// The next action's day.
    pub next_action: Option<StatedTime>,
    /// The next action's words.
    pub next_action_text: Option<String>,
    /// What is missing for acceptance (R3), as field names: `name`, `contact`, `phone`.
    pub missing: Vec<String>,
    /// How many fields hold more than one value.
    pub clashes: u32,
    /// How far the least far of its documents has come.
    pub sync: SyncState,
    /// Set when the grant ended and the copy is about to be dropped (S2).
    pub leaving: bool,
    /// A ledger request about it waits for an answer (申请中).
    pub requested: bool,
}

/// A value of one field with who wrote it and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ClashValue {
    /// The value as text.
    pub value: String,
    /// Who wrote it; the name.
    pub person: String,
    /// When its writer's device says it was recorded: ISO 8601 with offset.
    pub recorded_at: String,
    /// Whether this is the one shown in the field itself.
    pub shown: bool,
}

/// A field that two people wrote at once. Writing it again settles it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Clash {
    /// The field's path.
    pub field: String,
    /// All values; the shown one first.
    pub values: Vec<ClashValue>,
}

/// A phone number or other way to reach somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct PhoneView {
    /// The record's id in the card.
    pub id: String,
    /// The number as typed.
    pub number: String,
    /// What it is: 手机, 办公, 传真 …
    pub label: Option<String>,
    /// `active` or `retired`.
    pub state: String,
    /// Set when several numbers were added at once to replace one (S3): 待核.
    pub to_check: bool,
    /// Who added it.
    pub person: Option<String>,
    /// When it was added: ISO 8601 with offset.
    pub recorded_at: Option<String>,
}

/// A field of a record with its value, for kinds of records that screens show generically.
pub type FieldMap = std::collections::BTreeMap<String, serde_json::Value>;

/// One customer card.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct CustomerCard {
    /// What lists show.
    pub row: CustomerRow,
    /// The single-valued fields by key, as the schema names them; long texts as text.
    #[cfg_attr(test, ts(type = "FieldMap"))]
    pub fields: FieldMap,
    /// Phones in order of adding; active ones first.
    pub phones: Vec<PhoneView>,
    /// Records by collection key (`contacts`, `equipment`, `consumption`, `competitors` …), each with its `id`
    /// and its fields, in order of adding.
    #[cfg_attr(test, ts(type = "Record<string, FieldMap[]>"))]
    pub records: sorted::Map<String, Vec<FieldMap>>,
    /// Fields that hold more than one value.
    pub clashes: Vec<Clash>,
    /// What the person may do with it.
    pub access: Access,
    /// Owners in order: name and since when (ISO 8601); the last is the present one.
    pub owners: Vec<OwnerView>,
    /// Who recorded it first.
    pub first_recorder: Option<String>,
    /// Late edits by former owners that wait for a decision.
    pub late: Vec<LateView>,
    /// The last three visits, newest first (R12).
    pub last_visits: Vec<TimelineEntry>,
    /// Next actions that no later visit has dealt with, the earliest day first, those without a day last (R12).
    pub open_actions: Vec<OpenAction>,
}

/// A next action that is still to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct OpenAction {
    /// Its day.
    pub day: Option<StatedTime>,
    /// Its words.
    pub text: Option<String>,
}

/// One owner of a customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct OwnerView {
    /// The owner.
    pub person: PersonId,
    /// The owner's name.
    pub name: String,
    /// Since when: ISO 8601.
    pub since: String,
}

/// One entry of a timeline.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct TimelineEntry {
    /// `visit`, `quote`, `sample`, `comment`, `contact`, `phone`, `level`, `owner`, `accepted`, `registered`, `late_edit`.
    pub kind: String,
    /// The document or event that it comes from, and the record inside: stable across runs.
    pub id: String,
    /// The document to open on tap.
    pub doc: Option<DocId>,
    /// The customer.
    pub customer: DocId,
    /// The customer's name.
    pub customer_name: String,
    /// When it took place, as stated.
    pub at: StatedTime,
    /// When it was recorded: ISO 8601 with offset.
    pub recorded_at: Option<String>,
    /// The recording's details.
    pub recorded: Option<Recorded>,
    /// When the server received it: ISO 8601 with offset; none while it is on this phone only.
    pub received_at: Option<String>,
    /// Who: the server's word where it has spoken.
    pub person: String,
    /// The person's id.
    pub person_id: Option<PersonId>,
    /// The main text: a visit's record, a comment's words, a change in words of the data (`B → A`).
    pub text: String,
    /// How far it has come.
    pub sync: SyncState,
    /// Marks, in order: `late_upload` (补传), `late_record` (补录), `clock_suspect` (时间待核), `before_transfer`
    /// (移交前), `after_transfer` (移交后拜访), `void` (作废), `edited_after_void` (作废后另有修改), `incomplete` (待补).
    pub marks: Vec<String>,
    /// Hours between recording and receipt, for 补传.
    pub late_hours: Option<i64>,
    /// Fields by kind. Visit: `visit_kind`, `purpose`, `countermeasure`, `result`, `people_met`, `next_action`,
    /// `next_action_day`, `left`, `missing`, `photos` (their SHA-256). Quote: `product`, `spec`, `pack`,
    /// `price_fen`, `unit`, `valid_to`. Comment: `about`. Owner: `from`, `to`, `reason`. Flattened into the entry.
    #[serde(flatten)]
    #[cfg_attr(test, ts(skip))]
    pub details: FieldMap,
}

/// One visit, for its form.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct VisitView {
    /// The visit.
    pub id: DocId,
    /// The customer.
    pub customer: DocId,
    /// The customer's name.
    pub customer_name: String,
    /// Who wrote it.
    pub person: String,
    /// Whether this phone's person wrote it and so may edit it.
    pub mine: bool,
    /// The single-valued fields by key.
    #[cfg_attr(test, ts(type = "FieldMap"))]
    pub fields: FieldMap,
    /// Records by collection key (`people_met`, `quotes`, `samples`, `next_actions`, `photos` …).
    #[cfg_attr(test, ts(type = "Record<string, FieldMap[]>"))]
    pub records: sorted::Map<String, Vec<FieldMap>>,
    /// Fields still missing (待补).
    pub missing: Vec<String>,
    /// The entry as the timeline shows it.
    pub entry: TimelineEntry,
}

/// A person in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct PersonView {
    /// The person.
    pub id: PersonId,
    /// The name.
    pub name: String,
    /// The role.
    pub role: Role,
    /// The team's name.
    pub team: Option<String>,
    /// Whether the person may log in.
    pub active: bool,
    /// How many customers on this phone the person owns.
    pub customers: u32,
}

/// Late work of a former owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct LateView {
    /// Its id.
    pub id: Seq,
    /// What it is and what became of it.
    pub work: LateWork,
    /// The customer's name.
    pub customer_name: String,
    /// Who did it.
    pub person: String,
    /// When it arrived: ISO 8601 with offset.
    pub received_at: String,
    /// Whether this phone's person may settle it.
    pub may_settle: bool,
}

/// An edit that the server refused and that the person has not dealt with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RefusedView {
    /// Its number on this phone.
    pub edit_id: u64,
    /// Why.
    pub refusal: Refusal,
    /// Whether the server keeps the edit as a candidate that waits for a decision (S2): not lost, not merged.
    #[serde(default)]
    pub held: bool,
    /// The refusal in Chinese.
    pub zh: String,
    /// The refusal in English.
    pub en: String,
    /// What the person had typed.
    pub edit: crate::edit::Edit,
    /// The customer.
    pub customer: Option<DocId>,
    /// The customer's name, where known.
    pub customer_name: String,
    /// When it was typed: ISO 8601 with offset.
    pub recorded_at: String,
}

/// An edit that the server has not answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct UnsentView {
    /// Its number on this phone.
    pub edit_id: u64,
    /// What it changes.
    pub doc: DocId,
    /// What the person typed; none where it is several edits that a restored server lacks (S14).
    pub edit: Option<crate::edit::Edit>,
    /// Whether it was with the server before, which was restored and may lack it (S14).
    pub again: bool,
    /// The customer.
    pub customer: Option<DocId>,
    /// The customer's name, where known.
    pub customer_name: String,
    /// When it was typed: ISO 8601 with offset.
    pub recorded_at: String,
}

/// A ledger request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RequestView {
    /// Its id.
    pub id: crate::id::RequestId,
    /// What was asked.
    pub command: Command,
    /// The customer's name.
    pub customer_name: String,
    /// When it was asked: ISO 8601 with offset.
    pub recorded_at: String,
    /// The refusal; none while it waits (申请中).
    pub refusal: Option<Refusal>,
}

/// A notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct NoticeView {
    /// Its id, for dismissing.
    pub id: Seq,
    /// When: ISO 8601 with offset.
    pub at: String,
    /// The customer.
    pub customer: DocId,
    /// The customer's name.
    pub customer_name: String,
    /// What is told.
    pub notice: crate::ledger::event::NoticeKind,
    /// The other person's name.
    pub person: Option<String>,
}
