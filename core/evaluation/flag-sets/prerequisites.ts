/**
 * Prerequisites: before the rules of a flag count, some other flags must serve another variant than `control`, and some
 * must not. Source: scopes.md, "Dependencies".
 */
import type { Evaluation, JsonObject, JsonValue } from '../../model.ts';
import { isJsonObject } from '../../json/json-value.ts';

/** The variant of every flag that serves its default value. */
export const CONTROL = 'control';

/** The two kinds of dependencies. */
export type PrerequisiteKind = 'requires' | 'excludes';

/** One flag that another one requires or excludes. */
export interface Prerequisite {
  /** The key of the other flag; '' where it cannot be read. */
  readonly key: string;
  readonly kind: PrerequisiteKind;
  /** The variants of which a required flag must serve one; null for any but `control`. */
  readonly variants: readonly string[] | null;
  /** The evaluation of the flag while the prerequisite is not met. */
  readonly failed: Evaluation;
}

/**
 * Says whether a prerequisite is met.
 *
 * @param served what the other flag serves to the same vehicle; undefined where the vehicle has no such flag
 */
export function isMet({ kind, variants }: Prerequisite, served: Evaluation | undefined): boolean {
  const isOn = served !== undefined && served.variant !== CONTROL;
  if (kind === 'excludes') return !isOn;
  return isOn && (variants === null || variants.includes(served.variant));
}

/** A prerequisite that no flag meets stands for one that cannot be read: dependencies fail closed. */
const UNREADABLE = { key: '', kind: 'requires', variants: [] } as const;

function readRequirement(entry: JsonValue): Omit<Prerequisite, 'failed'> {
  const { flag, variants = null, ...others }: JsonObject = isJsonObject(entry) ? entry : {};
  if (typeof flag !== 'string' || flag === '') return UNREADABLE;
  // A member that is not known could ask for more, so that the rest alone would serve too much.
  if (Object.keys(others).length > 0) return { ...UNREADABLE, key: flag };
  if (variants === null) return { key: flag, kind: 'requires', variants };
  const areNames = (names: JsonValue): names is string[] =>
    Array.isArray(names) && names.length > 0 && names.every((name) => typeof name === 'string');
  return areNames(variants) ? { key: flag, kind: 'requires', variants: [...variants] } : { ...UNREADABLE, key: flag };
}

function readExclusion(entry: JsonValue): Omit<Prerequisite, 'failed'> {
  return typeof entry === 'string' && entry !== '' ? { key: entry, kind: 'excludes', variants: null } : UNREADABLE;
}

const isList = (value: JsonValue | undefined): value is JsonValue[] => Array.isArray(value);

/**
 * Reads the members `requires` and `excludes` of a definition, whatever JSON they are. Never throws.
 *
 * @param failed gives the evaluation of the flag while the flag of that key fails it
 * @returns the prerequisites in the order in which they are checked, and whether all of them could be read
 */
export function readPrerequisites(
  requires: JsonValue | undefined,
  excludes: JsonValue | undefined,
  failed: (key: string) => Evaluation,
): { readonly prerequisites: readonly Prerequisite[]; readonly areReadable: boolean } {
  const read = (list: JsonValue | undefined, readOne: (entry: JsonValue) => Omit<Prerequisite, 'failed'>) =>
    isList(list) ? list.map((entry) => readOne(entry)) : list === undefined || list === null ? [] : [UNREADABLE];
  const prerequisites = [...read(requires, readRequirement), ...read(excludes, readExclusion)].map((one) =>
    Object.freeze({ ...one, failed: failed(one.key) }),
  );
  return { prerequisites, areReadable: prerequisites.every(({ variants }) => variants?.length !== 0) };
}
