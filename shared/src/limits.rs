//! Every limit with its unit, its arithmetic and what happens beyond it. A limit that both sides must
//! agree on stands here and nowhere else.

/// Bytes of one change chunk. A visit with every field filled and 8,000 characters of record is about
/// 30 kB; twice that leaves room. Beyond it: `Rule::ChangeTooLarge`.
pub const CHANGE_BYTES_MAX: usize = 64 * 1024;

/// Operations in one change. Text is one operation a character: 8,000 characters are 8,000 operations,
/// so long texts are cut into several changes by the editor. Beyond it: `Rule::ChangeTooLarge`.
pub const CHANGE_OPS_MAX: u64 = 2_000;

/// Items in one push. 64 changes of 300 bytes are 19 kB: a frame on a weak signal takes a second.
pub const BATCH_ITEMS_MAX: usize = 64;

/// Pushes of one connection that may be unanswered, as a device counts them; the hub ends a connection that has
/// more than one above it waiting. While one is judged the next ones travel; more would only wait.
pub const PUSHES_IN_FLIGHT_MAX: usize = 3;

/// Bytes of one frame from a device. Four full changes. A larger frame ends the connection.
pub const FRAME_BYTES_MAX: usize = 256 * 1024;

/// Bytes of one frame from the server: one page, which may be a single document at its limit that does
/// not deflate, and some room. A larger frame ends the connection.
pub const SERVER_FRAME_BYTES_MAX: usize = DOCUMENT_BYTES_MAX + 64 * 1024;

/// Bytes a deflated page may grow to: a full page and one document at its limit. More is a bug or an
/// attack, and the phone drops the connection.
pub const PAGE_INFLATED_BYTES_MAX: usize = 2 * PAGE_BYTES_MAX + DOCUMENT_BYTES_MAX;

/// Bytes of feed items in one page before deflating; deflated they are a quarter of that, or 2 s on a weak
/// signal. One item may exceed it alone (a large document).
pub const PAGE_BYTES_MAX: usize = 256 * 1024;

/// Bytes of a saved document. Beyond it: `Rule::DocumentTooLarge`.
pub const DOCUMENT_BYTES_MAX: usize = 1024 * 1024;

/// Changes in one document: a card edited five times a day for five years has 9,000.
pub const DOCUMENT_CHANGES_MAX: u64 = 10_000;

/// Nesting of maps inside a document, the root being 1.
pub const DOCUMENT_DEPTH_MAX: usize = 6;

/// Entries in one map of records (phones, contacts, quotes …) of a document.
pub const RECORDS_MAX: usize = 500;

/// Characters of one long text.
pub const TEXT_CHARS_MAX: usize = 20_000;

/// Characters of one short text where the schema says nothing else.
pub const WORD_CHARS_MAX: usize = 200;

/// Dependencies named by one change: a merge of that many concurrent branches is never honest.
pub const CHANGE_DEPS_MAX: usize = 64;

/// Other actors named by one change.
pub const CHANGE_ACTORS_MAX: usize = 256;

/// Documents that one device holds: 2,000 customers with a dozen visits each. Lists keep a row of about 1 KiB for
/// each in memory. The phone alone knows what it holds, so it alone judges: beyond it, it takes no new document
/// (`Rule::DeviceFull`), and goes on receiving what it is granted.
pub const DEVICE_DOCUMENTS_MAX: usize = 25_000;

/// Live sockets of one person. The oldest is closed when one more comes.
pub const PERSON_SOCKETS_MAX: usize = 5;

/// Memory of an admission worker: automerge needs about 40 bytes of memory per byte of document;
/// 1 MiB of document is 40 MiB, and a factor of ten for hostile shapes.
pub const ADMISSION_MEMORY_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Wall time of one admission batch before the worker is killed: 64 changes cost 12 ms.
pub const ADMISSION_MS_MAX: u64 = 3_000;

/// How far a device's corrected clock may run ahead of the server's before its claim is suspect.
pub const CLOCK_AHEAD_MS_MAX: i64 = 5 * 60_000;

/// First pause before the phone dials again, and the largest. Doubles with full jitter.
pub const REDIAL_DELAY_MS_MIN: u64 = 500;
/// See [`REDIAL_DELAY_MS_MIN`].
pub const REDIAL_DELAY_MS_MAX: u64 = 60_000;

/// Silence after which the phone sends a ping, and after which it gives the connection up.
pub const PING_AFTER_MS: u64 = 25_000;
/// See [`PING_AFTER_MS`].
pub const SILENCE_MS_MAX: u64 = 60_000;
