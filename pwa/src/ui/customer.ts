// The card form as plain values, and the patch that its difference makes. Pure: no screen, no worker.

import type { CustomerCard, FieldMap, Patch } from '../generated/types.ts';
import { fenOf, number, text, yuanOf } from './values.ts';
import { records } from './visit.ts';

export type PhoneRow = { id: string; number: string; label: string; state: string };
export type ContactRow = {
  id: string;
  name: string;
  sex: string;
  title: string;
  department: string;
  part: string;
  phone: string;
  wechat: string;
  email: string;
};
export type EquipmentRow = { id: string; type: string; count: string; note: string };
export type ConsumptionRow = {
  id: string;
  product: string;
  amount: string;
  unit: string;
  period: string;
  present_brand: string;
  price: string;
};
export type CompetitorRow = { id: string; name: string; product: string; price: string; note: string };

export const WORDS = [
  'name',
  'short_name',
  'credit_code',
  'capital',
  'industry',
  'size',
  'province',
  'city',
  'district',
  'address',
  'category',
  'level',
  'source',
  'referrer',
] as const;
export const TEXTS = ['need', 'remarks'] as const;

export type WordKey = (typeof WORDS)[number];
export type TextKey = (typeof TEXTS)[number];

export type CustomerValues = Record<WordKey | TextKey, string> & {
  phones: PhoneRow[];
  contacts: ContactRow[];
  equipment: EquipmentRow[];
  consumption: ConsumptionRow[];
  competitors: CompetitorRow[];
};

export function emptyCustomer(): CustomerValues {
  const plain = Object.fromEntries([...WORDS, ...TEXTS].map((key) => [key, ''])) as Record<WordKey | TextKey, string>;
  return { ...plain, phones: [], contacts: [], equipment: [], consumption: [], competitors: [] };
}

export function cardValues(card: CustomerCard): CustomerValues {
  const values = emptyCustomer();
  for (const key of [...WORDS, ...TEXTS]) values[key] = text(card.fields[key]);
  const each = (key: string): FieldMap[] => card.records[key] ?? [];
  values.phones = card.phones.map((one) => ({
    id: one.id,
    number: one.number,
    label: one.label ?? '',
    state: one.state,
  }));
  values.contacts = each('contacts').map((one) => ({
    id: text(one['id']),
    name: text(one['name']),
    sex: text(one['sex']),
    title: text(one['title']),
    department: text(one['department']),
    part: text(one['part']),
    phone: text(one['phone']),
    wechat: text(one['wechat']),
    email: text(one['email']),
  }));
  values.equipment = each('equipment').map((one) => ({
    id: text(one['id']),
    type: text(one['type']),
    count: text(one['count']),
    note: text(one['note']),
  }));
  values.consumption = each('consumption').map((one) => ({
    id: text(one['id']),
    product: text(one['product']),
    amount: text(one['amount']),
    unit: text(one['unit']),
    period: text(one['period']),
    present_brand: text(one['present_brand']),
    price: yuanOf(number(one['present_price_fen'])),
  }));
  values.competitors = each('competitors').map((one) => ({
    id: text(one['id']),
    name: text(one['name']),
    product: text(one['product']),
    price: yuanOf(number(one['price_fen'])),
    note: text(one['note']),
  }));
  return values;
}

function count(typed: string): number | null {
  return /^\d{1,9}$/.test(typed.trim()) ? Number(typed.trim()) : null;
}

/** What turns `base` (nothing, for a new card) into `values`. */
export function cardPatch(base: CustomerValues | null, values: CustomerValues): Patch {
  const patch: Patch = {};
  for (const key of WORDS) {
    const after = values[key].trim();
    if (after !== (base?.[key] ?? '')) patch[key] = after === '' ? null : after;
  }
  for (const key of TEXTS) {
    const before = base?.[key] ?? '';
    if (values[key] !== before) patch[key] = base === null ? values[key] : { base: before, text: values[key] };
  }
  // A number is never edited in place: the old one is retired and a new one added (S3).
  for (const phone of values.phones) {
    const old = base?.phones.find((one) => one.id === phone.id);
    if (old === undefined && phone.number.trim() === '') continue;
    if (old === undefined) {
      patch[`phones/${phone.id}/number`] = phone.number.trim();
      patch[`phones/${phone.id}/state`] = 'active';
    }
    if (phone.label !== (old?.label ?? '')) patch[`phones/${phone.id}/label`] = phone.label || null;
    if (old !== undefined && phone.state !== old.state) patch[`phones/${phone.id}/state`] = phone.state;
  }
  const contacts = values.contacts.filter(
    (one) => one.name.trim() !== '' || base?.contacts.some((old) => old.id === one.id),
  );
  records(patch, 'contacts', base?.contacts ?? [], contacts, (one) => ({
    name: one.name.trim() || null,
    sex: one.sex || null,
    title: one.title.trim() || null,
    department: one.department.trim() || null,
    part: one.part || null,
    phone: one.phone.trim() || null,
    wechat: one.wechat.trim() || null,
    email: one.email.trim() || null,
  }));
  for (const contact of contacts) {
    if (!base?.contacts.some((old) => old.id === contact.id)) patch[`contacts/${contact.id}/state`] = '在职';
  }
  records(
    patch,
    'equipment',
    base?.equipment ?? [],
    values.equipment.filter((one) => one.type.trim() !== ''),
    (one) => ({
      type: one.type.trim(),
      count: count(one.count),
      note: one.note.trim() || null,
    }),
  );
  const consumption = values.consumption.filter((one) => one.product.trim() !== '' || one.present_brand.trim() !== '');
  records(patch, 'consumption', base?.consumption ?? [], consumption, (one) => ({
    product: one.product.trim() || null,
    amount: one.amount.trim() || null,
    unit: one.unit.trim() || null,
    period: one.period.trim() || null,
    present_brand: one.present_brand.trim() || null,
    present_price_fen: fenOf(one.price),
  }));
  records(
    patch,
    'competitors',
    base?.competitors ?? [],
    values.competitors.filter((one) => one.name.trim() !== ''),
    (one) => ({
      name: one.name.trim(),
      product: one.product.trim() || null,
      price_fen: fenOf(one.price),
      note: one.note.trim() || null,
    }),
  );
  return patch;
}
