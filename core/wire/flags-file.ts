/**
 * A file of flags for a vehicle's programs under test: an environment's file (environment-file.ts), and beside its
 * flags `overrides: {key: value}`, which hold whatever the rules say. Pure.
 */
import { isMap, isSeq, type Document, type Node, type Scalar } from 'yaml';
import { FLAG_TYPES, type FlagType, type JsonValue } from '../model.ts';
import { checkFlagValue } from '../evaluation/flag-value.ts';
import { isJsonObject, membersOf } from '../json/json-value.ts';
import { validateFlagKey } from '../validation/validate-flag.ts';
import { Faults, lineOf, readEnvironment, readYaml, type FileFault, type FlagEntry } from './environment-file.ts';

export interface FlagsFile {
  readonly flags: readonly FlagEntry[];
  /** Values by flag. A key without a flag in the file is one of its value's type, or of the control plane. */
  readonly overrides: ReadonlyMap<string, JsonValue>;
}

/** A fault with the line, from 1, that it is in, or that what it is missing from begins in. */
export interface PlacedFault extends FileFault {
  readonly line: number;
}

/** The type of a flag that always has this value. */
export function typeOfValue(value: JsonValue): FlagType {
  return FLAG_TYPES.find((type) => type === typeof value) ?? 'json';
}

/** What a file says; or everything that is wrong with it, and then nothing else. */
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
  const { flags, faults: wrong } = readEnvironment({ flags: {}, ...environment });
  const faults = new Faults();
  for (const { path, message } of wrong)
    faults.add(
      path,
      message.replace('expected one of fleetflag, flags.', 'expected one of fleetflag, flags, overrides.'),
    );
  const values = readOverrides(overrides, new Map(flags.map(({ key, type }) => [key, type])), faults);
  if (faults.list.length > 0)
    return failed(faults.list.map((fault) => ({ ...fault, line: lineOf(text, positionOf(document, fault.path)) })));
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

/** Where in the text the path stands, or the innermost of its parents that there is. A key may have dots in it. */
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

/** The child that a path begins with: of several, the one with the longest name. */
function childOf(
  node: unknown,
  path: string,
): { readonly name: string; readonly position: number; readonly node: unknown } | null {
  if (isMap<Scalar<string>>(node)) {
    // Names are read as text only (stringKeys).
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

/** Every node that was parsed has a range. */
const startOf = (node: Node) => node.range![0];
