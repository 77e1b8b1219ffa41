// An edit in the words of the form that made it: which fields, and what stands in them. Draws nothing.

import type { Edit, Patch } from '../generated/types.ts';
import { core } from './core.svelte.ts';
import { words } from './i18n/words.svelte.ts';
import { yuanOf } from './values.ts';

/** One field of an edit. An empty label where the text speaks for itself. */
export type Told = { label: string; text: string };

/** What only programs read of a photo or a position; the photo and the position are told as one each. */
const SILENT = /^(photos\/[^/]+\/(?!sha256)|position_(?!lat_e7)|people_met\/[^/]+\/contact$)/;

/** What an edit is: 新客户, 拜访, 改资料 … */
export function kindOf(edit: Edit): string {
  const { t } = words;
  // A rep's word is a note, a manager's a comment.
  if (edit.type === 'create_comment' && core.status?.profile?.role === 'rep') return t.card.note;
  return t.sync.kinds[edit.type];
}

/** Every field of an edit that a person typed, in order. */
export function toldOf(edit: Edit): Told[] {
  switch (edit.type) {
    case 'create_comment':
      return [{ label: '', text: edit.text }];
    case 'void_visit':
      return [{ label: words.t.visit.void, text: edit.reason }];
    default:
      return fieldsOf(edit.fields);
  }
}

function fieldsOf(fields: Patch): Told[] {
  const { t } = words;
  const told: Told[] = [];
  let photos = 0;
  for (const [path, value] of Object.entries(fields)) {
    const key = path.split('/').at(-1) ?? path;
    if (SILENT.test(path)) continue;
    const gone = value === null;
    if (path.startsWith('photos/') && !gone) photos += 1;
    else if (key === 'position_lat_e7')
      told.push({ label: t.sync.position, text: gone ? t.sync.removed : t.sync.kept });
    else if (gone) {
      // A whole record is named by its list, not by its number.
      const [list = path, , field] = path.split('/');
      told.push({ label: words.field(field === undefined ? list : path), text: t.sync.removed });
    } else told.push({ label: words.field(path), text: shown(key, value) });
  }
  if (photos > 0) told.push({ label: '', text: t.sync.photoCount(photos) });
  return told;
}

function shown(key: string, value: Patch[string]): string {
  if (typeof value === 'object' && value !== null) return value.text;
  if (typeof value === 'number' && key.endsWith('_fen')) return yuanOf(value);
  if (typeof value === 'boolean') return value ? words.t.sync.yes : words.t.sync.no;
  if (key === 'arrived' || key === 'left') return words.when(String(value));
  return words.choice(String(value ?? ''));
}
