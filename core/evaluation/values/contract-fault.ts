/**
 * Checks whether the values that a flag could serve are within its value contract. Source: releases.md, "Value
 * contracts"; docs/decisions/flags/value-contracts.md.
 */
import { FleetFlagError } from '../../errors.ts';
import { readValueContract, type ValueContract, type ValueFault } from '../../contracts/value-contract.ts';
import { isJsonObject, membersOf } from '../../json/json-value.ts';
import type { FlagDefinition, JsonObject, JsonValue, RuleDefinition } from '../../model.ts';
import { presentDefault } from './flag-value.ts';

/** The first thing that keeps a flag from being within its contract. */
export interface ContractFault {
  /**
   * The part that is at fault: the schema itself, which cannot be read; the default value; the value of a rule; or a
   * part of the new content of a release.
   */
  readonly kind: 'schema' | 'default' | 'rule' | 'next';
  /** The place of the rule in the flag's list; -1 where it is no rule. */
  readonly ruleIndex: number;
  /** The dotted path below the flag, or below the rule: `valueSchema.pattern`, `defaultValue.limits.0`, `value`. */
  readonly path: string;
  readonly message: string;
}

/** The part of a flag that says what it serves. The rules and values may be any JSON. */
export type ServingFlag = ServingContent & Pick<FlagDefinition, 'release'>;

/** One content of a flag. */
type ServingContent = Pick<FlagDefinition, 'type' | 'defaultValue' | 'valueSchema'> & {
  readonly rules: readonly unknown[];
};

/** Reads a schema that is stored or signed, whatever JSON it is. Gives the refusal where it cannot be read. */
function storedContract(schema: unknown): ValueContract | FleetFlagError | null {
  if (schema === null || schema === undefined) return null;
  try {
    return readValueContract(schema, 'valueSchema');
  } catch (error) {
    if (error instanceof FleetFlagError) return error;
    throw error;
  }
}

/**
 * Gives the function that says whether a value may be served under a schema that is stored or signed. Under one that
 * cannot be read, no value may.
 */
export function servableValues(schema: unknown): (value: JsonValue) => boolean {
  const contract = storedContract(schema);
  if (contract === null) return () => true;
  return (value) => !(contract instanceof FleetFlagError) && contract.faultOf(value) === null;
}

/** Gives the value that a rule serves: its own, or `true` on a boolean flag and the default value on the others. */
function valueOf({ value = null }: JsonObject, { type, defaultValue }: ServingContent): JsonValue {
  if (value !== null) return value;
  return type === 'boolean' ? true : presentDefault(type, defaultValue);
}

/** Gives the fault of a value that stands in a member. */
function faultIn(contract: ValueContract, member: string, value: JsonValue): ValueFault | null {
  const fault = contract.faultOf(value);
  return fault && { ...fault, path: fault.path === '' ? member : `${member}.${fault.path}` };
}

function faultInRule(contract: ValueContract, rule: unknown, flag: ServingContent): ValueFault | null {
  if (!isJsonObject(rule) || rule['type'] === 'kill_switch') return null;
  return faultIn(contract, 'value', valueOf(rule, flag));
}

/**
 * Gives the fault of what a rule of the flag would serve, by the flag's contract, with its path below the rule; null
 * where there is none, or the contract cannot be read.
 */
export function ruleFault(flag: ServingContent, rule: Pick<RuleDefinition, 'type' | 'value'>): ValueFault | null {
  const contract = storedContract(flag.valueSchema);
  return contract === null || contract instanceof FleetFlagError ? null : faultInRule(contract, rule, flag);
}

/** Gives the new content of a release with the contract that it has: its own, or that of its flag. */
export function nextContent(flag: JsonObject, next: JsonObject): JsonObject {
  return { valueSchema: flag['valueSchema'] ?? null, ...next };
}

/**
 * Gives the first fault of a flag's contract: of the schema, of the default value, of the rules' values, in this order,
 * and then of the new content of its release. The value of a disabled rule counts, so that enabling the rule never
 * breaks the contract. A kill switch serves the default value, whatever value it has. Never throws.
 *
 * @returns null where the flag has no contract, or all values fit it
 */
export function contractFault(flag: ServingFlag): ContractFault | null {
  const { type, valueSchema = null, release } = flag;
  const own = faultOfContent(flag);
  if (own !== null) return own;
  const next = membersOf(release)['next'];
  if (!isJsonObject(next)) return null;
  const { rules, defaultValue = null, ...others } = nextContent({ valueSchema }, next);
  const fault = faultOfContent({
    type,
    defaultValue,
    rules: Array.isArray(rules) ? rules : [],
    // oxlint-disable-next-line typescript/consistent-type-assertions -- storedContract reads a schema of any JSON
    valueSchema: (others['valueSchema'] ?? null) as JsonObject | null,
  });
  if (fault === null) return null;
  const place = fault.kind === 'rule' ? `rules.${fault.ruleIndex}.` : '';
  return { kind: 'next', ruleIndex: -1, path: `release.next.${place}${fault.path}`, message: fault.message };
}

function faultOfContent(flag: ServingContent): ContractFault | null {
  const contract = storedContract(flag.valueSchema);
  if (contract === null) return null;
  if (contract instanceof FleetFlagError)
    return {
      kind: 'schema',
      ruleIndex: -1,
      path: String(contract.details.field),
      message: contract.message,
    };
  const inDefault = faultIn(contract, 'defaultValue', presentDefault(flag.type, flag.defaultValue));
  if (inDefault !== null) return { kind: 'default', ruleIndex: -1, ...inDefault };
  for (const [ruleIndex, rule] of flag.rules.entries()) {
    const inRule = faultInRule(contract, rule, flag);
    if (inRule !== null) return { kind: 'rule', ruleIndex, ...inRule };
  }
  return null;
}
