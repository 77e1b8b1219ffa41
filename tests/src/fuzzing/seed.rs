//! What fuzzing begins with: a card with the changes that make it, and for each target an input of nearly 64 KiB,
//! which mutations of small ones would not find. Knows nothing of what may not happen.

use std::io::{Cursor as Seekable, Write as _};
use std::sync::LazyLock;

use automerge::transaction::{CommitOptions, Transactable};
use automerge::{AutoCommit, ObjType, ROOT};
use shared::document::{Document, Kind, Writer};
use shared::edit::{Edit, Patch};
use shared::id::{ActorId, DocId, IncarnationId, PersonId, RequestId, Scope};
use shared::ledger::Command;
use shared::ledger::people::Access;
use shared::protocol::{
    ClientFrame, Cursor, Item, PROTOCOL_VERSION, Page, PageItems, Push, PushItem, ServerFrame, Welcome,
    encode,
};
use shared::time::{Quality, Recorded, UtcMillis};

use crate::world::clock::EPOCH_MS;

pub(super) const PERSON: PersonId = PersonId([1; 16]);
/// A colleague.
pub(super) const OTHER: PersonId = PersonId([8; 16]);
pub(super) const INCARNATION: IncarnationId = IncarnationId([9; 16]);
pub(super) const CUSTOMER: DocId = DocId([3; 16]);
pub(super) const SCOPE: Scope = Scope::Customer(CUSTOMER);
const ACTOR: ActorId = ActorId([4; 16]);

/// Tags of the large change. With 200 characters of three bytes each they are 60,000 bytes, below
/// `limits::CHANGE_BYTES_MAX` by what keys and columns add.
const TAGS: usize = 100;

pub(super) fn recorded() -> Recorded {
    let at = UtcMillis(EPOCH_MS);
    Recorded { at, device: at, quality: Quality::Ok, offset_minutes: 480 }
}

/// A card as it was made and saved, the change that made it, one that edits it, and one as large as a change may be.
pub(super) struct Card {
    pub(super) saved: Vec<u8>,
    pub(super) created: Vec<u8>,
    pub(super) edited: Vec<u8>,
    pub(super) large: Vec<u8>,
}

impl Card {
    /// The card, made once: most of an input's time would go into making the large change.
    pub(super) fn get() -> &'static Card {
        static CARD: LazyLock<Card> = LazyLock::new(Card::new);
        &CARD
    }

    fn new() -> Card {
        let writer = Writer { person: PERSON, actor: ACTOR, recorded: recorded() };
        let fields = Patch::from([("name".into(), "Works".into()), ("remarks".into(), "long text".into())]);
        let (mut document, mut created) =
            Document::create(&writer, &Edit::CreateCustomer { customer: CUSTOMER, fields }).expect("valid");
        let saved = document.save();
        let fields = Patch::from([
            ("remarks".into(), "another text".into()),
            ("phones/0123456789abcdef/number".into(), "13800138000".into()),
        ]);
        let edit = Edit::EditCustomer { customer: CUSTOMER, fields };
        let mut edited = document.edit(&writer, &edit).expect("valid");
        let large = tagged(&saved);
        Card { saved, created: created.remove(0).bytes, edited: edited.remove(0).bytes, large }
    }
}

/// The change that puts many long tags on a card, made with Automerge itself: an editor of ours would cut it in two.
fn tagged(saved: &[u8]) -> Vec<u8> {
    let mut document = AutoCommit::load(saved).expect("just saved");
    document.set_actor(automerge::ActorId::from(&ACTOR.0[..]));
    let tags = document.put_object(ROOT, "tags", ObjType::Map).expect("the root is a map");
    for number in 0..TAGS {
        let tag = document.put_object(&tags, format!("{number:016x}"), ObjType::Map).expect("a map");
        document.put(&tag, "name", "试样".repeat(100)).expect("a map");
    }
    document.commit_with(CommitOptions::default().with_time(EPOCH_MS));
    document.get_last_local_change().expect("just made").raw_bytes().to_vec()
}

/// Pieces as targets cut them: two bytes of length, then so many bytes.
fn joined(pieces: &[Vec<u8>]) -> Vec<u8> {
    let length = |piece: &[u8]| u16::try_from(piece.len()).expect("a piece fits into its length");
    pieces.iter().flat_map(|piece| [&length(piece).to_le_bytes()[..], piece].concat()).collect()
}

/// A byte that says what a piece is, and the piece.
fn chosen(choice: u8, piece: &[u8]) -> Vec<u8> {
    [&[choice], piece].concat()
}

pub(super) fn pushed(batch: u64, change: Vec<u8>) -> Vec<u8> {
    let item = PushItem::Change {
        doc: CUSTOMER,
        kind: Kind::Customer,
        scope: SCOPE,
        change: change.into(),
        recorded: recorded(),
    };
    encode(&ClientFrame::Push(Push { batch, items: vec![item] }))
}

pub(super) fn welcome() -> Vec<u8> {
    encode(&ServerFrame::Welcome(Welcome {
        protocol: PROTOCOL_VERSION,
        time: UtcMillis(EPOCH_MS),
        incarnation: INCARNATION,
        settings: None,
    }))
}

pub(super) fn page(items: Vec<Item>) -> Vec<u8> {
    let page = Page { cursor: Cursor(vec![1].into()), more: false, items: PageItems::Plain(items) };
    encode(&ServerFrame::Page(page))
}

pub(super) fn granted() -> Item {
    Item::Granted { scope: SCOPE, access: Access::Write, full: true }
}

pub(super) fn changes(changes: Vec<Vec<u8>>) -> Item {
    Item::Changes {
        doc: CUSTOMER,
        kind: Kind::Customer,
        scope: SCOPE,
        changes: changes.into_iter().map(Into::into).collect(),
        received: UtcMillis(EPOCH_MS),
    }
}

/// The parts of a workbook besides its one worksheet: what the archive holds, by name.
const PARTS: [(&str, &str); 4] = [
    (
        "_rels/.rels",
        r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#,
    ),
    (
        "xl/workbook.xml",
        r#"<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="S" sheetId="1" r:id="rId1"/></sheets></workbook>"#,
    ),
    (
        "xl/_rels/workbook.xml.rels",
        r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="rId2" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/sharedStrings" Target="sharedStrings.xml"/></Relationships>"#,
    ),
    (
        "xl/sharedStrings.xml",
        r#"<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" count="2" uniqueCount="2"><si><t>客户名称</t></si><si><t>第一次访谈</t></si></sst>"#,
    ),
];

/// A workbook (.xlsx) whose one worksheet is this XML, or what claims to be: the archive around it is whole, so that
/// mutations reach the cells.
pub(super) fn workbook(worksheet: &[u8]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Seekable::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let parts = PARTS.iter().map(|(name, part)| (*name, part.as_bytes()));
    for (name, part) in parts.chain([("xl/worksheets/sheet1.xml", worksheet)]) {
        archive.start_file(name, stored).expect("memory");
        archive.write_all(part).expect("memory");
    }
    archive.finish().expect("memory").into_inner()
}

/// The push of a request to move the card.
fn asked(batch: u64) -> Vec<u8> {
    let command = Command::Transfer { customer: CUSTOMER, to: OTHER, reason: None };
    let item = PushItem::Request { id: RequestId([6; 16]), command, recorded: recorded() };
    encode(&ClientFrame::Push(Push { batch, items: vec![item] }))
}

/// The large input of each target.
pub(super) fn large() -> [(&'static str, Vec<u8>); 8] {
    let Card { created, large, .. } = Card::get();
    let line = format!("东风(内资),25/11/08 {},送样\n", "看设备".repeat(30));
    [
        ("wire_parse", large.clone()),
        ("admission", chosen(4, large)),
        ("client_frame", pushed(1, large.clone())),
        (
            "session",
            joined(&[chosen(200, created), chosen(200, large), chosen(0, &asked(2)), chosen(0, &asked(3))]),
        ),
        (
            "server_page",
            joined(&[welcome(), page(vec![granted(), changes(vec![created.clone(), large.clone()])])]),
        ),
        ("server_apply", joined(&[chosen(3, large)])),
        ("stored_row", joined(&[super::large_row(large.clone())])),
        ("sheet", format!("客户名称,第一次访谈,对策\n{}", line.repeat(200)).into_bytes()),
    ]
}
