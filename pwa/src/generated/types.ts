// The shapes in which the core speaks to screens, made from Rust by `cargo xtask generate`. Not to be edited.

export type Patch = Record<string, Value>;
export type FieldValue = null | boolean | number | string | FieldValue[] | { [key: string]: FieldValue };
export type FieldMap = Record<string, FieldValue>;

/**
 * A document: customer card, visit, comment. Drawn at random by the device that creates it.
 */
export type DocId = string;

/**
 * A person with a login.
 */
export type PersonId = string;

/**
 * One installation of the phone's software, as the server registered it at login.
 */
export type DeviceId = string;

/**
 * What makes a ledger command idempotent: drawn by the device that first issues the command.
 */
export type RequestId = string;

/**
 * The position of one committed thing in the server's log. Strictly increasing, never reused
 * within one incarnation; 0 stands before everything.
 */
export type Seq = number;

/**
 * Milliseconds since 1970-01-01T00:00Z.
 */
export type UtcMillis = number;

/**
 * When something took place, as a person stated it: a day, or a day and time.
 */
export type StatedTime = string;

/**
 * How much a recorded time may be trusted.
 */
export type Quality = "ok" | "estimated" | "suspect";

/**
 * When something was recorded, as the device claims.
 */
export type Recorded = { 
/**
 * The device's clock, corrected by the last known offset to the server's.
 */
at: UtcMillis, 
/**
 * What the device's clock itself showed.
 */
device: UtcMillis, 
/**
 * How much `at` may be trusted.
 */
quality: Quality, 
/**
 * The person's time zone, in minutes east of UTC.
 */
offset_minutes: number, };

/**
 * A rule that refused something. The number in the wire form never changes its meaning.
 */
export type Rule = "change_too_large" | "change_malformed" | "chunk_kind_forbidden" | "not_found" | "erased" | "read_only" | "actor_foreign" | "sequence_gap" | "sequence_reused" | "dependency_unknown" | "author_foreign" | "start_op_absurd" | "not_the_author" | "document_too_large" | "schema_violated" | "unloadable" | "scope_mismatch" | "transferred" | "acceptance_incomplete" | "already_accepted" | "owner_inactive" | "still_owns_customers" | "role_forbidden" | "already_settled" | "already_owner" | "value_invalid" | "already_voided" | "visit_empty" | "store_unavailable" | "device_full" | "access_ended";

/**
 * A named "no", with the field or value it is about where that helps the person.
 */
export type Refusal = { 
/**
 * The rule that said no.
 */
rule: Rule, 
/**
 * The field path or limit it is about; never a value that somebody typed.
 */
about: string | null, };

/**
 * What a person does in the organisation.
 */
export type Role = "rep" | "assistant" | "manager" | "admin";

/**
 * What a grant allows. Ordered: each includes those before it.
 */
export type Access = "read" | "comment" | "write";

/**
 * Where a customer stands in the ledger.
 */
export type CustomerStatus = "pending" | "active";

/**
 * A value of a field.
 */
export type Value = null | boolean | number | string | { 
/**
 * What the editor began with.
 */
base: string, 
/**
 * What the editor ended with.
 */
text: string, };

/**
 * One thing that a person did to documents.
 */
export type Edit = { "type": "create_customer", 
/**
 * The new card's id.
 */
customer: DocId, 
/**
 * Its first values.
 */
fields: Patch, } | { "type": "edit_customer", 
/**
 * The card.
 */
customer: DocId, 
/**
 * What changes.
 */
fields: Patch, } | { "type": "create_visit", 
/**
 * The new visit's id.
 */
visit: DocId, 
/**
 * The customer visited, possibly created offline a minute ago.
 */
customer: DocId, 
/**
 * Its first values.
 */
fields: Patch, } | { "type": "edit_visit", 
/**
 * The visit.
 */
visit: DocId, 
/**
 * What changes.
 */
fields: Patch, } | { "type": "void_visit", 
/**
 * The visit.
 */
visit: DocId, 
/**
 * Why.
 */
reason: string, } | { "type": "create_comment", 
/**
 * The new comment's id.
 */
comment: DocId, 
/**
 * The customer.
 */
customer: DocId, 
/**
 * The visit that it is about.
 */
about: DocId | null, 
/**
 * The words.
 */
text: string, };

/**
 * What a person asks of the ledger. Offline it waits as a request, shown as 申请中.
 */
export type Command = { "type": "accept", 
/**
 * The card.
 */
customer: DocId, } | { "type": "transfer", 
/**
 * The card.
 */
customer: DocId, 
/**
 * The new owner.
 */
to: PersonId, 
/**
 * Why.
 */
reason: string | null, } | { "type": "settle_late", 
/**
 * The card.
 */
customer: DocId, 
/**
 * The late work's id.
 */
late: Seq, 
/**
 * `true` merges the edit, `false` leaves it aside; the bytes stay either way.
 */
apply: boolean, };

/**
 * What a notice tells.
 */
export type NoticeKind = { "type": "transferred_away", 
/**
 * The new owner.
 */
to: PersonId, } | { "type": "transferred_to_you", 
/**
 * The former owner.
 */
from: PersonId, } | { "type": "visit_after_transfer", 
/**
 * Who visited.
 */
person: PersonId, 
/**
 * The visit.
 */
visit: DocId, } | { "type": "late_edit_held", 
/**
 * Who edited.
 */
person: PersonId, 
/**
 * The late work's id.
 */
late: Seq, };

/**
 * One field that an edit would change, as texts for a person to judge.
 */
export type FieldChange = { 
/**
 * The field's path in the document, such as `address` or `phones/3f…/number`.
 */
field: string, 
/**
 * The value before; none where there was none.
 */
before: string | null, 
/**
 * The value after; none where it is removed.
 */
after: string | null, };

/**
 * The four kinds of unsent work (S2).
 */
export type LateKind = { "type": "fact_before" } | { "type": "fact_after" } | { "type": "card_edit", 
/**
 * What the edit would change.
 */
fields: Array<FieldChange>, } | { "type": "request", 
/**
 * The rule that returned it.
 */
rule: Rule, };

/**
 * What became of late work.
 */
export type LateState = "accepted" | "held" | "applied" | "dismissed" | "returned";

/**
 * Work of a former owner that reached the server after the transfer.
 */
export type LateWork = { 
/**
 * The customer.
 */
customer: DocId, 
/**
 * Who did it.
 */
person: PersonId, 
/**
 * On which device.
 */
device: DeviceId, 
/**
 * The document that it is about: the visit, comment or card.
 */
doc: DocId | null, 
/**
 * When it was recorded.
 */
recorded: Recorded | null, 
/**
 * What it is and what became of it.
 */
kind: LateKind, 
/**
 * Its fate.
 */
state: LateState, };

/**
 * What a device tells about its unsent work; the assistant sees it.
 */
export type PendingCounts = { 
/**
 * Edits and requests that the server has not acknowledged.
 */
edits: number, 
/**
 * Photos that the server has not verified.
 */
photos: number, 
/**
 * Edits that the server refused and the person has not dealt with.
 */
refused: number, };

/**
 * How far a record has come. Ordered.
 */
export type SyncState = "saving" | "local" | "server" | "accepted";

/**
 * Where the connection stands. Decides nothing; shown small.
 */
export type Link = "offline" | "syncing" | "live" | "login_needed" | "revoked";

/**
 * The person of this phone.
 */
export type ProfileView = { 
/**
 * The person.
 */
person: PersonId, 
/**
 * The person's name.
 */
name: string, 
/**
 * The person's role.
 */
role: Role, 
/**
 * The team's name.
 */
team: string | null, };

/**
 * Where the phone stands.
 */
export type StatusView = { 
/**
 * The person; none before the first login.
 */
profile: ProfileView | null, 
/**
 * The connection.
 */
link: Link, 
/**
 * "3 条未传 · 2 张照片".
 */
pending: PendingCounts, 
/**
 * Edits whose store has not confirmed them.
 */
saving: number, 
/**
 * The server's time of the last complete exchange.
 */
last_synced: UtcMillis | null, 
/**
 * How many documents the phone holds.
 */
documents: number, 
/**
 * Server's clock minus the phone's, in milliseconds, as last measured.
 */
clock_offset_ms: number | null, 
/**
 * Whether the first sync is complete.
 */
complete: boolean, 
/**
 * Whether positions may be recorded at arrival and departure (R14).
 */
position_allowed: boolean, };

/**
 * A customer in a list.
 */
export type CustomerRow = { 
/**
 * The card.
 */
id: DocId, 
/**
 * The full name, else the short name, else empty.
 */
name: string, 
/**
 * The short name.
 */
short_name: string | null, 
/**
 * The code once accepted.
 */
code: string | null, 
/**
 * The provisional number; none before the server registered the card.
 */
provisional: string | null, 
/**
 * 待核, 正式; none before the server registered the card.
 */
status: CustomerStatus | null, 
/**
 * The owner.
 */
owner: PersonId | null, 
/**
 * The owner's name.
 */
owner_name: string | null, 
/**
 * Level such as `B`.
 */
level: string | null, 
/**
 * District or city.
 */
district: string | null, 
/**
 * When the last visit took place.
 */
last_visit: StatedTime | null, 
/**
 * The next action's day.
 */
next_action: StatedTime | null, 
/**
 * The next action's words.
 */
next_action_text: string | null, 
/**
 * What is missing for acceptance (R3), as field names: `name`, `contact`, `phone`.
 */
missing: Array<string>, 
/**
 * How many fields hold more than one value.
 */
clashes: number, 
/**
 * How far the least far of its documents has come.
 */
sync: SyncState, 
/**
 * Set when the grant ended and the copy is about to be dropped (S2).
 */
leaving: boolean, 
/**
 * A ledger request about it waits for an answer (申请中).
 */
requested: boolean, };

/**
 * A value of one field with who wrote it and when.
 */
export type ClashValue = { 
/**
 * The value as text.
 */
value: string, 
/**
 * Who wrote it; the name.
 */
person: string, 
/**
 * When its writer's device says it was recorded: ISO 8601 with offset.
 */
recorded_at: string, 
/**
 * Whether this is the one shown in the field itself.
 */
shown: boolean, };

/**
 * A field that two people wrote at once. Writing it again settles it.
 */
export type Clash = { 
/**
 * The field's path.
 */
field: string, 
/**
 * All values; the shown one first.
 */
values: Array<ClashValue>, };

/**
 * A phone number or other way to reach somebody.
 */
export type PhoneView = { 
/**
 * The record's id in the card.
 */
id: string, 
/**
 * The number as typed.
 */
number: string, 
/**
 * What it is: 手机, 办公, 传真 …
 */
label: string | null, 
/**
 * `active` or `retired`.
 */
state: string, 
/**
 * Set when several numbers were added at once to replace one (S3): 待核.
 */
to_check: boolean, 
/**
 * Who added it.
 */
person: string | null, 
/**
 * When it was added: ISO 8601 with offset.
 */
recorded_at: string | null, };

/**
 * One owner of a customer.
 */
export type OwnerView = { 
/**
 * The owner.
 */
person: PersonId, 
/**
 * The owner's name.
 */
name: string, 
/**
 * Since when: ISO 8601.
 */
since: string, };

/**
 * A person in a list.
 */
export type PersonView = { 
/**
 * The person.
 */
id: PersonId, 
/**
 * The name.
 */
name: string, 
/**
 * The role.
 */
role: Role, 
/**
 * The team's name.
 */
team: string | null, 
/**
 * Whether the person may log in.
 */
active: boolean, 
/**
 * How many customers on this phone the person owns.
 */
customers: number, };

/**
 * A next action that is still to be done.
 */
export type OpenAction = { 
/**
 * Its day.
 */
day: StatedTime | null, 
/**
 * Its words.
 */
text: string | null, };

/**
 * One entry of a timeline.
 */
export type TimelineEntry = { 
/**
 * `visit`, `quote`, `sample`, `comment`, `contact`, `phone`, `level`, `owner`, `accepted`, `registered`, `late_edit`.
 */
kind: string, 
/**
 * The document or event that it comes from, and the record inside: stable across runs.
 */
id: string, 
/**
 * The document to open on tap.
 */
doc: DocId | null, 
/**
 * The customer.
 */
customer: DocId, 
/**
 * The customer's name.
 */
customer_name: string, 
/**
 * When it took place, as stated.
 */
at: StatedTime, 
/**
 * When it was recorded: ISO 8601 with offset.
 */
recorded_at: string | null, 
/**
 * The recording's details.
 */
recorded: Recorded | null, 
/**
 * When the server received it: ISO 8601 with offset; none while it is on this phone only.
 */
received_at: string | null, 
/**
 * Who: the server's word where it has spoken.
 */
person: string, 
/**
 * The person's id.
 */
person_id: PersonId | null, 
/**
 * The main text: a visit's record, a comment's words, a change in words of the data (`B → A`).
 */
text: string, 
/**
 * How far it has come.
 */
sync: SyncState, 
/**
 * Marks, in order: `late_upload` (补传), `late_record` (补录), `clock_suspect` (时间待核), `before_transfer`
 * (移交前), `after_transfer` (移交后拜访), `void` (作废), `edited_after_void` (作废后另有修改), `incomplete` (待补).
 */
marks: Array<string>, 
/**
 * Hours between recording and receipt, for 补传.
 */
late_hours: number | null, } & { [detail: string]: FieldValue | Recorded };

/**
 * Late work of a former owner.
 */
export type LateView = { 
/**
 * Its id.
 */
id: Seq, 
/**
 * What it is and what became of it.
 */
work: LateWork, 
/**
 * The customer's name.
 */
customer_name: string, 
/**
 * Who did it.
 */
person: string, 
/**
 * When it arrived: ISO 8601 with offset.
 */
received_at: string, 
/**
 * Whether this phone's person may settle it.
 */
may_settle: boolean, };

/**
 * An edit that the server refused and that the person has not dealt with.
 */
export type RefusedView = { 
/**
 * Its number on this phone.
 */
edit_id: number, 
/**
 * Why.
 */
refusal: Refusal, 
/**
 * Whether the server keeps the edit as a candidate that waits for a decision (S2): not lost, not merged.
 */
held: boolean, 
/**
 * The refusal in Chinese.
 */
zh: string, 
/**
 * The refusal in English.
 */
en: string, 
/**
 * What the person had typed.
 */
edit: Edit, 
/**
 * The customer.
 */
customer: DocId | null, 
/**
 * The customer's name, where known.
 */
customer_name: string, 
/**
 * When it was typed: ISO 8601 with offset.
 */
recorded_at: string, };

/**
 * An edit that the server has not answered.
 */
export type UnsentView = { 
/**
 * Its number on this phone.
 */
edit_id: number, 
/**
 * What it changes.
 */
doc: DocId, 
/**
 * What the person typed; none where it is several edits that a restored server lacks (S14).
 */
edit: Edit | null, 
/**
 * Whether it was with the server before, which was restored and may lack it (S14).
 */
again: boolean, 
/**
 * The customer.
 */
customer: DocId | null, 
/**
 * The customer's name, where known.
 */
customer_name: string, 
/**
 * When it was typed: ISO 8601 with offset.
 */
recorded_at: string, };

/**
 * A ledger request.
 */
export type RequestView = { 
/**
 * Its id.
 */
id: RequestId, 
/**
 * What was asked.
 */
command: Command, 
/**
 * The customer's name.
 */
customer_name: string, 
/**
 * When it was asked: ISO 8601 with offset.
 */
recorded_at: string, 
/**
 * The refusal; none while it waits (申请中).
 */
refusal: Refusal | null, };

/**
 * A notice.
 */
export type NoticeView = { 
/**
 * Its id, for dismissing.
 */
id: Seq, 
/**
 * When: ISO 8601 with offset.
 */
at: string, 
/**
 * The customer.
 */
customer: DocId, 
/**
 * The customer's name.
 */
customer_name: string, 
/**
 * What is told.
 */
notice: NoticeKind, 
/**
 * The other person's name.
 */
person: string | null, };

/**
 * The first screen.
 */
export type HomeView = { 
/**
 * Where the phone stands.
 */
status: StatusView, 
/**
 * The person's own visits of today, newest first.
 */
today: Array<TimelineEntry>, 
/**
 * Customers with a next action due today or earlier, most overdue first; at most 50.
 */
due: Array<CustomerRow>, 
/**
 * The person's customers by last follow-up, newest first; at most 50.
 */
recent: Array<CustomerRow>, 
/**
 * How many customers the phone holds.
 */
customers: number, 
/**
 * How many customers await acceptance.
 */
to_accept: number, 
/**
 * How many late card edits await a decision.
 */
late_held: number, 
/**
 * Notices not dismissed on this phone, newest first; at most 20.
 */
notices: Array<NoticeView>, };

/**
 * One customer card.
 */
export type CustomerCard = { 
/**
 * What lists show.
 */
row: CustomerRow, 
/**
 * The single-valued fields by key, as the schema names them; long texts as text.
 */
fields: FieldMap, 
/**
 * Phones in order of adding; active ones first.
 */
phones: Array<PhoneView>, 
/**
 * Records by collection key (`contacts`, `equipment`, `consumption`, `competitors` …), each with its `id`
 * and its fields, in order of adding.
 */
records: Record<string, FieldMap[]>, 
/**
 * Fields that hold more than one value.
 */
clashes: Array<Clash>, 
/**
 * What the person may do with it.
 */
access: Access, 
/**
 * Owners in order: name and since when (ISO 8601); the last is the present one.
 */
owners: Array<OwnerView>, 
/**
 * Who recorded it first.
 */
first_recorder: string | null, 
/**
 * Late edits by former owners that wait for a decision.
 */
late: Array<LateView>, 
/**
 * The last three visits, newest first (R12).
 */
last_visits: Array<TimelineEntry>, 
/**
 * Next actions that no later visit has dealt with, the earliest day first, those without a day last (R12).
 */
open_actions: Array<OpenAction>, };

/**
 * One visit, for its form.
 */
export type VisitView = { 
/**
 * The visit.
 */
id: DocId, 
/**
 * The customer.
 */
customer: DocId, 
/**
 * The customer's name.
 */
customer_name: string, 
/**
 * Who wrote it.
 */
person: string, 
/**
 * Whether this phone's person wrote it and so may edit it.
 */
mine: boolean, 
/**
 * The single-valued fields by key.
 */
fields: FieldMap, 
/**
 * Records by collection key (`people_met`, `quotes`, `samples`, `next_actions`, `photos` …).
 */
records: Record<string, FieldMap[]>, 
/**
 * Fields still missing (待补).
 */
missing: Array<string>, 
/**
 * The entry as the timeline shows it.
 */
entry: TimelineEntry, };

/**
 * A question to the client machine.
 */
export type Query = { "type": "status" } | { "type": "home" } | { "type": "customers", 
/**
 * The text searched for.
 */
search: string, 
/**
 * How many at most.
 */
limit: number, } | { "type": "customer", 
/**
 * The card.
 */
id: DocId, } | { "type": "timeline", 
/**
 * The customer.
 */
customer: DocId, } | { "type": "visit", 
/**
 * The visit.
 */
id: DocId, } | { "type": "newest", 
/**
 * How many at most.
 */
limit: number, } | { "type": "to_accept" } | { "type": "late" } | { "type": "people" } | { "type": "refused" } | { "type": "unsent" } | { "type": "requests" };

/** What each query is answered with. */
export type Answers = {
  status: StatusView;
  home: HomeView;
  customers: Array<CustomerRow>;
  customer: CustomerCard | null;
  timeline: Array<TimelineEntry>;
  visit: VisitView | null;
  newest: Array<TimelineEntry>;
  to_accept: Array<CustomerRow>;
  late: Array<LateView>;
  people: Array<PersonView>;
  refused: Array<RefusedView>;
  unsent: Array<UnsentView>;
  requests: Array<RequestView>;
};
