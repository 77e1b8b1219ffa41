// What a screen and its worker say to each other, and what workers of several tabs say among themselves.
// Types only: both sides compile against this file, neither against the other.

import type { Answers, Command, DocId, Edit, Query, RequestId, Role, Seq } from '../generated/types.ts';

/** A visit form that is not an entry yet. Lives in the tab's own store, written while the person types. */
export type Draft = {
  /** The visit's or customer's future id. */
  id: DocId;
  kind: 'visit' | 'customer';
  customer: DocId | null;
  customer_name: string;
  /** Milliseconds since 1970 of the last keystroke kept. */
  touched: number;
  /** The form as it stands; only the form that made it reads it. */
  form: string;
  /** The refused edit that this is a second try of: forgotten once the second is saved. */
  instead_of?: number;
};

/** A photo as its visit describes it. The bytes lie beside it under its SHA-256. */
export type PhotoInfo = { sha256: string; bytes: number; width: number; height: number; taken: string };

/**
 * How far a photo of this device has come: in a form only; in a saved visit, waiting for its upload; verified by
 * the server; or its bytes here are no longer those that were photographed, and it cannot be sent.
 */
export type PhotoState = 'draft' | 'saved' | 'sent' | 'damaged';

/** A photo that was taken on this device, and the visits that show it. */
export type OwnPhoto = { info: PhotoInfo; visits: DocId[]; state: PhotoState; added: number };

/** How large a picture is wanted. */
export type PictureSize = 'thumbs' | 'originals';

/** A row of the devices table, as the server gives it. */
export type DeviceRow = {
  id: string;
  person: string;
  person_name: string;
  label: string;
  created_at: string;
  last_contact_at: string | null;
  pending: { edits: number; photos: number; refused: number } | null;
  revoked_at: string | null;
  /** How many items it left in the company's keeping that nobody has stored yet. */
  quarantined: number;
};

/** What the server says of the person at login. */
export type LoginPerson = { id: string; name: string; role: Role; team: string | null; team_name: string | null };

/** What a screen asks of its worker. Calls of the first group go to the writer, wherever it lives. */
export type Call =
  | { type: 'query'; query: Query }
  | { type: 'edit'; edit: Edit }
  | { type: 'command'; command: Command }
  | { type: 'dismiss_refused'; edit_id: number }
  | { type: 'dismiss_notice'; id: Seq }
  | { type: 'dismiss_request'; id: RequestId }
  | { type: 'login'; name: string; password: string; label: string }
  | { type: 'logout' }
  | { type: 'devices' }
  | { type: 'revoke_device'; id: string }
  | { type: 'restore_device'; id: string }
  | { type: 'hand_over' }
  | { type: 'photo_drop'; visit: DocId; sha256: string }
  | { type: 'wake' }
  // Answered by the tab's own worker from the store.
  | { type: 'draft_put'; draft: Draft }
  | { type: 'draft_delete'; id: DocId }
  | { type: 'drafts' }
  | { type: 'photo_add'; visit: DocId; file: Blob; taken: string }
  | { type: 'photo_also'; visit: DocId; sha256: string }
  | { type: 'photos' }
  | { type: 'rescue' }
  // Answered from the store if the bytes are there, else by the writer from the server.
  | { type: 'photo_get'; sha256: string; visit: DocId; size: PictureSize };

/** What each call is answered with. */
export type Results = {
  query: Answers[Query['type']];
  edit: number;
  command: string;
  dismiss_refused: null;
  dismiss_notice: null;
  dismiss_request: null;
  login: null;
  logout: null;
  devices: DeviceRow[];
  revoke_device: null;
  restore_device: null;
  hand_over: null;
  wake: null;
  draft_put: null;
  draft_delete: null;
  drafts: Draft[];
  photo_add: PhotoInfo;
  photo_also: null;
  photo_drop: null;
  photo_get: Blob;
  photos: OwnPhoto[];
  rescue: Blob;
};

/** Why a call did not do what it should: a rule said no, or the world broke. */
export type Problem =
  | { kind: 'refusal'; rule: string; about: string | null; zh: string; en: string }
  | { kind: 'failure'; code: FailureCode };

/** Failures that a person may meet. Their words stand in the catalogue. */
export type FailureCode =
  | 'store_failed'
  | 'offline'
  | 'wrong_password'
  | 'too_many_attempts'
  | 'forbidden'
  | 'server_error'
  | 'other_person'
  | 'not_empty'
  | 'ended'
  | 'wiped'
  | 'bug';

/** What a device that was switched off handed over before it emptied itself (S6). */
export type LeftBehind = { name: string; edits: number; photos: number };

export type Outcome = { ok: true; value: unknown } | { ok: false; problem: Problem };

/** What a field of a document may hold, as the core's schema says. */
export type FieldSchema = {
  key: string;
  content: { type: string; max?: number; min?: number; choices?: string[]; digits?: number };
};
export type DocumentSchema = { kind: string; fields: FieldSchema[]; records: { key: string; fields: FieldSchema[] }[] };

/** What never changes while the app runs, from the core: both languages of every rule, and the schemas. */
export type Constants = { words: Record<string, { zh: string; en: string }>; schemas: DocumentSchema[] };

/** From a screen to its worker. */
export type ToWorker = { type: 'call'; n: number; call: Call } | { type: 'end' };

/** From a worker to its screen. */
export type FromWorker =
  | { type: 'reply'; n: number; outcome: Outcome }
  | { type: 'changed' }
  | { type: 'ready'; constants: Constants; writer: boolean }
  | { type: 'drafts_changed' }
  | { type: 'disk'; ok: boolean }
  | { type: 'wiped' }
  | { type: 'left'; left: LeftBehind }
  | { type: 'fatal'; why: string };

/** Between the workers of several tabs. */
export type TabMessage =
  | { type: 'call'; tab: string; n: number; call: Call }
  | { type: 'reply'; tab: string; n: number; outcome: Outcome }
  | { type: 'writer'; constants: Constants }
  | { type: 'who' }
  | { type: 'photos_changed' }
  | { type: 'draft_deleted'; id: DocId }
  | { type: 'changed' }
  | { type: 'disk'; ok: boolean }
  | { type: 'wiped' }
  | { type: 'left'; left: LeftBehind }
  | { type: 'drafts_changed' };
