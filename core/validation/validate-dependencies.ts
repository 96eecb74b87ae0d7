/**
 * Validates the form of a flag's dependencies before they are stored. Whether the flags that they name exist and fit is
 * checked by core/partitions/dependency-graph.ts. Source: scopes.md, "Dependencies".
 */
import { badInput } from '../errors.ts';
import { isObject } from '../json/json-value.ts';
import { VARIANT_PATTERN, type Requirement } from '../model.ts';
import { validateFlagKey } from './validate-flag.ts';

/** The most flags that one flag may require, that it may exclude, and the most variants of one requirement. */
export const MAX_DEPENDENCIES = 20;

/** The variant that a flag's default value has. It never satisfies a requirement. */
const CONTROL = 'control';

/** The dependencies of a flag as they are stored. */
export interface ValidDependencies {
  readonly requires: readonly Requirement[];
  readonly excludes: readonly string[];
}

function readList(list: unknown, path: string, what: string): readonly unknown[] {
  if (list === null || list === undefined) return [];
  if (!Array.isArray(list)) throw badInput(path, `Expected a list of ${what}.`);
  if (list.length > MAX_DEPENDENCIES) throw badInput(path, `Expected at most ${MAX_DEPENDENCIES} ${what}.`);
  return list;
}

function readVariants(list: unknown, path: string): readonly string[] | null {
  if (list === null || list === undefined) return null;
  const variants = readList(list, path, 'variants');
  if (variants.length === 0)
    throw badInput(path, 'Expected at least one variant; leave the list out for any variant but control.');
  const seen = new Set<unknown>();
  return variants.map((variant, index) => {
    const at = `${path}.${index}`;
    if (typeof variant !== 'string' || !VARIANT_PATTERN.test(variant))
      throw badInput(at, 'A variant must have 1 to 50 letters, digits, dots, underscores and hyphens.');
    if (variant === CONTROL)
      throw badInput(at, 'control is what a disabled flag serves, so it cannot be required; name other variants.');
    if (seen.has(variant)) throw badInput(at, `${variant} is named twice.`);
    seen.add(variant);
    return variant;
  });
}

/**
 * Validates the dependencies of the flag `key`.
 *
 * @param requires a list of `{flagKey, variants?}` (with `flagMember`, the first member has another name); null or
 *   undefined for none
 * @param excludes a list of flags' keys; null or undefined for none
 * @param path the dotted path of the object that has both lists, such as `input`
 * @throws BAD_USER_INPUT at the dotted path of the first fault, such as `input.requires.1.flagKey`: no list, more than
 *   20 entries, no key, the flag itself, a flag that is named twice or in both lists, a malformed variant
 */
export function validateDependencies(
  { requires, excludes }: { readonly requires?: unknown; readonly excludes?: unknown },
  key: string,
  path: string,
  flagMember = 'flagKey',
): ValidDependencies {
  const seen = new Set<string>();
  const readKey = (value: unknown, at: string): string => {
    const named = validateFlagKey(value, at);
    if (named === key) throw badInput(at, 'A flag cannot depend on itself.');
    if (seen.has(named)) throw badInput(at, `${named} is named twice among the flag's dependencies.`);
    seen.add(named);
    return named;
  };
  return {
    requires: readList(requires, `${path}.requires`, 'required flags').map((entry, index): Requirement => {
      const at = `${path}.requires.${index}`;
      if (!isObject(entry)) throw badInput(at, `Expected an object with the member ${flagMember}.`);
      const flag = readKey(entry[flagMember], `${at}.${flagMember}`);
      const variants = readVariants(entry['variants'], `${at}.variants`);
      return variants === null ? { flag } : { flag, variants };
    }),
    excludes: readList(excludes, `${path}.excludes`, 'excluded flags').map((entry, index) =>
      readKey(entry, `${path}.excludes.${index}`),
    ),
  };
}
