/** The value that every vehicle has of a killed flag, in words. */
import { jsonText } from '../../json.ts';
import type { Spoken } from '../../words/spoken.ts';

interface KilledFlag {
  readonly defaultValue?: unknown;
  /** The release under way: `defaultValue` is then of its new content, and a killed flag gives the stable one. */
  readonly release?: object | null | undefined;
}

/** Gives the sentence about that value: the default, or that of the stable content while a release is under way. */
export const killedText = ({ defaultValue, release }: KilledFlag, { words }: Pick<Spoken, 'words'>): string =>
  release == null ? words.killedLead(jsonText(defaultValue)) : words.killedLeadStable;
