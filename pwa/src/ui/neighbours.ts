// The customer before or after one, in the order of the list.

import { core } from './core.svelte.ts';

/** None at either end. */
export async function neighbours(id: string, by: 1 | -1): Promise<string | null> {
  const rows = await core.query({ type: 'customers', search: '', limit: 5000 });
  const place = rows.findIndex((row) => row.id === id);
  return place < 0 ? null : (rows[place + by]?.id ?? null);
}
