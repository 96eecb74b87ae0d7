/** Reads what somebody has pasted to register: one operation as a text, or a manifest of several. */
import { isMembers, type JsonMembers } from '../../json.ts';

/** A manifest as the control plane takes it, or why what was pasted gives none. */
export type PastedOperations =
  | { readonly manifest: JsonMembers; readonly fault: null }
  | { readonly manifest: null; readonly fault: 'missing' | 'notJson' | 'noName' };

const fault = (reason: 'missing' | 'notJson' | 'noName') => ({ manifest: null, fault: reason }) as const;

/** The name of an operation: behind its kind, where no bracket has opened yet. */
const NAME = /(?:^|[\s,}])(?:query|mutation|subscription)\s+([_A-Za-z]\w*)/;
const COMMENT = /#[^\n]*/g;

/**
 * Reads a pasted text. Whether the operations are valid is the control plane's to decide.
 *
 * @param id the id for a single operation; empty: its name
 */
export function readPasted(pasted: string, id: string): PastedOperations {
  const text = pasted.trim();
  if (text === '') return fault('missing');
  // A text that begins with a bracket may be a query without a name as well.
  if (/^\{\s*"|^\[/.test(text)) {
    try {
      const manifest: unknown = JSON.parse(text);
      return isMembers(manifest) ? { manifest, fault: null } : fault('notJson');
    } catch {
      return fault('notJson');
    }
  }
  const name = NAME.exec(text.replace(COMMENT, ''))?.[1];
  if (name === undefined) return fault('noName');
  return { manifest: { [id.trim() === '' ? name : id.trim()]: pasted }, fault: null };
}
