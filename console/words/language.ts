/** The language of the pages: the browser's decides first, a choice is kept. */
import { createStore, useStore } from '../store.ts';
import { en, type Words } from './en.ts';
import { ko } from './ko.ts';
import { formatsOf, type Formats } from './formats.ts';
import type { Spoken } from './spoken.ts';

export const LANGUAGES = ['en', 'ko'] as const;
export type Language = (typeof LANGUAGES)[number];

const CATALOGUES: Readonly<Record<Language, Words>> = { en, ko };
const KEY = 'fleetflag:language';

/** Gives the first of the reader's languages that the pages have, or English. */
export function languageFor(wanted: readonly string[]): Language {
  for (const tag of wanted) {
    const found = LANGUAGES.find((language) => tag.toLowerCase().split('-')[0] === language);
    if (found !== undefined) return found;
  }
  return 'en';
}

const chosen = localStorage.getItem(KEY);
const language = createStore<Language>(languageFor([...(chosen === null ? [] : [chosen]), ...navigator.languages]));

/** Gives the reader's own form of the language, such as en-GB for its dates; without one, a plain one. */
function localeOf(current: Language): string {
  const own = navigator.languages.find(
    (tag) => languageFor([tag]) === current && tag.toLowerCase().startsWith(current),
  );
  return own ?? { en: 'en-GB', ko: 'ko-KR' }[current];
}

/** Sets the language of the pages and keeps it in this browser. */
export function chooseLanguage(next: Language): void {
  localStorage.setItem(KEY, next);
  language.set(next);
  document.documentElement.lang = next;
}

/** Gives the document its language. */
export function startLanguage(): void {
  document.documentElement.lang = language.get();
}

const formats = new Map<Language, Formats>();

/** The catalogue of the present language. */
export interface PresentWords extends Spoken {
  readonly language: Language;
}

/** Gives the catalogue of the present language, and its forms of numbers and times. */
export function useWords(): PresentWords {
  const current = useStore(language);
  let own = formats.get(current);
  if (own === undefined) formats.set(current, (own = formatsOf(localeOf(current))));
  return { language: current, words: CATALOGUES[current], formats: own };
}
