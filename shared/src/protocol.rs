//! Frames between a device and the hub, version 1. CBOR: every struct is an array in field order, every
//! enum an array of its number and its fields. `docs/protocol.md` describes them for other clients.
//! Knows nothing of sockets: the same frames travel over WebSocket and HTTP.

use std::io::Read;

use flate2::Compression;
use flate2::read::{DeflateDecoder, DeflateEncoder};
use minicbor::bytes::ByteVec;

use crate::cbor::{Decode, Encode};
pub use crate::document::Digest;
use crate::document::Kind;
use crate::id::{ActorId, DocId, IncarnationId, PersonId, RequestId, Scope, Seq};
use crate::ledger::{Command, LedgerEvent};
use crate::limits;
use crate::refusal::Refusal;
use crate::settings::PhoneSettings;
use crate::time::{Recorded, UtcMillis};

/// The version of this file.
pub const PROTOCOL_VERSION: u16 = 1;

/// A place in a person's feed. Opaque to the device: kept and sent back as it came.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Cursor(#[n(0)] pub ByteVec);

/// What a device tells about its unsent work; the assistant sees it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode, serde::Serialize, serde::Deserialize,
)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct PendingCounts {
    /// Edits and requests that the server has not acknowledged.
    #[n(0)]
    pub edits: u32,
    /// Photos that the server has not verified.
    #[n(1)]
    pub photos: u32,
    /// Edits that the server refused and the person has not dealt with.
    #[n(2)]
    pub refused: u32,
}

/// From a device to the hub.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum ClientFrame {
    /// The first frame of a connection (after the ticket).
    #[n(0)]
    Hello(#[n(0)] Hello),
    /// Work to keep. Answered by [`ServerFrame::Ack`] with one result an item, in order.
    #[n(1)]
    Push(#[n(0)] Push),
    /// Asks for the page after the cursor; sent after a page that said there is more.
    #[n(2)]
    Pull(#[n(0)] Cursor),
    /// A sign of life with fresh counts and the digest (see [`Hello::digest`]).
    #[n(3)]
    Ping(#[n(0)] PendingCounts, #[n(1)] Option<Digest>),
    /// Answer to [`ServerFrame::WantDigests`]: the digest of every scope that the device holds.
    #[n(4)]
    Digests(#[n(0)] Vec<(Scope, Digest)>),
}

/// The first frame of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Hello {
    /// [`PROTOCOL_VERSION`] of the device's software.
    #[n(0)]
    pub protocol: u16,
    /// [`crate::document::SCHEMA_VERSION`] of the device's software.
    #[n(1)]
    pub schema: u16,
    /// The single-use ticket that authenticates the socket; none over HTTP, where the bearer token does.
    #[n(2)]
    pub ticket: Option<ByteVec>,
    /// The store that the cursor belongs to; none on the first contact.
    #[n(3)]
    pub incarnation: Option<IncarnationId>,
    /// Where the device's copy ends; none asks for everything.
    #[n(4)]
    pub cursor: Option<Cursor>,
    /// What is unsent.
    #[n(5)]
    pub pending: PendingCounts,
    /// XOR of the digests of all scopes held, of acknowledged heads only; none while a first sync is
    /// incomplete.
    #[n(6)]
    pub digest: Option<Digest>,
    /// The name and version of the software, such as `daybook/0.1.0`.
    #[n(7)]
    pub software: String,
}

/// Work to keep.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Push {
    /// Chosen by the device; comes back in the answer.
    #[n(0)]
    pub batch: u64,
    /// At most [`limits::BATCH_ITEMS_MAX`].
    #[n(1)]
    pub items: Vec<PushItem>,
}

/// One item of a push. Idempotent: a change by its hash, a request by its id, a release by its scope.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum PushItem {
    /// One Automerge change chunk, uncompressed.
    #[n(0)]
    Change {
        /// The document.
        #[n(0)]
        doc: DocId,
        /// Its kind; fixed by the document's first change.
        #[n(1)]
        kind: Kind,
        /// Its scope; fixed by the document's first change.
        #[n(2)]
        scope: Scope,
        /// The chunk.
        #[n(3)]
        change: ByteVec,
        /// When the edit was recorded.
        #[n(4)]
        recorded: Recorded,
    },
    /// A ledger command.
    #[n(1)]
    Request {
        /// What makes it idempotent.
        #[n(0)]
        id: RequestId,
        /// The command.
        #[n(1)]
        command: Command,
        /// When it was asked.
        #[n(2)]
        recorded: Recorded,
    },
    /// "My outbox holds nothing more of this scope, which you took from me: may I drop my copy?" (S2)
    #[n(2)]
    Release {
        /// The scope.
        #[n(0)]
        scope: Scope,
    },
}

/// From the hub to a device.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum ServerFrame {
    /// Answer to [`ClientFrame::Hello`]; the first page follows at once.
    #[n(0)]
    Welcome(#[n(0)] Welcome),
    /// Answer to [`ClientFrame::Push`], sent after the commit is on disk.
    #[n(1)]
    Ack(#[n(0)] Ack),
    /// A part of the feed.
    #[n(2)]
    Page(#[n(0)] Page),
    /// Answer to [`ClientFrame::Ping`], with the server's time.
    #[n(3)]
    Pong(#[n(0)] UtcMillis),
    /// The digest differs: send [`ClientFrame::Digests`], and what differs is sent again whole.
    #[n(4)]
    WantDigests,
    /// The connection ends; why, and whether dialling again makes sense.
    #[n(5)]
    Goodbye(#[n(0)] Goodbye),
}

/// Answer to a hello.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Welcome {
    /// The highest protocol version that the server speaks.
    #[n(0)]
    pub protocol: u16,
    /// The server's time, from which the device learns its clock's offset.
    #[n(1)]
    pub time: UtcMillis,
    /// The server's present incarnation. If it differs from the device's, the device drops its cursor and
    /// offers again everything of its own (S14).
    #[n(2)]
    pub incarnation: IncarnationId,
    /// What the organisation has set; none if the server cannot say: the device goes on with what it knows.
    #[n(3)]
    pub settings: Option<PhoneSettings>,
}

/// Answer to a push.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Ack {
    /// The push's batch number.
    #[n(0)]
    pub batch: u64,
    /// The server's time of receipt.
    #[n(1)]
    pub received: UtcMillis,
    /// One an item, in order.
    #[n(2)]
    pub results: Vec<ItemResult>,
}

/// What became of one pushed item.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum ItemResult {
    /// On disk at this place in the log. For a release: the copy may be dropped.
    #[n(0)]
    Accepted(#[n(0)] Seq),
    /// Was on disk already, from this or an earlier connection; of a change with when the document's first
    /// change was received, which everybody else goes by.
    #[n(1)]
    Known(#[n(0)] Seq, #[n(1)] Option<UtcMillis>),
    /// A rule said no. If [`crate::refusal::Rule::is_passing`], offer it again later.
    #[n(2)]
    Refused(#[n(0)] Refusal),
    /// On disk, but not merged: the late work with this id waits for a decision (S2).
    #[n(3)]
    Held(#[n(0)] Seq),
    /// Not judged, because an earlier item of the same document in the same push was refused or held:
    /// rebase and offer again.
    #[n(4)]
    Skipped,
}

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Goodbye {
    /// The ticket or token is unknown, used or expired: log in or refresh, then dial again.
    #[n(0)]
    Unauthenticated,
    /// The device or person was revoked: do not dial again.
    #[n(1)]
    Revoked,
    /// The frame could not be read or was out of order.
    #[n(2)]
    Malformed,
    /// The device's protocol is older than the server accepts: update the software.
    #[n(3)]
    TooOld,
    /// The server is shutting down: dial again.
    #[n(4)]
    ShuttingDown,
    /// Another socket of the same person took this one's place.
    #[n(5)]
    Superseded,
    /// The device sends faster than it reads, or too much at once: dial again later.
    #[n(6)]
    Overloaded,
}

/// A part of the feed.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Page {
    /// The place after this page.
    #[n(0)]
    pub cursor: Cursor,
    /// Whether the device should pull again at once.
    #[n(1)]
    pub more: bool,
    /// The items, plain or deflated.
    #[n(2)]
    pub items: PageItems,
}

/// The items of a page.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum PageItems {
    /// As they are.
    #[n(0)]
    Plain(#[n(0)] Vec<Item>),
    /// The CBOR of `Vec<Item>`, deflated (RFC 1951).
    #[n(1)]
    Deflated(#[n(0)] ByteVec),
}

/// One item of the feed.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Item {
    /// From here on the device holds this scope. `full`: whatever it held of the scope before is replaced by
    /// what follows, except unsent work.
    #[n(0)]
    Granted {
        /// The scope.
        #[n(0)]
        scope: Scope,
        /// What the person may do there.
        #[n(1)]
        access: crate::ledger::people::Access,
        /// Whether everything of the scope follows.
        #[n(2)]
        full: bool,
    },
    /// A whole document.
    #[n(1)]
    Snapshot {
        /// The document.
        #[n(0)]
        doc: DocId,
        /// Its kind.
        #[n(1)]
        kind: Kind,
        /// Its scope.
        #[n(2)]
        scope: Scope,
        /// Automerge's saved form.
        #[n(3)]
        bytes: ByteVec,
        /// When the server received the document's first change.
        #[n(4)]
        received: UtcMillis,
    },
    /// New changes of a document that the device holds.
    #[n(2)]
    Changes {
        /// The document.
        #[n(0)]
        doc: DocId,
        /// Its kind.
        #[n(1)]
        kind: Kind,
        /// Its scope.
        #[n(2)]
        scope: Scope,
        /// The chunks, in an order in which they can be applied.
        #[n(3)]
        changes: Vec<ByteVec>,
        /// When the server received the first change of the document.
        #[n(4)]
        received: UtcMillis,
    },
    /// Ledger events of a scope, in order.
    #[n(3)]
    Events(#[n(0)] Vec<LedgerEvent>),
    /// Which person each actor in the following items belongs to.
    #[n(4)]
    Actors(#[n(0)] Vec<(ActorId, PersonId)>),
    /// The grant ended. The device keeps its copy until its outbox holds nothing of the scope and a release
    /// was accepted, then drops it (S2).
    #[n(5)]
    Removed {
        /// The scope.
        #[n(0)]
        scope: Scope,
    },
    /// The document was erased for good and never comes back.
    #[n(6)]
    Erased {
        /// The document.
        #[n(0)]
        doc: DocId,
    },
}

/// Says that bytes are no frame of this protocol.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Longer than its direction's limit.
    #[error("frame of {0} bytes exceeds the limit")]
    TooLarge(usize),
    /// Not the CBOR of a frame, or bytes follow it.
    #[error("malformed frame")]
    Malformed,
    /// The deflated items are damaged or grow beyond [`limits::PAGE_INFLATED_BYTES_MAX`].
    #[error("malformed page")]
    MalformedPage,
}

/// Encodes a frame.
pub fn encode<T: Encode<()>>(frame: &T) -> Vec<u8> {
    minicbor::to_vec(frame).expect("writing to a vector cannot fail")
}

/// Decodes a frame that a device sent.
///
/// # Errors
/// `TooLarge` beyond [`limits::FRAME_BYTES_MAX`], `Malformed`.
pub fn decode_client_frame(bytes: &[u8]) -> Result<ClientFrame, FrameError> {
    decode(bytes, limits::FRAME_BYTES_MAX)
}

/// Decodes a frame that the server sent.
///
/// # Errors
/// `TooLarge` beyond [`limits::SERVER_FRAME_BYTES_MAX`], `Malformed`.
pub fn decode_server_frame(bytes: &[u8]) -> Result<ServerFrame, FrameError> {
    decode(bytes, limits::SERVER_FRAME_BYTES_MAX)
}

/// Cuts a CBOR sequence (RFC 8742) into its items without understanding them; none if it is no sequence.
pub fn cut_sequence(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let mut decoder = minicbor::Decoder::new(bytes);
        decoder.skip().ok()?;
        let (frame, rest) = bytes.split_at(decoder.position());
        frames.push(frame);
        bytes = rest;
    }
    Some(frames)
}

fn decode<'b, T: Decode<'b, ()>>(bytes: &'b [u8], limit: usize) -> Result<T, FrameError> {
    if bytes.len() > limit {
        return Err(FrameError::TooLarge(bytes.len()));
    }
    let mut decoder = minicbor::Decoder::new(bytes);
    let frame = decoder.decode().map_err(|_| FrameError::Malformed)?;
    if decoder.position() == bytes.len() { Ok(frame) } else { Err(FrameError::Malformed) }
}

/// Bytes that deflating must save to be worth the phone's inflating.
const DEFLATED_SAVING_MIN: usize = 64;

impl PageItems {
    /// Packs items: deflated as a whole where that is smaller.
    pub fn pack(items: Vec<Item>) -> Self {
        let plain = encode(&items);
        // Nothing can be gained. Every push makes such a page, for the phone's own work.
        if plain.len() <= DEFLATED_SAVING_MIN {
            return PageItems::Plain(items);
        }
        let mut deflated = Vec::new();
        let mut encoder = DeflateEncoder::new(plain.as_slice(), Compression::new(6));
        let read = encoder.read_to_end(&mut deflated);
        if read.is_ok() && deflated.len() + DEFLATED_SAVING_MIN < plain.len() {
            PageItems::Deflated(deflated.into())
        } else {
            PageItems::Plain(items)
        }
    }

    /// The items.
    ///
    /// # Errors
    /// `MalformedPage`.
    pub fn unpack(self) -> Result<Vec<Item>, FrameError> {
        let deflated = match self {
            PageItems::Plain(items) => return Ok(items),
            PageItems::Deflated(bytes) => bytes,
        };
        let limit = limits::PAGE_INFLATED_BYTES_MAX as u64;
        let mut plain = Vec::new();
        let mut inflater = DeflateDecoder::new(deflated.as_slice()).take(limit + 1);
        inflater.read_to_end(&mut plain).map_err(|_| FrameError::MalformedPage)?;
        if plain.len() as u64 > limit {
            return Err(FrameError::MalformedPage);
        }
        minicbor::decode(&plain).map_err(|_| FrameError::MalformedPage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::Rule;
    use crate::time::Quality;

    fn diagnostic<T: Encode<()>>(frame: &T) -> String {
        minicbor::display(&encode(frame)).to_string()
    }

    fn recorded() -> Recorded {
        Recorded { at: UtcMillis(5), device: UtcMillis(4), quality: Quality::Ok, offset_minutes: 480 }
    }

    /// SYNC-1: frames have the bytes that docs/protocol.md describes.
    #[test]
    fn frames_of_a_device_have_the_described_bytes() {
        let id = DocId([1; 16]);
        let hello = ClientFrame::Hello(Hello {
            protocol: 1,
            schema: 1,
            ticket: Some(vec![7, 8].into()),
            incarnation: None,
            cursor: Some(Cursor(vec![9].into())),
            pending: PendingCounts { edits: 3, photos: 2, refused: 0 },
            digest: None,
            software: "daybook/0".to_owned(),
        });
        assert_eq!(
            diagnostic(&hello),
            "[0, [[1, 1, h'07 08', null, h'09', [3, 2, 0], null, \"daybook/0\"]]]"
        );
        let push = ClientFrame::Push(Push {
            batch: 1,
            items: vec![
                PushItem::Change {
                    doc: id,
                    kind: Kind::Visit,
                    scope: Scope::Customer(id),
                    change: vec![0x85].into(),
                    recorded: recorded(),
                },
                PushItem::Release { scope: Scope::Organisation },
            ],
        });
        let hex = "h'01 01 01 01 01 01 01 01 01 01 01 01 01 01 01 01'";
        assert_eq!(
            diagnostic(&push),
            format!("[1, [[1, [[0, [{hex}, 1, [0, [{hex}]], h'85', [5, 4, 0, 480]]], [2, [[2, []]]]]]]]")
        );
        assert_eq!(diagnostic(&ClientFrame::Pull(Cursor(vec![9].into()))), "[2, [h'09']]");
    }

    /// SYNC-1
    #[test]
    fn frames_of_the_server_have_the_described_bytes() {
        let ack = ServerFrame::Ack(Ack {
            batch: 1,
            received: UtcMillis(6),
            results: vec![
                ItemResult::Accepted(Seq(9)),
                ItemResult::Refused(Rule::NotFound.into()),
                ItemResult::Skipped,
            ],
        });
        assert_eq!(diagnostic(&ack), "[1, [[1, 6, [[0, [9]], [2, [[3]]], [4, []]]]]]");
        assert_eq!(diagnostic(&ServerFrame::WantDigests), "[4, []]");
        assert_eq!(diagnostic(&ServerFrame::Goodbye(Goodbye::Overloaded)), "[5, [6]]");
        let page = ServerFrame::Page(Page {
            cursor: Cursor(vec![9].into()),
            more: false,
            items: PageItems::Plain(vec![Item::Removed { scope: Scope::Organisation }]),
        });
        assert_eq!(diagnostic(&page), "[2, [[h'09', false, [0, [[[5, [[2, []]]]]]]]]]");
    }

    /// SYNC-2: a frame fills its message exactly and stays within its limit.
    #[test]
    fn what_is_no_frame_is_refused_whole() {
        let mut bytes = encode(&ClientFrame::Pull(Cursor(vec![9].into())));
        assert!(decode_client_frame(&bytes).is_ok());
        bytes.push(0);
        assert!(matches!(decode_client_frame(&bytes), Err(FrameError::Malformed)));
        for end in 0..bytes.len() - 1 {
            assert!(decode_client_frame(&bytes[..end]).is_err(), "a frame cut at {end} was taken");
        }
        let long = vec![0; limits::FRAME_BYTES_MAX + 1];
        assert!(matches!(decode_client_frame(&long), Err(FrameError::TooLarge(_))));
    }

    /// SYNC-3: a deflated page cannot grow without bound.
    #[test]
    fn a_page_that_inflates_beyond_its_limit_is_refused() {
        let plain = vec![0u8; limits::PAGE_INFLATED_BYTES_MAX + 1];
        let mut deflated = Vec::new();
        DeflateEncoder::new(plain.as_slice(), Compression::best())
            .read_to_end(&mut deflated)
            .expect("memory");
        assert!(deflated.len() < 10_000);
        assert!(matches!(PageItems::Deflated(deflated.into()).unpack(), Err(FrameError::MalformedPage)));
    }
}
