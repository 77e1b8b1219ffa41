// The visit form as plain values, and the patch that its difference makes. Pure: no screen, no worker.

import type { FieldMap, Patch, Value, VisitView } from '../generated/types.ts';
import { fenOf, number, text, yuanOf } from './values.ts';

export type PersonMet = { id: string; contact: string; name: string };
export type NextAction = { id: string; text: string; day: string; done: boolean };
export type Quote = {
  id: string;
  product: string;
  spec: string;
  pack: string;
  price: string;
  unit: string;
  valid_to: string;
};
export type Sample = { id: string; product: string; quantity: string; unit: string; kind: string };
export type Photo = { id: string; sha256: string; bytes: number; width: number; height: number; taken: string };

export type VisitValues = {
  visit_kind: string;
  arrived: string;
  left: string;
  purpose: string;
  record: string;
  problem: string;
  countermeasure: string;
  result: string;
  people: PersonMet[];
  actions: NextAction[];
  quotes: Quote[];
  samples: Sample[];
  photos: Photo[];
};

const PLAIN = ['visit_kind', 'arrived', 'left', 'purpose', 'result'] as const;
const LONG = ['record', 'problem', 'countermeasure'] as const;

export function emptyVisit(arrived: string): VisitValues {
  return {
    visit_kind: '上门',
    arrived,
    left: '',
    purpose: '',
    record: '',
    problem: '',
    countermeasure: '',
    result: '',
    people: [],
    actions: [],
    quotes: [],
    samples: [],
    photos: [],
  };
}

export function valuesOf(view: VisitView): VisitValues {
  const fields = view.fields;
  const records = (key: string): FieldMap[] => view.records[key] ?? [];
  return {
    visit_kind: text(fields['visit_kind']),
    arrived: text(fields['arrived']),
    left: text(fields['left']),
    purpose: text(fields['purpose']),
    record: text(fields['record']),
    problem: text(fields['problem']),
    countermeasure: text(fields['countermeasure']),
    result: text(fields['result']),
    people: records('people_met').map((one) => ({
      id: text(one['id']),
      contact: text(one['contact']),
      name: text(one['name']),
    })),
    actions: records('next_actions').map((one) => ({
      id: text(one['id']),
      text: text(one['text']),
      day: text(one['day']),
      done: one['done'] === true,
    })),
    quotes: records('quotes').map((one) => ({
      id: text(one['id']),
      product: text(one['product']),
      spec: text(one['spec']),
      pack: text(one['pack']),
      price: yuanOf(number(one['price_fen'])),
      unit: text(one['unit']),
      valid_to: text(one['valid_to']),
    })),
    samples: records('samples').map((one) => ({
      id: text(one['id']),
      product: text(one['product']),
      quantity: text(one['quantity']),
      unit: text(one['unit']),
      kind: text(one['kind']),
    })),
    photos: records('photos').map((one) => ({
      id: text(one['id']),
      sha256: text(one['sha256']),
      bytes: number(one['bytes']) ?? 0,
      width: number(one['width']) ?? 0,
      height: number(one['height']) ?? 0,
      taken: text(one['taken']),
    })),
  };
}

/** Whether nothing worth an entry stands in the form. */
export function isBare(values: VisitValues): boolean {
  return values.record.trim() === '' && values.result === '' && values.photos.length === 0;
}

/** Whether the person has not put anything in yet, beyond opening it. */
export function isUntouched(values: VisitValues): boolean {
  return JSON.stringify({ ...values, arrived: '' }) === JSON.stringify(emptyVisit(''));
}

/** What turns `base` (nothing, for a new visit) into `values`. */
export function patchOf(base: VisitValues | null, values: VisitValues): Patch {
  const patch: Patch = {};
  for (const key of PLAIN) {
    if (values[key] !== (base?.[key] ?? '')) patch[key] = values[key] === '' ? null : values[key];
  }
  for (const key of LONG) {
    const before = base?.[key] ?? '';
    if (values[key] !== before) patch[key] = base === null ? values[key] : { base: before, text: values[key] };
  }
  records(
    patch,
    'people_met',
    base?.people ?? [],
    values.people.filter((one) => one.name !== ''),
    (one) => ({
      contact: one.contact || null,
      name: one.name,
    }),
  );
  const actions = values.actions.filter((one) => one.text.trim() !== '' || one.day !== '');
  records(patch, 'next_actions', base?.actions ?? [], actions, (one) => ({
    text: one.text.trim() || null,
    day: one.day || null,
    done: one.done ? true : null,
  }));
  const quotes = values.quotes.filter((one) => one.product.trim() !== '' || fenOf(one.price) !== null);
  records(patch, 'quotes', base?.quotes ?? [], quotes, (one) => ({
    product: one.product.trim() || null,
    spec: one.spec.trim() || null,
    pack: one.pack.trim() || null,
    price_fen: fenOf(one.price),
    unit: one.unit.trim() || null,
    valid_to: one.valid_to || null,
  }));
  records(
    patch,
    'samples',
    base?.samples ?? [],
    values.samples.filter((one) => one.product.trim() !== ''),
    (one) => ({
      product: one.product.trim(),
      quantity: one.quantity.trim() || null,
      unit: one.unit.trim() || null,
      kind: one.kind || null,
    }),
  );
  records(patch, 'photos', base?.photos ?? [], values.photos, (one) => ({
    sha256: one.sha256,
    bytes: one.bytes,
    width: one.width,
    height: one.height,
    taken: one.taken || null,
  }));
  return patch;
}

/** Writes the differences of one map of records: changed fields, and null for a record that is gone. */
export function records<T extends { id: string }>(
  patch: Patch,
  key: string,
  before: readonly T[],
  after: readonly T[],
  fields: (one: T) => Record<string, Value>,
): void {
  for (const one of after) {
    const old = before.find((other) => other.id === one.id);
    const oldFields = old === undefined ? {} : fields(old);
    for (const [name, value] of Object.entries(fields(one))) {
      if (value !== (oldFields[name] ?? null)) patch[`${key}/${one.id}/${name}`] = value;
    }
  }
  for (const old of before) {
    if (!after.some((one) => one.id === old.id)) patch[`${key}/${old.id}`] = null;
  }
}
