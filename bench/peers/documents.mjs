// The documents of every workload: 300 customers, then visits, of about 400 to 600 bytes of JSON each.
// Everything follows from the index, so that each subject is given the same documents. The Rust twins of
// this file are samod/src/documents.rs and ../daybook/src/documents.rs.

import { readFileSync } from "node:fs";

const phrases = JSON.parse(readFileSync(new URL("./phrases.json", import.meta.url), "utf8"));

export const CUSTOMERS = 300;

const pick = (list, index, step) => phrases[list][(index * step + Math.floor(index / 7)) % phrases[list].length];
const hex = (index) => (index * 2654435761 % 4294967296).toString(16).padStart(8, "0").repeat(4);
const day = (index) => `2026-${String(1 + (index % 10)).padStart(2, "0")}-${String(1 + (index % 28)).padStart(2, "0")}`;

export function customer(index) {
  const place = pick("place", index, 3);
  const company = pick("company", index, 5);
  const trade = pick("trade", index, 7);
  return {
    kind: "customer",
    name: `${place}${company}${trade}有限公司${index}`,
    short_name: `${company}${trade}`,
    capital: "内资",
    industry: "生产制造",
    address: `${place}工业大道${index + 1}号`,
    phones: { phone0001: { number: `1380000${String(index).padStart(4, "0")}`, label: "办公室" } },
    contacts: {
      contact01: { name: `${pick("surname", index, 2)}经理`, title: pick("title", index, 5), phone: `1390000${String(index).padStart(4, "0")}` },
    },
    equipment: { equip0001: { type: "加工中心", count: 5 + (index % 20) } },
    need: pick("purpose", index, 3),
  };
}

export function visit(index) {
  const date = day(index);
  return {
    kind: "visit",
    customer: hex(index % CUSTOMERS),
    visit_kind: pick("visit_kind", index, 1),
    arrived: `${date}T09:10:00+08:00`,
    left: `${date}T10:05:00+08:00`,
    purpose: pick("purpose", index, 3),
    record: pick("record", index, 2),
    countermeasure: pick("countermeasure", index, 3),
    products: { product01: { name: pick("product", index, 2) } },
    result: pick("result", index, 2),
    next_actions: { action001: { text: pick("countermeasure", index, 1), day: "2026-11-30" } },
  };
}

/** The first `count` documents of the set. */
export function documents(count) {
  return Array.from({ length: count }, (_, index) => (index < CUSTOMERS ? customer(index) : visit(index - CUSTOMERS)));
}
