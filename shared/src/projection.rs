//! What lists, search, acceptance and late work need of a document, as plain values: made from a document
//! alone, the same on the server and on the phone. Knows nothing of the ledger and of sync.

use serde::{Deserialize, Serialize};

use crate::cbor::{Decode, Encode};
use crate::document::{Document, Kind, RecordEntry};
use crate::id::{DocId, PersonId};
use crate::order;
use crate::time::{Recorded, StatedTime};

/// Characters of an excerpt.
pub const EXCERPT_CHARS_MAX: usize = 120;

/// A document as plain values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Projection {
    /// A customer card.
    #[n(0)]
    Customer(#[n(0)] CustomerProjection),
    /// A visit.
    #[n(1)]
    Visit(#[n(0)] VisitProjection),
    /// A comment.
    #[n(2)]
    Comment(#[n(0)] CommentProjection),
}

/// A customer card in short.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, Encode, Decode)]
pub struct CustomerProjection {
    /// 全称
    #[n(0)]
    pub name: Option<String>,
    /// The short name.
    #[n(1)]
    pub short_name: Option<String>,
    /// Other names that find the card.
    #[n(2)]
    pub aliases: Vec<String>,
    /// How many contacts have a name.
    #[n(3)]
    pub contacts: u32,
    /// Every phone number of the card and its contacts, digits only, active or not, each once.
    #[n(4)]
    pub phones: Vec<String>,
    /// How many phones are active.
    #[n(5)]
    pub phones_active: u32,
    /// Level such as `B`.
    #[n(6)]
    pub level: Option<String>,
    /// The city.
    #[n(7)]
    pub city: Option<String>,
    /// The district.
    #[n(8)]
    pub district: Option<String>,
    /// 统一社会信用代码
    #[n(9)]
    pub credit_code: Option<String>,
    /// How many fields hold more than one value.
    #[n(10)]
    pub clashes: u32,
    /// When the card was made.
    #[n(11)]
    pub recorded: Option<Recorded>,
}

/// A visit in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
pub struct VisitProjection {
    /// The customer.
    #[n(0)]
    pub customer: DocId,
    /// Who visited.
    #[n(1)]
    pub author: PersonId,
    /// When it took place, as stated; else when it was recorded.
    #[n(2)]
    pub at: StatedTime,
    /// When it was recorded.
    #[n(3)]
    pub recorded: Option<Recorded>,
    /// 上门, 电话 …
    #[n(4)]
    pub visit_kind: Option<String>,
    /// The beginning of the record.
    #[n(5)]
    pub excerpt: String,
    /// 继续跟进, 签单 …
    #[n(6)]
    pub result: Option<String>,
    /// Whether it is void.
    #[n(7)]
    pub void: bool,
    /// Whether it was changed after or beside its void (S5).
    #[n(8)]
    pub edited_after_void: bool,
    /// Fields that are missing (待补).
    #[n(9)]
    pub missing: Vec<String>,
    /// Open next actions, earliest first.
    #[n(10)]
    pub next_actions: Vec<NextAction>,
    /// How many quotes.
    #[n(11)]
    pub quotes: u32,
    /// The SHA-256 of every photo, as 64 hexadecimal digits: who may read the visit may read these files.
    #[n(12)]
    pub photos: Vec<String>,
    /// The level after the visit.
    #[n(13)]
    pub level_after: Option<String>,
    /// What makes an imported visit the same as one imported before.
    #[n(14)]
    pub import_key: Option<String>,
}

/// Something to do that a visit agreed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
pub struct NextAction {
    /// What.
    #[n(0)]
    pub text: Option<String>,
    /// By when.
    #[n(1)]
    pub day: Option<StatedTime>,
}

/// A comment in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
pub struct CommentProjection {
    /// The customer.
    #[n(0)]
    pub customer: DocId,
    /// Who wrote it.
    #[n(1)]
    pub author: PersonId,
    /// The visit that it is about.
    #[n(2)]
    pub about: Option<DocId>,
    /// When it was recorded.
    #[n(3)]
    pub recorded: Option<Recorded>,
    /// The beginning of its words.
    #[n(4)]
    pub excerpt: String,
}

impl Projection {
    /// Projects a document; none if it has no kind, or is a fact without author or customer.
    pub fn of(document: &mut Document) -> Option<Projection> {
        document.read_ahead();
        match document.kind()? {
            Kind::Customer => Some(Projection::Customer(CustomerProjection::of(document))),
            Kind::Visit => VisitProjection::of(document).map(Projection::Visit),
            Kind::Comment => CommentProjection::of(document).map(Projection::Comment),
        }
    }

    /// The kind of document that it was made from.
    pub fn kind(&self) -> Kind {
        match self {
            Projection::Customer(_) => Kind::Customer,
            Projection::Visit(_) => Kind::Visit,
            Projection::Comment(_) => Kind::Comment,
        }
    }

    /// Who owns the fact; none for a card.
    pub fn author(&self) -> Option<PersonId> {
        match self {
            Projection::Customer(_) => None,
            Projection::Visit(visit) => Some(visit.author),
            Projection::Comment(comment) => Some(comment.author),
        }
    }

    /// When the document was made, as its writer's device says.
    pub fn recorded(&self) -> Option<Recorded> {
        match self {
            Projection::Customer(customer) => customer.recorded,
            Projection::Visit(visit) => visit.recorded,
            Projection::Comment(comment) => comment.recorded,
        }
    }

    /// The card's short form, if it is a card's.
    pub fn customer(&self) -> Option<&CustomerProjection> {
        match self {
            Projection::Customer(customer) => Some(customer),
            Projection::Visit(_) | Projection::Comment(_) => None,
        }
    }

    /// The visit's short form, if it is a visit's.
    pub fn visit(&self) -> Option<&VisitProjection> {
        match self {
            Projection::Visit(visit) => Some(visit),
            Projection::Customer(_) | Projection::Comment(_) => None,
        }
    }
}

impl CustomerProjection {
    fn of(document: &mut Document) -> CustomerProjection {
        let contacts = document.records_without_origin("contacts");
        let phones = document.records_without_origin("phones");
        let mut numbers: Vec<String> =
            phones.iter().filter_map(|phone| phone.text("number")).map(digits).collect();
        numbers.extend(contacts.iter().filter_map(|contact| contact.text("phone")).map(digits));
        numbers.retain(|number| !number.is_empty());
        order::sort(&mut numbers);
        numbers.dedup();
        let aliases = document.records_without_origin("aliases");
        CustomerProjection {
            name: document.text_of("name"),
            short_name: document.text_of("short_name"),
            aliases: aliases.iter().filter_map(|alias| alias.text("name")).map(str::to_owned).collect(),
            contacts: count(contacts.iter().filter(|contact| contact.text("name").is_some())),
            phones: numbers,
            phones_active: count(phones.iter().filter(|phone| is_active_phone(phone)))
                + count(contacts.iter().filter(|contact| contact.text("phone").is_some())),
            level: document.text_of("level"),
            city: document.text_of("city"),
            district: document.text_of("district"),
            credit_code: document.text_of("credit_code"),
            clashes: document.clashing_paths().len() as u32,
            recorded: document.recorded(),
        }
    }

    /// What lists show as the customer's name.
    pub fn display_name(&self) -> &str {
        self.name.as_deref().or(self.short_name.as_deref()).unwrap_or_default()
    }

    /// What is missing for acceptance (R3), as field names: `name`, `contact`, `phone`.
    pub fn missing(&self) -> Vec<&'static str> {
        let mut missing = Vec::new();
        if self.name.is_none() {
            missing.push("name");
        }
        if self.contacts == 0 {
            missing.push("contact");
        }
        if self.phones_active == 0 {
            missing.push("phone");
        }
        missing
    }
}

impl VisitProjection {
    fn of(document: &mut Document) -> Option<VisitProjection> {
        let record = document.text_of("record").unwrap_or_default();
        Some(VisitProjection {
            customer: document.customer()?,
            author: document.author()?,
            at: took_place(document)?,
            recorded: document.recorded(),
            visit_kind: document.text_of("visit_kind"),
            excerpt: excerpt(&record),
            result: document.text_of("result"),
            void: document.is_void(),
            edited_after_void: document.is_edited_after_void(),
            missing: missing_in_visit(document),
            next_actions: open_actions(document),
            quotes: document.record_count("quotes") as u32,
            photos: photo_files(document),
            level_after: document.text_of("level_after"),
            import_key: document.text_of("import_key"),
        })
    }
}

impl CommentProjection {
    fn of(document: &mut Document) -> Option<CommentProjection> {
        Some(CommentProjection {
            customer: document.customer()?,
            author: document.author()?,
            about: document.about(),
            recorded: document.recorded(),
            excerpt: excerpt(&document.text_of("text").unwrap_or_default()),
        })
    }
}

/// When a fact took place: arrived, else as stated, else when it was recorded.
pub fn took_place(document: &Document) -> Option<StatedTime> {
    let stated = ["arrived", "at"].into_iter().find_map(|key| document.text_of(key)?.parse().ok());
    stated.or_else(|| document.recorded().map(recorded_as_stated))
}

/// A recorded time as a stated one, in the person's own time zone.
pub fn recorded_as_stated(recorded: Recorded) -> StatedTime {
    let text = recorded.at.to_iso(recorded.offset_minutes);
    text.parse().unwrap_or(StatedTime::Day(chrono::NaiveDate::default()))
}

/// The fields that a complete visit has and this one lacks (待补). A visit is saved without them all the same.
pub fn missing_in_visit(document: &Document) -> Vec<String> {
    let mut missing = Vec::new();
    if document.text_of("visit_kind").is_none() {
        missing.push("visit_kind".to_owned());
    }
    if document.text_of("record").is_none() {
        missing.push("record".to_owned());
    }
    if document.text_of("result").is_none() {
        missing.push("result".to_owned());
    }
    if document.record_count("people_met") == 0 {
        missing.push("people_met".to_owned());
    }
    if document.record_count("next_actions") == 0 && document.text_of("result").as_deref() == Some("继续跟进")
    {
        missing.push("next_actions".to_owned());
    }
    missing
}

fn open_actions(document: &mut Document) -> Vec<NextAction> {
    if document.is_void() {
        return Vec::new();
    }
    let actions = document.records_without_origin("next_actions");
    let mut open: Vec<_> = actions
        .iter()
        .filter(|action| !action.is("done"))
        .map(|action| NextAction {
            text: action.text("text").map(str::to_owned),
            day: action.text("day").and_then(|day| day.parse().ok()),
        })
        .filter(|action| action.text.is_some() || action.day.is_some())
        .collect();
    order::sort_by_key(&mut open, |action| action.day.map_or(i64::MAX, |day| day.begins().0));
    open
}

fn photo_files(document: &mut Document) -> Vec<String> {
    let photos = document.records_without_origin("photos");
    photos.iter().filter_map(|photo| photo.text("sha256")).map(str::to_owned).collect()
}

/// Whether a phone's record has a number and is not retired.
pub fn is_active_phone(phone: &RecordEntry) -> bool {
    phone.text("number").is_some() && phone.text("state") != Some("retired")
}

/// The digits of a phone number, full-width ones included, without China's country code.
pub fn digits(number: &str) -> String {
    let digits: String = number
        .chars()
        .filter_map(|char| match char {
            '0'..='9' => Some(char),
            '０'..='９' => char::from_digit(char as u32 - '０' as u32, 10),
            _ => None,
        })
        .collect();
    for prefix in ["0086", "86"] {
        match digits.strip_prefix(prefix) {
            Some(rest) if rest.len() == 11 && rest.starts_with('1') => return rest.to_owned(),
            _ => {}
        }
    }
    digits
}

/// The beginning of a text, on one line.
pub fn excerpt(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(EXCERPT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn count<T>(items: impl Iterator<Item = T>) -> u32 {
    items.count() as u32
}
