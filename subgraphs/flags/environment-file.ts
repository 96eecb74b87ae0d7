/**
 * An environment's flags as one text: YAML that people can read and compare, and that says everything there is to say
 * about a flag but who changed it when. Pure. Reading gives every fault of the text at once.
 */
import { Document, isMap, parseDocument, visit, type CreateNodeOptions, type DocumentOptions, type SchemaOptions, type ToStringOptions } from 'yaml';
import { FleetFlagError } from '../../core/errors.ts';
import { FLAG_TYPES, RULE_TYPES, SAFETY_LEVELS, type FlagDefinition, type FlagType, type JsonObject, type JsonValue, type RuleDefinition, type SafetyLevel } from '../../core/model.ts';
import { checkFlagValue } from '../../core/rules/flag-value.ts';
import { isJsonObject } from '../../core/rules/json.ts';
import { compareRules } from '../../core/rules/rule-order.ts';
import { validateFlagDescription, validateFlagKey, validateFlagName } from '../../core/rules/validate-flag.ts';
import { validateRuleInput, type ValidRule } from '../../core/rules/validate-rule.ts';

/** A rule in the file: known by its type and priority, which no two rules of a flag share. */
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
  /** As they are tried: highest priority first. */
  readonly rules: readonly RuleEntry[];
}

/** What is wrong, and where: a dotted path such as `flags.lane_keep.rules.2.conditions.vins.3`; empty for the file as a whole. */
export interface FileFault {
  readonly path: string;
  readonly message: string;
}

export const FILE_VERSION = 1;

const HEADER = `FleetFlag: the flags of one environment. Written by "npm run admin -- export", read by "npm run admin -- import".`;
const MEMBERS = ['name', 'description', 'type', 'safetyLevel', 'enabled', 'defaultValue', 'rules'];
const RULE_MEMBERS = ['type', 'priority', 'enabled', 'conditions', 'value', 'variant'];

/** No line is folded, no object becomes an alias, and what older YAML would take for something else is quoted. */
const PRINTING: DocumentOptions & SchemaOptions & CreateNodeOptions & ToStringOptions = { lineWidth: 0, doubleQuotedMinMultiLineLength: Infinity, aliasDuplicateObjects: false, compat: 'yaml-1.1' };
/** Text that the printer's plain form or block would not give back: blanks at an end of it or of a line, and controls. */
const ONLY_QUOTED = /^\s|\s$|[^\S\n]\n|\n[^\S\n]|(?!\n)[\p{Cc}\p{Zl}\p{Zp}\ufeff]/u;
/** Member names are text whatever they look like. Aliases are refused: a few lines of them can stand for gigabytes. */
const READING = { stringKeys: true, uniqueKeys: true, strict: true, prettyErrors: false, logLevel: 'error' } as const;

const inOrder = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]) => (a < b ? -1 : 1);

/** The same JSON with members in one order. A Map keeps that order for names that look like numbers, too. */
function sorted(value: JsonValue): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isJsonObject(value)) return value;
  return new Map(Object.entries(value).sort(inOrder).map(([name, member]) => [name, sorted(member)]));
}

/** A flag as the file shows it. */
export function flagEntry(flag: FlagDefinition & { readonly name: string; readonly description: string | null }): FlagEntry {
  const { key, name, description, type, safetyLevel, enabled, defaultValue } = flag;
  return { key, name, description, type, safetyLevel, enabled, defaultValue, rules: [...flag.rules].sort(compareRules).map(ruleEntry) };
}

/** A rule as the file shows it. */
export function ruleEntry(rule: RuleDefinition): RuleEntry {
  const { type, priority, enabled, conditions, value, variant } = rule;
  return { type, priority, enabled, conditions, value: value ?? null, variant: variant ?? null };
}

/**
 * The file: flags by key, members always in the same order, so that two states differ in the lines that mean it.
 *
 * @throws Error that names the flags which would not be read back exactly: a backup that lies is worse than none
 */
export function printEnvironmentFile(flags: readonly FlagEntry[]): string {
  const entries = [...flags]
    .sort((a, b) => (a.key < b.key ? -1 : 1))
    .map(({ key, name, description, type, safetyLevel, enabled, defaultValue, rules }) => [
      key,
      {
        name,
        ...(description !== null && { description }),
        type,
        safetyLevel,
        enabled,
        defaultValue: sorted(defaultValue),
        rules: rules.map((rule) => ({
          type: rule.type,
          priority: rule.priority,
          enabled: rule.enabled,
          conditions: sorted(rule.conditions),
          ...(rule.value !== null && { value: sorted(rule.value) }),
          ...(rule.variant !== null && { variant: rule.variant }),
        })),
      },
    ] as const);
  const text = printedExactly({ fleetflag: FILE_VERSION, flags: new Map<string, unknown>(entries) });
  if (text !== null) return `# ${HEADER}\n${text}`;
  const lost = entries.filter(([key, flag]) => printedExactly({ [key]: flag }) === null).map(([key]) => key);
  throw new Error(`Nothing is written: ${lost.join(', ') || 'these flags together'} could not be read back from YAML as they are.`);
}

/** The content as YAML; null when it cannot be printed, or would not be read back as it is. */
function printedExactly(content: object): string | null {
  try {
    const text = printYaml(content);
    return JSON.stringify(readYaml(text).json) === JSON.stringify(plain(content)) ? text : null;
  } catch {
    return null;
  }
}

function printYaml(content: object): string {
  const document = new Document(content, PRINTING);
  visit(document, {
    Scalar: (_, scalar) => {
      if (typeof scalar.value === 'string' && ONLY_QUOTED.test(scalar.value)) scalar.type = 'QUOTE_DOUBLE';
    },
  });
  return document.toString(PRINTING);
}

/** Maps as objects again. */
function plain(value: unknown): unknown {
  if (value instanceof Map) {
    const object: Record<string, unknown> = {};
    // Not by assignment: a member may be called __proto__.
    for (const [name, member] of value as Map<string, unknown>) Object.defineProperty(object, name, { value: plain(member), enumerable: true, configurable: true, writable: true });
    return object;
  }
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === 'object' && value !== null) return plain(new Map(Object.entries(value)));
  return value;
}

function readYaml(text: string): { json: unknown; faults: FileFault[] } {
  const document = parseDocument(text, READING);
  const faults = [...document.errors, ...document.warnings].map(({ message, pos }) => ({ path: '', message: `line ${lineOf(text, pos[0])}: ${message}` }));
  visit(document, {
    Alias: (_, { source, range }) => void faults.push({ path: '', message: `line ${lineOf(text, range?.[0] ?? 0)}: The alias *${source} is not read; write the value out.` }),
  });
  if (faults.length === 0 && !isMap(document.contents)) faults.push({ path: '', message: 'This is no file of flags.' });
  return faults.length > 0 ? { json: null, faults } : { json: document.toJS(), faults };
}

const lineOf = (text: string, position: number) => text.slice(0, position).split('\n').length;

/** Collects what validators throw, so that one run shows everything that is wrong. */
class Faults {
  readonly list: FileFault[] = [];

  add(path: string, message: string): void {
    this.list.push({ path, message });
  }

  /** What `read` gives, or undefined with its refusal kept. */
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

/** The flags of a file, by key; or everything that is wrong with it, and then no flags. A list in `conditions` is reported up to its first fault. */
export function parseEnvironmentFile(text: string): { readonly flags: readonly FlagEntry[]; readonly faults: readonly FileFault[] } {
  const { json, faults: unreadable } = readYaml(text);
  if (unreadable.length > 0) return { flags: [], faults: unreadable };
  const faults = new Faults();
  const { fleetflag, flags, ...others } = json as Record<string, unknown>;
  if (fleetflag !== FILE_VERSION) return { flags: [], faults: [{ path: 'fleetflag', message: `This FleetFlag reads version ${FILE_VERSION} of the file; this one says ${JSON.stringify(fleetflag) ?? 'nothing'}.` }] };
  for (const name of Object.keys(others)) faults.add(name, 'Unknown member; known are fleetflag, flags.');
  if (!isJsonObject(flags)) faults.add('flags', 'This must be an object with a member for each flag; {} for none.');
  const entries = isJsonObject(flags) ? Object.entries(flags).map(([key, flag]) => readFlag(key, flag, faults)) : [];
  const folded = new Map<string, string>();
  for (const key of isJsonObject(flags) ? Object.keys(flags) : []) {
    const first = folded.get(key.toLowerCase());
    if (first !== undefined) faults.add(`flags.${key}`, `This key differs from ${JSON.stringify(first)} by case alone.`);
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
    faults.add(path, 'This must be an object.');
    return null;
  }
  checkMembers(flag, MEMBERS, path, faults);
  const name = faults.try(() => validateFlagName(flag['name'], `${path}.name`));
  const description = faults.try(() => validateFlagDescription(flag['description'], `${path}.description`));
  const type = readOneOf(flag['type'], FLAG_TYPES, `${path}.type`, faults);
  const safetyLevel = readOneOf(flag['safetyLevel'], SAFETY_LEVELS, `${path}.safetyLevel`, faults);
  const { enabled } = flag;
  if (typeof enabled !== 'boolean') faults.add(`${path}.enabled`, 'This must be true or false.');
  // Against type json where the type is not known: what is wrong in any case is still found.
  const defaultValue = faults.try(() => exact(checkFlagValue(type ?? 'json', flag['defaultValue'], `${path}.defaultValue`)));
  const rules = readRules(flag['rules'] ?? [], type ?? 'json', `${path}.rules`, faults);
  if (faults.list.length > before) return null;
  return { key, name: name!, description: description!, type: type!, safetyLevel: safetyLevel!, enabled: enabled as boolean, defaultValue: defaultValue!, rules };
}

function readRules(rules: JsonValue, flagType: FlagType, path: string, faults: Faults): RuleEntry[] {
  if (!Array.isArray(rules)) {
    faults.add(path, 'This must be a list.');
    return [];
  }
  const entries: RuleEntry[] = [];
  const places = new Map<string, number>();
  rules.forEach((rule, index) => {
    const entry = readRule(rule, flagType, `${path}.${index}`, faults);
    if (entry === null) return;
    const first = places.get(`${entry.type} ${entry.priority}`);
    if (first !== undefined) faults.add(`${path}.${index}.priority`, `Rule ${first} is a ${entry.type} rule of priority ${entry.priority} already.`);
    places.set(`${entry.type} ${entry.priority}`, index);
    entries.push(entry);
  });
  return entries.sort((a, b) => b.priority - a.priority || RULE_TYPES.indexOf(a.type) - RULE_TYPES.indexOf(b.type));
}

/** What stands in for conditions that were refused while the rest of the rule is read. */
const HARMLESS = { type: 'kill_switch', conditions: { force_disabled: false } };

function readRule(rule: JsonValue, flagType: FlagType, path: string, faults: Faults): RuleEntry | null {
  if (!isJsonObject(rule)) {
    faults.add(path, 'This must be an object.');
    return null;
  }
  const before = faults.list.length;
  checkMembers(rule, RULE_MEMBERS, path, faults);
  let draft: JsonObject = { ...rule };
  // Each round finds one fault and goes on without what was faulty.
  for (;;) {
    const found = faults.list.length;
    const entry = faults.try(() => validateRuleInput({ ...draft, type: draft['type'], conditions: draft['conditions'] }, flagType, path));
    if (entry !== undefined) {
      return faults.list.length > before ? null : { ...entry, conditions: exact(entry.conditions), value: exact(entry.value) };
    }
    const member = faults.list[found]?.path.slice(path.length + 1).split('.')[0] ?? '';
    if (member === 'type' || member === '') return null;
    draft = member === 'conditions' ? { ...draft, ...HARMLESS } : without(draft, member);
  }
}

const without = (draft: JsonObject, member: string): JsonObject => Object.fromEntries(Object.entries(draft).filter(([name]) => name !== member));

/** As JSON writes it: without the minus of a zero, which neither the database nor a vehicle keeps. */
const exact = (value: JsonValue): JsonValue => JSON.parse(JSON.stringify(value)) as JsonValue;

/** An unknown member is refused, not skipped: it was meant to say something. */
function checkMembers(object: JsonObject, known: readonly string[], path: string, faults: Faults): void {
  for (const name of Object.keys(object)) if (!known.includes(name)) faults.add(`${path}.${name}`, `Unknown member; known are ${known.join(', ')}.`);
}

function readOneOf<T extends string>(value: unknown, allowed: readonly T[], path: string, faults: Faults): T | undefined {
  const found = allowed.find((candidate) => candidate === value);
  if (found === undefined) faults.add(path, `This must be one of ${allowed.join(', ')}.`);
  return found;
}
