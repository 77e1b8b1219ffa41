// The shapes in which the core speaks to screens: `shared::{view, edit, ledger, refusal}` as JSON.
// Follows those files word for word; carries no rule of its own.

export type DocId = string;
export type PersonId = string;
export type RequestId = string;
export type TeamId = string;
export type Seq = number;
export type UtcMillis = number;
/** A day `2026-11-22`, or a day and time `2026-11-22T09:10:00+08:00`. */
export type StatedTime = string;

export type Role = 'rep' | 'assistant' | 'manager' | 'admin';
export type Access = 'read' | 'comment' | 'write';
export type CustomerStatus = 'pending' | 'active';
export type SyncState = 'saving' | 'local' | 'server' | 'accepted';
export type Link = 'offline' | 'syncing' | 'live' | 'login_needed' | 'revoked';
export type Quality = 'ok' | 'estimated' | 'suspect';

export type Recorded = { at: UtcMillis; device: UtcMillis; quality: Quality; offset_minutes: number };

export type Value = null | boolean | number | string | { base: string; text: string };
export type Patch = Record<string, Value>;

export type Edit =
  | { type: 'create_customer'; customer: DocId; fields: Patch }
  | { type: 'edit_customer'; customer: DocId; fields: Patch }
  | { type: 'create_visit'; visit: DocId; customer: DocId; fields: Patch }
  | { type: 'edit_visit'; visit: DocId; fields: Patch }
  | { type: 'void_visit'; visit: DocId; reason: string }
  | { type: 'create_comment'; comment: DocId; customer: DocId; about: DocId | null; text: string };

export type Command =
  | { type: 'accept'; customer: DocId }
  | { type: 'transfer'; customer: DocId; to: PersonId; reason: string | null }
  | { type: 'settle_late'; customer: DocId; late: Seq; apply: boolean };

/** A named "no". `zh` and `en` are the sentences for a person; a rule's wording lives in the core. */
export type Refusal = { rule: string; about: string | null };

export type NoticeKind =
  | { type: 'transferred_away'; to: PersonId }
  | { type: 'transferred_to_you'; from: PersonId }
  | { type: 'visit_after_transfer'; person: PersonId; visit: DocId }
  | { type: 'late_edit_held'; person: PersonId; late: Seq };

export type FieldChange = { field: string; before: string | null; after: string | null };
export type LateKind =
  | { type: 'fact_before' }
  | { type: 'fact_after' }
  | { type: 'card_edit'; fields: FieldChange[] }
  | { type: 'request'; rule: string };
export type LateState = 'accepted' | 'held' | 'applied' | 'dismissed' | 'returned';
export type LateWork = {
  customer: DocId;
  person: PersonId;
  device: string;
  doc: DocId | null;
  recorded: Recorded | null;
  kind: LateKind;
  state: LateState;
};

export type PendingCounts = { edits: number; photos: number; refused: number };
export type ProfileView = { person: PersonId; name: string; role: Role; team: string | null };
export type StatusView = {
  profile: ProfileView | null;
  link: Link;
  pending: PendingCounts;
  saving: number;
  last_synced: UtcMillis | null;
  documents: number;
  clock_offset_ms: number | null;
  complete: boolean;
};
export type HomeView = {
  status: StatusView;
  today: TimelineEntry[];
  due: CustomerRow[];
  recent: CustomerRow[];
  customers: number;
  to_accept: number;
  late_held: number;
  notices: NoticeView[];
};
export type CustomerRow = {
  id: DocId;
  name: string;
  short_name: string | null;
  code: string | null;
  provisional: string | null;
  status: CustomerStatus | null;
  owner: PersonId | null;
  owner_name: string | null;
  level: string | null;
  district: string | null;
  last_visit: StatedTime | null;
  next_action: StatedTime | null;
  next_action_text: string | null;
  missing: string[];
  clashes: number;
  sync: SyncState;
  leaving: boolean;
  requested: boolean;
};
export type ClashValue = { value: string; person: string; recorded_at: string; shown: boolean };
export type Clash = { field: string; values: ClashValue[] };
export type PhoneView = {
  id: string;
  number: string;
  label: string | null;
  state: string;
  to_check: boolean;
  person: string | null;
  recorded_at: string | null;
};
export type FieldValue = null | boolean | number | string | FieldValue[] | { [key: string]: FieldValue };
export type FieldMap = Record<string, FieldValue>;
export type OwnerView = { person: PersonId; name: string; since: string };
export type CustomerCard = {
  row: CustomerRow;
  fields: FieldMap;
  phones: PhoneView[];
  records: Record<string, FieldMap[]>;
  clashes: Clash[];
  access: Access;
  owners: OwnerView[];
  first_recorder: string | null;
  late: LateView[];
  last_visits: TimelineEntry[];
  open_actions: OpenAction[];
};
export type OpenAction = { day: StatedTime | null; text: string | null };
/** `details` of the core are flattened into the entry; read them with `detail(entry, key)`. */
export type TimelineEntry = {
  kind: string;
  id: string;
  doc: DocId | null;
  customer: DocId;
  customer_name: string;
  at: StatedTime;
  recorded_at: string | null;
  recorded: Recorded | null;
  received_at: string | null;
  person: string;
  person_id: PersonId | null;
  text: string;
  sync: SyncState;
  marks: string[];
  late_hours: number | null;
} & { [detail: string]: FieldValue | Recorded };
export type VisitView = {
  id: DocId;
  customer: DocId;
  customer_name: string;
  person: string;
  mine: boolean;
  fields: FieldMap;
  records: Record<string, FieldMap[]>;
  missing: string[];
  entry: TimelineEntry;
};
export type PersonView = {
  id: PersonId;
  name: string;
  role: Role;
  team: string | null;
  active: boolean;
  customers: number;
};
export type LateView = {
  id: Seq;
  work: LateWork;
  customer_name: string;
  person: string;
  received_at: string;
  may_settle: boolean;
};
export type RefusedView = {
  edit_id: number;
  refusal: Refusal;
  zh: string;
  en: string;
  held: boolean;
  edit: Edit;
  customer_name: string;
  recorded_at: string;
};
export type RequestView = {
  id: RequestId;
  command: Command;
  customer_name: string;
  recorded_at: string;
  refusal: Refusal | null;
};
export type NoticeView = {
  id: Seq;
  at: string;
  customer: DocId;
  customer_name: string;
  notice: NoticeKind;
  person: string | null;
};

export type Query =
  | { type: 'status' }
  | { type: 'home' }
  | { type: 'customers'; search: string; limit: number }
  | { type: 'customer'; id: DocId }
  | { type: 'timeline'; customer: DocId }
  | { type: 'visit'; id: DocId }
  | { type: 'newest'; limit: number }
  | { type: 'to_accept' }
  | { type: 'late' }
  | { type: 'people' }
  | { type: 'refused' }
  | { type: 'requests' };

/** What each query is answered with. */
export type Answers = {
  status: StatusView;
  home: HomeView;
  customers: CustomerRow[];
  customer: CustomerCard | null;
  timeline: TimelineEntry[];
  visit: VisitView | null;
  newest: TimelineEntry[];
  to_accept: CustomerRow[];
  late: LateView[];
  people: PersonView[];
  refused: RefusedView[];
  requests: RequestView[];
};
