/**
 * Reads an environment's flags and release policy from one YAML text. Pure. Reading reports every fault of the text at
 * once. Such texts are written by subgraphs/flags/import-export/environment-file.ts.
 */
import { Document, isCollection, isPair, isMap, parseDocument, visit, type Scalar } from 'yaml';
import { FleetFlagError, type ErrorCode } from '../../errors.ts';
import {
  type Activation,
  type KillActivation,
  FLAG_TYPES,
  RULE_TYPES,
  SAFETY_LEVELS,
  type FlagType,
  type JsonObject,
  type JsonValue,
  type Requirement,
  type SafetyLevel,
} from '../../model.ts';
import { contractFault } from '../../evaluation/values/contract-fault.ts';
import { validateValueSchema } from '../../contracts/value-contract.ts';
import { checkFlagValue } from '../../evaluation/values/flag-value.ts';
import { isJsonObject, membersOf, parseJson, type Members } from '../../json/json-value.ts';
import { validateFlagDescription, validateFlagKey, validateFlagName } from '../../validation/validate-flag.ts';
import { validateDependencies, type ValidDependencies } from '../../validation/validate-dependencies.ts';
import { validateActivation, validateKillActivation } from '../../validation/validate-activation.ts';
import { POLICY_MEMBER, readPolicyEntry, type PolicyEntry } from './policy-entry.ts';
import { validateScope } from '../../validation/validate-scope.ts';
import { DEFAULT_PRIORITY, validateRuleInput, type ValidRule } from '../../validation/validate-rule.ts';

/** A rule in the file. Its type and priority identify it; no two rules of a flag share both. */
export type RuleEntry = ValidRule;

/** A flag in the file. */
export interface FlagEntry {
  readonly key: string;
  readonly name: string;
  readonly description: string | null;
  readonly type: FlagType;
  readonly safetyLevel: SafetyLevel;
  readonly enabled: boolean;
  readonly defaultValue: JsonValue;
  /** The models that get it; null for every vehicle. */
  readonly scope: readonly string[] | null;
  /** The flags that it requires, and the variants, or null for any but control. */
  readonly requires: readonly Requirement[];
  /** The keys of the flags that it excludes. */
  readonly excludes: readonly string[];
  /** The value contract; null for none. */
  readonly valueSchema: JsonObject | null;
  readonly activation: Activation;
  readonly killActivation: KillActivation;
  /** The rules in the order in which they are tried: highest priority first. */
  readonly rules: readonly RuleEntry[];
}

/**
 * A fault of a file, with its dotted path such as `flags.lane_keep.rules.2.conditions.vins.3`. The path of a fault of
 * the file as a whole is empty.
 */
export interface FileFault {
  readonly path: string;
  readonly message: string;
  /** The code of the refusal that the file would meet in the API; absent for what only a file can have. */
  readonly code?: ErrorCode;
}

/** The version of the file's form, as its member `fleetflag` names it. */
export const FILE_VERSION = 1;

const MEMBERS = [
  ...['name', 'description', 'type', 'safetyLevel', 'enabled', 'defaultValue'],
  ...['scope', 'requires', 'excludes', 'valueSchema', 'activation', 'killActivation', 'rules'],
];
const REQUIREMENT_MEMBERS = ['flag', 'variants'];
const RULE_MEMBERS = ['type', 'priority', 'enabled', 'conditions', 'value', 'variant'];

/** The levels of lists and objects that a file may have. Rules' conditions and values need far fewer. */
const MAX_DEPTH = 64;

/**
 * The options of the YAML parser. Member names are always text, and no tag makes bytes, dates or sets, which JSON does
 * not have. Aliases are refused below: a few lines of them can stand for gigabytes.
 */
const READING = {
  stringKeys: true,
  uniqueKeys: true,
  strict: true,
  prettyErrors: false,
  resolveKnownTags: false,
  logLevel: 'error',
} as const;

const TOO_DEEP = `Lists and objects may be nested at most ${MAX_DEPTH} levels deep.`;

/** Joins the member names on the way to a node, up to eight: enough to find it. */
function pathOf(ancestors: readonly unknown[]): string {
  return ancestors
    .flatMap((node) => (isPair<Scalar<string>>(node) ? [node.key.value] : []))
    .slice(0, 8)
    .join('.');
}

/** Parses YAML to the JSON that it holds. Where it has faults, `json` is null. */
export function readYaml(text: string): { json: unknown; faults: FileFault[]; document: Document } {
  let document;
  try {
    document = parseDocument(text, READING);
  } catch {
    // The parser recurses; it throws for nothing but an exhausted stack.
    return { json: null, faults: [{ path: '', message: TOO_DEEP }], document: new Document() };
  }
  const faults: FileFault[] = [...document.errors, ...document.warnings].map(({ message, pos }) => ({
    path: '',
    message: `line ${lineNumberAt(text, pos[0])}: ${message}`,
  }));
  visit(document, {
    Collection(_, { range }, ancestors) {
      if (ancestors.filter((node) => isCollection(node)).length < MAX_DEPTH) return undefined;
      faults.push({ path: pathOf(ancestors), message: `line ${lineNumberAt(text, range![0])}: ${TOO_DEEP}` });
      return visit.BREAK;
    },
    Alias: (_, { source, range }) =>
      void faults.push({
        path: '',
        message: `line ${lineNumberAt(text, range![0])}: The alias *${source} is not supported; write the value out.`,
      }),
  });
  if (faults.length === 0 && !isMap(document.contents))
    faults.push({ path: '', message: 'Expected a file of flags: an object with the members fleetflag and flags.' });
  return { json: faults.length > 0 ? null : document.toJS(), faults, document };
}

/** Gives the number of the line, from 1, that holds a position of the text. */
export const lineNumberAt = (text: string, position: number) => text.slice(0, position).split('\n').length;

/** Collects the refusals that validators throw, so that one run reports every fault. */
export class Faults {
  readonly list: FileFault[] = [];

  add(path: string, message: string): void {
    this.list.push({ path, message });
  }

  /** Gives the result of `read`, or collects its refusal and gives undefined. Other errors are thrown on. */
  try<T>(read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof FleetFlagError)) throw error;
      this.add(error.details.field ?? '', error.message);
      return undefined;
    }
  }
}

/**
 * Gives the flags of a file in the order of their keys, or all faults and no flags. Of a list in `conditions`, only the
 * first fault is reported.
 */
export function parseEnvironmentFile(text: string): {
  readonly flags: readonly FlagEntry[];
  /** The release policy; null where the file has none, which keeps the one that is there. */
  readonly releasePolicy: PolicyEntry | null;
  readonly faults: readonly FileFault[];
} {
  const { json, faults: unreadable } = readYaml(text);
  if (unreadable.length > 0) return { flags: [], releasePolicy: null, faults: unreadable };
  const content = membersOf(json);
  const { flags, faults: ofFlags } = readEnvironmentContent(content);
  const { entry: releasePolicy, faults: ofPolicy } = readPolicyEntry(content[POLICY_MEMBER]);
  const faults = [...ofFlags, ...ofPolicy];
  return faults.length > 0 ? { flags: [], releasePolicy: null, faults } : { flags, releasePolicy, faults };
}

/**
 * Reads the flags of an environment's file, which is already parsed, like `parseEnvironmentFile`. Vehicles know no
 * policy.
 */
export function readEnvironmentContent(json: Members): {
  readonly flags: readonly FlagEntry[];
  readonly faults: readonly FileFault[];
} {
  const faults = new Faults();
  const { fleetflag, flags, [POLICY_MEMBER]: _, ...others } = json;
  if (fleetflag !== FILE_VERSION)
    return {
      flags: [],
      faults: [
        {
          path: 'fleetflag',
          message: `Expected version ${FILE_VERSION} of the file format; found ${JSON.stringify(fleetflag) ?? 'none'}.`,
        },
      ],
    };
  for (const name of Object.keys(others))
    faults.add(name, 'Unknown member; expected one of fleetflag, releasePolicy, flags.');
  if (!isJsonObject(flags)) faults.add('flags', 'Expected an object with a member for each flag; {} for none.');
  const entries = isJsonObject(flags) ? Object.entries(flags).map(([key, flag]) => readFlag(key, flag, faults)) : [];
  const folded = new Map<string, string>();
  for (const key of isJsonObject(flags) ? Object.keys(flags) : []) {
    const first = folded.get(key.toLowerCase());
    if (first !== undefined) faults.add(`flags.${key}`, `This key differs from ${JSON.stringify(first)} only in case.`);
    folded.set(key.toLowerCase(), key);
  }
  if (faults.list.length > 0) return { flags: [], faults: faults.list };
  return { flags: entries.filter((entry) => entry !== null).sort((a, b) => (a.key < b.key ? -1 : 1)), faults: [] };
}

function readFlag(key: string, flag: JsonValue, faults: Faults): FlagEntry | null {
  const path = `flags.${key}`;
  const before = faults.list.length;
  faults.try(() => validateFlagKey(key, path));
  if (!isJsonObject(flag)) {
    faults.add(path, 'Expected an object.');
    return null;
  }
  checkMembers(flag, MEMBERS, path, faults);
  const name = faults.try(() => validateFlagName(flag['name'], `${path}.name`));
  const description = faults.try(() => validateFlagDescription(flag['description'], `${path}.description`));
  const type = readOneOf(flag['type'], FLAG_TYPES, `${path}.type`, faults);
  const safetyLevel = readOneOf(flag['safetyLevel'], SAFETY_LEVELS, `${path}.safetyLevel`, faults);
  const { enabled } = flag;
  if (typeof enabled !== 'boolean') faults.add(`${path}.enabled`, 'Expected true or false.');
  // A value of an unknown type is checked as JSON: that finds the faults that no type would allow.
  const defaultValue = faults.try(() =>
    exact(checkFlagValue(type ?? 'json', flag['defaultValue'], `${path}.defaultValue`)),
  );
  const scope = faults.try(() => validateScope(flag['scope'], `${path}.scope`));
  const dependencies = readDependencies(key, flag, path, faults);
  const valueSchema = faults.try(() => {
    const schema = flag['valueSchema'] ?? null;
    return validateValueSchema(schema === null ? null : exact(schema), `${path}.valueSchema`);
  });
  const activation = faults.try(() => validateActivation(flag['activation'], `${path}.activation`));
  const killActivation = faults.try(() => validateKillActivation(flag['killActivation'], `${path}.killActivation`));
  const rules = readRules(flag['rules'] ?? [], type ?? 'json', `${path}.rules`, faults);
  if (type !== undefined && defaultValue !== undefined && valueSchema !== undefined && faults.list.length === before)
    checkContract({ type, defaultValue, valueSchema, rules }, flag['rules'], path, faults);
  if (faults.list.length > before || typeof enabled !== 'boolean') return null;
  return {
    key,
    name: name!,
    description: description!,
    type: type!,
    safetyLevel: safetyLevel!,
    enabled,
    defaultValue: defaultValue!,
    scope: scope!,
    ...dependencies!,
    valueSchema: valueSchema!,
    activation: activation!,
    killActivation: killActivation!,
    rules,
  };
}

/** Reports the first value of a flag that is outside its contract, at its place in the file. */
function checkContract(
  flag: Pick<FlagEntry, 'type' | 'defaultValue' | 'valueSchema' | 'rules'>,
  written: JsonValue | undefined,
  path: string,
  faults: Faults,
): void {
  const fault = contractFault(flag);
  if (fault === null) return;
  const rule = flag.rules[fault.ruleIndex];
  // The rules are sorted by now; type and priority say which one of the file it is.
  const index = (Array.isArray(written) ? written : []).findIndex((each) => {
    const { type, priority } = membersOf(each);
    return type === rule?.type && (priority ?? DEFAULT_PRIORITY) === rule?.priority;
  });
  const place = rule === undefined ? fault.path : `rules.${index}.${fault.path}`;
  faults.add(`${path}.${place}`, `Outside the flag's value contract: it ${fault.message}`);
}

/** Reads a flag's dependencies. Of several faults in them, only the first is reported. */
function readDependencies(key: string, flag: JsonObject, path: string, faults: Faults): ValidDependencies | undefined {
  const requires = flag['requires'] ?? [];
  for (const [index, requirement] of Array.isArray(requires) ? requires.entries() : [])
    if (isJsonObject(requirement)) checkMembers(requirement, REQUIREMENT_MEMBERS, `${path}.requires.${index}`, faults);
  return faults.try(() => validateDependencies({ requires, excludes: flag['excludes'] ?? [] }, key, path, 'flag'));
}

function readRules(rules: JsonValue, flagType: FlagType, path: string, faults: Faults): RuleEntry[] {
  if (!Array.isArray(rules)) {
    faults.add(path, 'Expected a list.');
    return [];
  }
  const entries: RuleEntry[] = [];
  const places = new Map<string, number>();
  rules.forEach((rule, index) => {
    const entry = readRule(rule, flagType, `${path}.${index}`, faults);
    if (entry === null) return;
    const first = places.get(`${entry.type} ${entry.priority}`);
    if (first !== undefined)
      faults.add(
        `${path}.${index}.priority`,
        `Rule ${first} is already a ${entry.type} rule of priority ${entry.priority}; choose another priority.`,
      );
    places.set(`${entry.type} ${entry.priority}`, index);
    entries.push(entry);
  });
  return entries.sort((a, b) => b.priority - a.priority || RULE_TYPES.indexOf(a.type) - RULE_TYPES.indexOf(b.type));
}

/** Valid conditions that replace refused ones, so that the rest of the rule can be checked. */
const HARMLESS = { type: 'kill_switch', conditions: { force_disabled: false } };

function readRule(rule: JsonValue, flagType: FlagType, path: string, faults: Faults): RuleEntry | null {
  if (!isJsonObject(rule)) {
    faults.add(path, 'Expected an object.');
    return null;
  }
  const before = faults.list.length;
  checkMembers(rule, RULE_MEMBERS, path, faults);
  let draft: JsonObject = { ...rule };
  // Each round finds one fault, and the next one goes on without the faulty member.
  for (;;) {
    const found = faults.list.length;
    const entry = faults.try(() =>
      validateRuleInput({ ...draft, type: draft['type'], conditions: draft['conditions'] }, flagType, path),
    );
    if (entry !== undefined) {
      return faults.list.length > before
        ? null
        : { ...entry, conditions: exact(entry.conditions), value: exact(entry.value) };
    }
    const member = faults.list[found]!.path.slice(path.length + 1).split('.', 1)[0]!;
    if (member === 'type' || member === '') return null;
    draft = member === 'conditions' ? { ...draft, ...HARMLESS } : without(draft, member);
  }
}

const without = (draft: JsonObject, member: string): JsonObject =>
  Object.fromEntries(Object.entries(draft).filter(([name]) => name !== member));

/** Gives a value as JSON writes it: without the minus of −0, which neither the database nor a vehicle keeps. */
const exact = (value: JsonValue): JsonValue => parseJson(JSON.stringify(value));

/** Refuses unknown members: a misspelt one would otherwise be ignored in silence. */
function checkMembers(object: JsonObject, known: readonly string[], path: string, faults: Faults): void {
  for (const name of Object.keys(object))
    if (!known.includes(name)) faults.add(`${path}.${name}`, `Unknown member; expected one of ${known.join(', ')}.`);
}

function readOneOf<T extends string>(
  value: unknown,
  allowed: readonly T[],
  path: string,
  faults: Faults,
): T | undefined {
  const found = allowed.find((candidate) => candidate === value);
  if (found === undefined) faults.add(path, `Expected one of ${allowed.join(', ')}.`);
  return found;
}
