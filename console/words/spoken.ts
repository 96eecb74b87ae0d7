import type { Words } from './en.ts';
import type { Formats } from './formats.ts';

/** The catalogue of a language, with its forms of numbers and times. */
export interface Spoken {
  readonly words: Words;
  readonly formats: Formats;
}
