// Where an unfinished form is opened again, and how a refused edit becomes one (PWA-9).

import type { Edit, Patch, RefusedView } from '../generated/types.ts';
import type { Draft } from '../worker/messages.ts';
import { core } from './core.svelte.ts';
import { CUSTOMER, cardValues } from './customer.ts';
import { overlaid } from './form.ts';
import { VISIT } from './visit.ts';

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
    ...(await formOfEdit(edit)),
    customer_name: refused.customer_name,
    touched: Date.now(),
    instead_of: refused.edit_id,
  };
  await core.keepDraft(draft);
  return draftPath(draft);
}

async function formOfEdit(
  edit: Extract<Edit, { fields: Patch }>,
): Promise<Pick<Draft, 'id' | 'kind' | 'customer' | 'form'>> {
  const nothing = { fields: {}, records: {} };
  switch (edit.type) {
    case 'create_visit':
    case 'edit_visit': {
      const visit = await core.query({ type: 'visit', id: edit.visit });
      const customer = edit.type === 'create_visit' ? edit.customer : (visit?.customer ?? null);
      const form = JSON.stringify(overlaid(VISIT, visit ?? nothing, edit.fields));
      return { id: edit.visit, kind: 'visit', customer, form };
    }
    case 'create_customer':
    case 'edit_customer': {
      const card = await core.query({ type: 'customer', id: edit.customer });
      const records = card === null ? {} : cardValues(card).records;
      const source = card === null ? nothing : { fields: card.fields, records };
      const form = JSON.stringify(overlaid(CUSTOMER, source, edit.fields));
      return { id: edit.customer, kind: 'customer', customer: card === null ? null : edit.customer, form };
    }
  }
}
