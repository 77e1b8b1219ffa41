// What stands in the form of a visit. Pure: no screen, no worker.

import { emptyForm, type Row, type Shape, type Values } from './form.ts';

type Fields =
  | 'visit_kind'
  | 'arrived'
  | 'left'
  | 'position_lat_e7'
  | 'position_lng_e7'
  | 'position_accuracy_m'
  | 'purpose'
  | 'record'
  | 'problem'
  | 'countermeasure'
  | 'result';
type Records = {
  people_met: 'contact' | 'name';
  next_actions: 'text' | 'day' | 'done';
  quotes: 'product' | 'spec' | 'pack' | 'price_fen' | 'unit' | 'valid_to';
  samples: 'product' | 'quantity' | 'unit' | 'kind';
  photos: 'sha256' | 'bytes' | 'width' | 'height' | 'taken';
};

export type VisitValues = Values<Fields, Records>;
export type PhotoRow = Row<Records['photos']>;

export const VISIT: Shape<Fields, Records> = {
  kind: 'visit',
  fields: [
    'visit_kind',
    'arrived',
    'left',
    'position_lat_e7',
    'position_lng_e7',
    'position_accuracy_m',
    'purpose',
    'record',
    'problem',
    'countermeasure',
    'result',
  ],
  records: {
    people_met: { fields: ['contact', 'name'], lead: ['name'] },
    next_actions: { fields: ['text', 'day', 'done'], lead: ['text', 'day'] },
    quotes: {
      fields: ['product', 'spec', 'pack', 'price_fen', 'unit', 'valid_to'],
      lead: ['product', 'price_fen'],
    },
    samples: { fields: ['product', 'quantity', 'unit', 'kind'], lead: ['product'] },
    photos: { fields: ['sha256', 'bytes', 'width', 'height', 'taken'], lead: ['sha256'] },
  },
};

/** The form of a visit that begins now. */
export function newVisit(arrived: string): VisitValues {
  const values = emptyForm(VISIT);
  values.fields.visit_kind = '上门';
  values.fields.arrived = arrived;
  return values;
}

/** Whether nothing worth an entry stands in the form (DOC-10). */
export function isBare(values: VisitValues): boolean {
  const { record, result } = values.fields;
  return record.trim() === '' && result === '' && values.records.photos.length === 0;
}

/** Whether the person has done nothing but arrive. */
export function isUntouched(values: VisitValues): boolean {
  const before = JSON.stringify(newVisit(''));
  const fields = { ...values.fields, arrived: '', position_lat_e7: '', position_lng_e7: '', position_accuracy_m: '' };
  return JSON.stringify({ ...values, fields }) === before;
}
