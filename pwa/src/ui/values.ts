// Reading loosely typed fields of views as what the schema says they are.

import type { FieldMap, FieldValue, TimelineEntry } from '../generated/types.ts';

/** A text, or empty. */
export function text(value: FieldValue | undefined): string {
  if (typeof value === 'string') return value;
  return typeof value === 'number' ? String(value) : '';
}

/** A number, or none. */
export function number(value: FieldValue | undefined): number | null {
  return typeof value === 'number' ? value : null;
}

/** One detail of an entry as text. */
export function detail(entry: TimelineEntry, key: string): string {
  return text(entry[key] as FieldValue | undefined);
}

/** One detail of an entry as number. */
export function detailNumber(entry: TimelineEntry, key: string): number | null {
  return number(entry[key] as FieldValue | undefined);
}

/** Names in a detail that is a list of texts, a list of records with a `name`, or one text. */
export function names(value: unknown): string[] {
  if (typeof value === 'string') return value === '' ? [] : [value];
  if (!Array.isArray(value)) return [];
  return value
    .map((one: unknown) => {
      if (typeof one === 'string') return one;
      return typeof one === 'object' && one !== null ? text((one as FieldMap)['name']) : '';
    })
    .filter((name) => name !== '');
}

/** Yuan as typed (`18.5`, `1,850`) in fen; none if it is no price. */
export function fenOf(typed: string): number | null {
  const plain = typed
    .replace(/[,，\s¥￥元]/g, '')
    .replace(/[０-９．]/g, (wide) => String.fromCharCode(wide.charCodeAt(0) - 0xfee0));
  if (!/^\d{1,8}(\.\d{0,2})?$/.test(plain)) return null;
  return Math.round(Number(plain) * 100);
}

/** Fen as yuan for a field: `1850` or `18.50`. */
export function yuanOf(fen: number | null): string {
  if (fen === null) return '';
  return fen % 100 === 0 ? String(fen / 100) : (fen / 100).toFixed(2);
}
