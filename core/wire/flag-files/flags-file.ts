/**
 * Reads a file of flags for testing a vehicle's programs. It is an environment's file (environment-file.ts) that may
 * also have `overrides: {key: value}`, which win over the rules. Pure.
 */
import { isMap, isSeq, type Document, type Node, type Scalar } from 'yaml';
import { FLAG_TYPES, type FlagType, type JsonValue } from '../../model.ts';
import { checkFlagValue } from '../../evaluation/values/flag-value.ts';
import { isJsonObject, membersOf } from '../../json/json-value.ts';
import { validateFlagKey } from '../../validation/validate-flag.ts';
import {
  Faults,
  lineNumberAt,
  readEnvironmentContent,
  readYaml,
  type FileFault,
  type FlagEntry,
} from './environment-file.ts';

/** The content of a file of flags. */
export interface FlagsFile {
  readonly flags: readonly FlagEntry[];
  /**
   * The values by flag. An override without a flag in the file is for a flag of the control plane, or else for a flag
   * of the value's type.
   */
  readonly overrides: ReadonlyMap<string, JsonValue>;
}

/** A fault with its line, from 1. Where a member is missing, it is the line in which the object begins. */
export interface PlacedFault extends FileFault {
  readonly line: number;
}

/** Gives the type of a flag that always has this value. */
export function typeOfValue(value: JsonValue): FlagType {
  return FLAG_TYPES.find((type) => type === typeof value) ?? 'json';
}

/** Parses a file of flags. Where it has faults, all of them are given, and no flags or overrides. */
export function parseFlagsFile(text: string): FlagsFile & { readonly faults: readonly PlacedFault[] } {
  const { json, faults: unreadable, document } = readYaml(text);
  if (unreadable.length > 0)
    return failed(
      unreadable.map((fault) => ({
        ...fault,
        line: Number(/^line (\d+)/.exec(fault.message)?.[1] ?? 1),
        message: fault.message.replace(/^line \d+: /, ''),
      })),
    );
  const { overrides = {}, ...environment } = membersOf(json);
  const { flags, faults: wrong } = readEnvironmentContent({ flags: {}, ...environment });
  const faults = new Faults();
  for (const { path, message } of wrong)
    faults.add(
      path,
      message.replace(
        'expected one of fleetflag, releasePolicy, flags.',
        'expected one of fleetflag, releasePolicy, flags, overrides.',
      ),
    );
  const values = readOverrides(overrides, new Map(flags.map(({ key, type }) => [key, type])), faults);
  if (faults.list.length > 0)
    return failed(
      faults.list.map((fault) => ({ ...fault, line: lineNumberAt(text, positionOf(document, fault.path)) })),
    );
  return { flags, overrides: values, faults: [] };
}

function failed(faults: readonly PlacedFault[]): ReturnType<typeof parseFlagsFile> {
  return { flags: [], overrides: new Map(), faults };
}

function readOverrides(
  overrides: unknown,
  types: ReadonlyMap<string, FlagType>,
  faults: Faults,
): Map<string, JsonValue> {
  const values = new Map<string, JsonValue>();
  if (!isJsonObject(overrides)) {
    faults.add('overrides', 'Expected an object with a value for each flag that is overridden.');
    return values;
  }
  const folded = new Map([...types.keys()].map((key) => [key.toLowerCase(), key]));
  for (const [key, value] of Object.entries(overrides)) {
    const path = `overrides.${key}`;
    const first = folded.get(key.toLowerCase()) ?? key;
    if (first !== key) faults.add(path, `This key differs from ${JSON.stringify(first)} only in case.`);
    folded.set(key.toLowerCase(), key);
    faults.try(() => validateFlagKey(key, path));
    if (value === null) faults.add(path, 'A flag value must not be null.');
    else faults.try(() => values.set(key, checkFlagValue(types.get(key) ?? typeOfValue(value), value, path)));
  }
  return values;
}

/** Gives the position of a path in the text, or of its innermost parent that exists. Keys may have dots in them. */
function positionOf(document: Document, path: string): number {
  let node: unknown = document.contents;
  let position = 0;
  let rest = path;
  for (;;) {
    const next = childOf(node, rest);
    if (next === null) return position;
    position = next.position;
    node = next.node;
    rest = rest.slice(next.name.length + 1);
  }
}

/** Gives the child with which a path begins; of several, the one with the longest name. */
function childOf(
  node: unknown,
  path: string,
): { readonly name: string; readonly position: number; readonly node: unknown } | null {
  if (isMap<Scalar<string>>(node)) {
    // The option stringKeys makes every key a scalar with text.
    const named = node.items.map(({ key, value }) => ({
      name: key.value,
      position: startOf(key),
      node: value,
    }));
    const found = named
      .filter(({ name }) => path === name || path.startsWith(`${name}.`))
      .sort((a, b) => b.name.length - a.name.length);
    return found[0] ?? null;
  }
  const name = path.split('.', 1)[0]!;
  if (!isSeq<Node>(node) || !Object.hasOwn(node.items, name)) return null;
  const item = node.items[Number(name)]!;
  return { name, position: startOf(item), node: item };
}

/** Gives the position at which a node begins. Every parsed node has a range. */
const startOf = (node: Node) => node.range![0];
