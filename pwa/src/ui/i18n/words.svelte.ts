// The words in the chosen language, and how times, prices and counts are written in it.

import type { StatedTime } from '../../generated/types.ts';
import { CallProblem, core } from '../core.svelte.ts';
import { preferences } from '../preferences.svelte.ts';
import { en } from './en.ts';
import { type Catalogue, zh } from './zh.ts';

const DAY_MS = 86_400_000;

class Words {
  /** The catalogue. */
  get t(): Catalogue {
    return preferences.language === 'zh' ? zh : en;
  }

  private get locale(): string {
    return preferences.language === 'zh' ? 'zh-CN' : 'en-GB';
  }

  /** A stored choice such as 上门, in the person's language. */
  choice(value: string): string {
    return this.t.choices[value] ?? value;
  }

  /** A field's name by the last part of its path. */
  field(path: string): string {
    const parts = path.split('/');
    const last = parts.at(-1) ?? path;
    const name = this.t.fields[last] ?? last;
    return parts.length > 1 ? `${this.t.fields[parts[0] ?? ''] ?? parts[0]} · ${name}` : name;
  }

  /** 今天, 昨天, 11月20日, 2025年3月4日. */
  day(time: StatedTime | Date): string {
    const day = startOfDay(time);
    const distance = Math.round((startOfDay(new Date()).getTime() - day.getTime()) / DAY_MS);
    if (distance === 0) return this.t.common.today;
    if (distance === 1) return this.t.common.yesterday;
    if (distance === -1) return this.t.common.tomorrow;
    return this.date(day);
  }

  /** 11月20日, 2025年3月4日. */
  date(time: StatedTime | Date): string {
    const day = startOfDay(time);
    const sameYear = day.getFullYear() === new Date().getFullYear();
    const form: Intl.DateTimeFormatOptions = { month: 'short', day: 'numeric' };
    return new Intl.DateTimeFormat(this.locale, sameYear ? form : { ...form, year: 'numeric' }).format(day);
  }

  /** 周四. */
  weekday(time: StatedTime | Date): string {
    return new Intl.DateTimeFormat(this.locale, { weekday: 'short' }).format(startOfDay(time));
  }

  /** 09:10; empty for a plain day. */
  clock(time: StatedTime | Date): string {
    if (typeof time === 'string' && time.length <= 10) return '';
    const date = typeof time === 'string' ? new Date(time) : time;
    return new Intl.DateTimeFormat(this.locale, { hour: '2-digit', minute: '2-digit', hour12: false }).format(date);
  }

  /** 今天 09:10. */
  when(time: StatedTime | Date): string {
    return [this.day(time), this.clock(time)].filter(Boolean).join(' ');
  }

  /** Fen as yuan: ¥1,850. */
  price(fen: number): string {
    const digits = fen % 100 === 0 ? 0 : 2;
    return `¥${new Intl.NumberFormat(this.locale, { minimumFractionDigits: digits, maximumFractionDigits: 2 }).format(fen / 100)}`;
  }

  /** Whole days that a day lies behind today; negative if ahead. */
  daysAgo(time: StatedTime): number {
    return Math.round((startOfDay(new Date()).getTime() - startOfDay(time).getTime()) / DAY_MS);
  }

  /** What went wrong, in words for a person. */
  problem(problem: unknown): string {
    if (!(problem instanceof CallProblem)) return this.t.failures.bug;
    if (problem.problem.kind === 'failure') return this.t.failures[problem.problem.code];
    const sentence = preferences.language === 'zh' ? problem.problem.zh : problem.problem.en;
    const about = problem.problem.about;
    return about === null
      ? sentence
      : `${sentence} (${about
          .split(',')
          .map((path) => this.field(path))
          .join(', ')})`;
  }

  /** A rule's sentence; the wording is the core's. */
  rule(rule: string): string {
    return core.constants.words[rule]?.[preferences.language] ?? rule;
  }
}

function startOfDay(time: StatedTime | Date): Date {
  const date = typeof time === 'string' ? new Date(time.length <= 10 ? `${time}T00:00:00` : time) : new Date(time);
  date.setHours(0, 0, 0, 0);
  return date;
}

/** `2026-11-22` of a local date. */
export function dayText(date: Date): string {
  const two = (n: number) => String(n).padStart(2, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** `2026-11-22T09:10:00+08:00` of a local date. */
export function instantText(date: Date): string {
  const two = (n: number) => String(n).padStart(2, '0');
  const offset = -date.getTimezoneOffset();
  const sign = offset < 0 ? '-' : '+';
  const hours = two(Math.floor(Math.abs(offset) / 60));
  const minutes = two(Math.abs(offset) % 60);
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return `${dayText(date)}T${time}${sign}${hours}:${minutes}`;
}

export const words = new Words();
