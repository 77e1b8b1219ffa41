// Where an unfinished form is opened again, and how a refused edit becomes one (PWA-9).

import type { DocId, Edit, Patch, RefusedView } from '../generated/types.ts';
import type { Draft } from '../worker/messages.ts';
import { core, newDocId } from './core.svelte.ts';
import { CUSTOMER, type CustomerValues, cardValues } from './customer.ts';
import { formOf, overlaid, patchOf } from './form.ts';
import { isBare, isUntouched, VISIT, type VisitValues } from './visit.ts';

/** The address of a draft's form. */
export function draftPath(draft: Draft): string {
  if (draft.kind === 'visit') return `/visit/${draft.id}?customer=${draft.customer}`;
  return draft.customer === null ? `/customers/new?draft=${draft.id}` : `/customer/${draft.customer}/edit`;
}

/** Makes a form of what was refused, with every word of it, and returns its address. None if it has no form. */
export async function retried(refused: RefusedView): Promise<string | null> {
  const { edit } = refused;
  if (!('fields' in edit)) return null;
  const draft: Draft = {
    ...(await formOfEdit(edit, refused)),
    customer_name: refused.customer_name,
    touched: Date.now(),
    instead_of: refused.edit_id,
  };
  await core.keepDraft(draft);
  return draftPath(draft);
}

/**
 * Makes the edit that an unfinished form would have become, with every word of it; none if nothing was typed.
 * `note` stands as the record of a visit that has none yet: without one, a photo or a result it is no visit (DOC-10).
 */
export async function entryOf(draft: Draft, note: string): Promise<Edit | null> {
  if (draft.kind === 'visit') {
    const visit = await core.query({ type: 'visit', id: draft.id });
    const values = JSON.parse(draft.form) as VisitValues;
    if (visit === null && isUntouched(values)) return null;
    const before = visit === null ? null : formOf(VISIT, visit);
    // A form that was put down once more after a record was made of it does not take the note away again.
    if (isBare(values)) values.fields.record = before?.fields.record ?? note;
    const fields = patchOf(core.schema('visit'), VISIT, before, values);
    if (visit === null) return { type: 'create_visit', visit: draft.id, customer: draft.customer ?? '', fields };
    return isEmpty(fields) ? null : { type: 'edit_visit', visit: draft.id, fields };
  }
  const card = await core.query({ type: 'customer', id: draft.id });
  const values = JSON.parse(draft.form) as CustomerValues;
  const fields = patchOf(core.schema('customer'), CUSTOMER, card === null ? null : cardValues(card), values);
  if (isEmpty(fields)) return null;
  return { type: card === null ? 'create_customer' : 'edit_customer', customer: draft.id, fields };
}

function isEmpty(fields: Patch): boolean {
  return Object.keys(fields).length === 0;
}

/** What was erased for good cannot come back under its old number: the words become a new record. */
function idFor(doc: DocId, refused: RefusedView): DocId {
  return refused.refusal.rule === 'erased' ? newDocId() : doc;
}

async function formOfEdit(
  edit: Extract<Edit, { fields: Patch }>,
  refused: RefusedView,
): Promise<Pick<Draft, 'id' | 'kind' | 'customer' | 'form'>> {
  const nothing = { fields: {}, records: {} };
  switch (edit.type) {
    case 'create_visit':
    case 'edit_visit': {
      const visit = await core.query({ type: 'visit', id: edit.visit });
      const customer = edit.type === 'create_visit' ? edit.customer : (visit?.customer ?? refused.customer);
      const form = overlaid(VISIT, visit ?? nothing, edit.fields);
      const id = idFor(edit.visit, refused);
      for (const { sha256 } of form.records.photos) await core.call({ type: 'photo_also', visit: id, sha256 });
      return { id, kind: 'visit', customer, form: JSON.stringify(form) };
    }
    case 'create_customer':
    case 'edit_customer': {
      const card = await core.query({ type: 'customer', id: edit.customer });
      const records = card === null ? {} : cardValues(card).records;
      const source = card === null ? nothing : { fields: card.fields, records };
      const form = JSON.stringify(overlaid(CUSTOMER, source, edit.fields));
      const id = idFor(edit.customer, refused);
      return { id, kind: 'customer', customer: card === null ? null : edit.customer, form };
    }
  }
}
