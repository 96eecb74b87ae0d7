/** The texts of releases. They are apart from the others, and loaded with the parts that show them. */
import { releases as en } from './en/releases.ts';
import { releases as ko } from './ko/releases.ts';
import type { Language } from './language.ts';

/** Both catalogues. */
export const RELEASE_WORDS: Readonly<Record<Language, typeof en>> = { en, ko };

/** The texts of releases in one language. */
export type ReleaseWords = (typeof en)['release'];
