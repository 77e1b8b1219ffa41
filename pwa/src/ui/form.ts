// A document's form: every field as the text that stands in it, read and written by the core's own table of
// fields. Makes the patch that turns one state of a form into another. Pure: no screen, no worker.

import type { FieldMap, Patch, Value } from '../generated/types.ts';
import type { DocumentSchema, FieldSchema } from '../worker/messages.ts';
import { fenOf, number, text, yuanOf } from './values.ts';

/** A record as it stands in a form. */
export type Row<F extends string = string> = { id: string } & Record<F, string>;

/** Which fields of a map of records stand in a form, and which of them make a row worth keeping. */
type RecordShape<F extends string> = { fields: readonly F[]; lead: readonly F[] };

/** What a form of one kind of document holds. */
export type Shape<F extends string, R extends Record<string, string>> = {
  kind: 'customer' | 'visit';
  fields: readonly F[];
  records: { [K in keyof R]: RecordShape<R[K]> };
};

export type Values<F extends string, R extends Record<string, string>> = {
  fields: Record<F, string>;
  records: { [K in keyof R]: Row<R[K]>[] };
};

/** What a view or a patch says of a document. */
type Source = { fields: FieldMap; records: Record<string, FieldMap[]> };

/** A form with nothing in it. */
export function emptyForm<F extends string, R extends Record<string, string>>(shape: Shape<F, R>): Values<F, R> {
  return formOf(shape, { fields: {}, records: {} });
}

/** A form with what a document holds. */
export function formOf<F extends string, R extends Record<string, string>>(
  shape: Shape<F, R>,
  source: Source,
): Values<F, R> {
  const fields = Object.fromEntries(shape.fields.map((key) => [key, typedOf(key, source.fields[key])]));
  const records = recordKeys(shape).map((key) => {
    const rows = (source.records[key] ?? []).map((one) => ({
      ...Object.fromEntries(shape.records[key].fields.map((field) => [field, typedOf(field, one[field])])),
      id: text(one['id']),
    }));
    return [key, rows];
  });
  return { fields, records: Object.fromEntries(records) } as Values<F, R>;
}

/** A form with what a document holds and what somebody wanted to change in it. */
export function overlaid<F extends string, R extends Record<string, string>>(
  shape: Shape<F, R>,
  source: Source,
  patch: Patch,
): Values<F, R> {
  const fields: FieldMap = { ...source.fields };
  const records = new Map<string, Map<string, FieldMap>>();
  for (const [key, rows] of Object.entries(source.records)) {
    records.set(key, new Map(rows.map((row) => [text(row['id']), row])));
  }
  for (const [path, value] of Object.entries(patch)) {
    const [key = '', id, field] = path.split('/');
    const plain = typeof value === 'object' && value !== null ? value.text : value;
    if (id === undefined) {
      fields[key] = plain;
      continue;
    }
    const rows = records.get(key) ?? new Map<string, FieldMap>();
    records.set(key, rows);
    if (field === undefined) rows.delete(id);
    else rows.set(id, { ...rows.get(id), id, [field]: plain });
  }
  const plainRecords = Object.fromEntries([...records].map(([key, rows]) => [key, [...rows.values()]]));
  return formOf(shape, { fields, records: plainRecords });
}

/** A fresh row with nothing but its id and what is given. */
export function newRow<F extends string>(fields: readonly F[], id: string, given: Partial<Record<F, string>>): Row<F> {
  const plain = Object.fromEntries(fields.map((field) => [field, given[field] ?? '']));
  return { ...plain, id } as Row<F>;
}

/** What turns `base` (nothing, for a new document) into `values`. */
export function patchOf<F extends string, R extends Record<string, string>>(
  schema: DocumentSchema,
  shape: Shape<F, R>,
  base: Values<F, R> | null,
  values: Values<F, R>,
): Patch {
  const patch: Patch = {};
  for (const key of shape.fields) {
    const before = base?.fields[key] ?? '';
    const after = values.fields[key];
    if (contentOf(schema.fields, key) === 'text') {
      // A long text is edited by difference (DOC-5).
      if (after !== before) patch[key] = base === null ? after : { base: before, text: after };
    } else {
      differ(patch, key, storedOf(schema.fields, key, before), storedOf(schema.fields, key, after));
    }
  }
  for (const key of recordKeys(shape)) {
    const table = schema.records.find((one) => one.key === key)?.fields ?? [];
    const { fields, lead } = shape.records[key];
    const known = base?.records[key] ?? [];
    // A row that was emptied is gone.
    const rows = values.records[key].filter((row) => fields.some((field) => row[field].trim() !== ''));
    for (const row of rows) {
      const old = known.find((one) => one.id === row.id);
      if (old === undefined && lead.every((field) => row[field].trim() === '')) continue;
      for (const field of fields) {
        const before = storedOf(table, field, old?.[field] ?? '');
        differ(patch, `${key}/${row.id}/${field}`, before, storedOf(table, field, row[field]));
      }
    }
    for (const old of known) {
      if (!rows.some((row) => row.id === old.id)) patch[`${key}/${old.id}`] = null;
    }
  }
  return patch;
}

function recordKeys<F extends string, R extends Record<string, string>>(shape: Shape<F, R>): (keyof R & string)[] {
  return Object.keys(shape.records);
}

function differ(patch: Patch, path: string, before: Value, after: Value): void {
  if (before !== after) patch[path] = after;
}

function contentOf(table: readonly FieldSchema[], key: string): string {
  return table.find((field) => field.key === key)?.content.type ?? 'word';
}

/** Whether something was typed that the field cannot hold, and that would be lost. */
export function isUnreadable(table: readonly FieldSchema[], key: string, typed: string): boolean {
  return typed.trim() !== '' && storedOf(table, key, typed) === null;
}

/** A stored value as a person would type it. */
function typedOf(key: string, value: FieldMap[string] | undefined): string {
  if (key.endsWith('_fen')) return yuanOf(number(value));
  if (typeof value === 'boolean') return value ? 'true' : '';
  return text(value);
}

/** What was typed as a document stores it; nothing, if it is nothing of the kind. */
function storedOf(table: readonly FieldSchema[], key: string, typed: string): Value {
  if (key.endsWith('_fen')) return fenOf(typed);
  const plain = typed.trim();
  switch (contentOf(table, key)) {
    case 'int':
      return /^-?\d{1,10}$/.test(plain) ? Number(plain) : null;
    case 'bool':
      return plain === 'true' ? true : null;
    default:
      return plain === '' ? null : plain;
  }
}
