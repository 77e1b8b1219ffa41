// What stands in the form of a customer card. Pure: no screen, no worker.

import type { CustomerCard } from '../generated/types.ts';
import { formOf, type Shape, type Values } from './form.ts';

export type CustomerField =
  | 'name'
  | 'short_name'
  | 'credit_code'
  | 'capital'
  | 'industry'
  | 'size'
  | 'province'
  | 'city'
  | 'district'
  | 'address'
  | 'category'
  | 'level'
  | 'source'
  | 'referrer'
  | 'need'
  | 'remarks';
type Records = {
  phones: 'number' | 'label' | 'state';
  contacts: 'name' | 'sex' | 'title' | 'department' | 'part' | 'phone' | 'wechat' | 'email' | 'state';
  equipment: 'type' | 'count' | 'note';
  consumption: 'product' | 'amount' | 'unit' | 'period' | 'present_brand' | 'present_price_fen';
  competitors: 'name' | 'product' | 'price_fen' | 'note';
};

export type CustomerValues = Values<CustomerField, Records>;

export const CUSTOMER: Shape<CustomerField, Records> = {
  kind: 'customer',
  fields: [
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
    'need',
    'remarks',
  ],
  records: {
    phones: { fields: ['number', 'label', 'state'], lead: ['number'] },
    contacts: {
      fields: ['name', 'sex', 'title', 'department', 'part', 'phone', 'wechat', 'email', 'state'],
      lead: ['name'],
    },
    equipment: { fields: ['type', 'count', 'note'], lead: ['type'] },
    consumption: {
      fields: ['product', 'amount', 'unit', 'period', 'present_brand', 'present_price_fen'],
      lead: ['product', 'present_brand'],
    },
    competitors: { fields: ['name', 'product', 'price_fen', 'note'], lead: ['name'] },
  },
};

/** A card as its form shows it. */
export function cardValues(card: CustomerCard): CustomerValues {
  const phones = card.phones.map((one) => ({ id: one.id, number: one.number, label: one.label, state: one.state }));
  return formOf(CUSTOMER, { fields: card.fields, records: { ...card.records, phones } });
}
