/** The field of a form that a fault is about. */
import type { Fault } from './fault.ts';

/** A fault that a form finds by itself, because such a text cannot even be sent. */
export type FieldFault = 'percentage' | 'priority' | 'number' | 'count' | 'json' | 'null' | 'name' | 'key';

/** The faults that a form has found by itself, by the paths of its fields. */
export type FieldFaults = Readonly<Record<string, FieldFault>>;

/** The names of the arguments that hold what a form sends. */
const ARGUMENT = /^(?:input|change\.(?:updateFlag|createRule|updateRule\.input))\./;

/** The fields of JSON as a text, in which a fault may be anywhere. */
const JSON_FIELDS: ReadonlySet<string> = new Set(['defaultValue', 'value', 'valueSchema']);

/**
 * Gives the control plane's words for a fault at `path` or below it; null where the fault is about something else.
 * Within a field of JSON they name the place, such as `properties.limit.minimum: …`.
 *
 * @param path without the argument's name, such as `conditions.models`
 */
export function faultAt(fault: Fault | null, path: string): string | null {
  const at = fault?.field?.replace(ARGUMENT, '');
  if (fault === null || at === undefined) return null;
  if (at === path) return fault.message;
  if (!at.startsWith(`${path}.`)) return null;
  return JSON_FIELDS.has(path) ? `${at.slice(path.length + 1)}: ${fault.message}` : fault.message;
}

/** Gives the number that follows `path` in a fault's own, such as 3 of `conditions.vins.3`; null without one. */
export function indexAt(fault: Fault | null, path: string): number | null {
  const at = fault?.field?.replace(ARGUMENT, '');
  const index = at?.startsWith(`${path}.`) === true ? Number(at.slice(path.length + 1).split('.')[0]) : Number.NaN;
  return Number.isInteger(index) ? index : null;
}
