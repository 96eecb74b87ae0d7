/** A value as it is typed into a form, by the type of its flag. */
import type { FlagType } from '../../generated/operations.ts';

/** `own`: the rule has a value; otherwise it gives what its flag gives without one. */
export interface ValueDraft {
  readonly own: boolean;
  readonly text: string;
}

/** The fault of a typed value. */
export type ValueFault = 'number' | 'json' | 'null';

/** Gives a value as it stands in its field. */
export function typedText(value: unknown, type: FlagType): string {
  if (value === null || value === undefined) return type === 'BOOLEAN' ? 'true' : '';
  if (type === 'STRING' && typeof value === 'string') return value;
  return type === 'JSON' ? JSON.stringify(value, null, 2) : JSON.stringify(value);
}

/** Gives the draft of a value of a flag; null and undefined are no value of its own. */
export const valueDraftOf = (value: unknown, type: FlagType): ValueDraft => ({
  own: value !== null && value !== undefined,
  text: typedText(value, type),
});

/** Reads a number that somebody has typed; null where it is none. An empty text is none. */
export function readNumber(text: string): number | null {
  const number = Number(text.trim());
  return text.trim() !== '' && Number.isFinite(number) ? number : null;
}

/** Reads a typed value. */
export function readValue(text: string, type: FlagType): { readonly value: unknown } | { readonly wrong: ValueFault } {
  switch (type) {
    case 'BOOLEAN':
      return { value: text === 'true' };
    case 'STRING':
      return { value: text };
    case 'NUMBER': {
      const value = readNumber(text);
      return value === null ? { wrong: 'number' } : { value };
    }
    case 'JSON':
      try {
        const value: unknown = JSON.parse(text);
        return value === null ? { wrong: 'null' } : { value };
      } catch {
        return { wrong: 'json' };
      }
  }
}
