/**
 * Local flags: flags and values from a file of this machine, for testing the vehicle's programs with every value of a
 * flag. They are not signed, never go stale, and are not counted in metrics.
 */
import { compileFlag, fixedFlag, type CompiledFlag } from '../../core/evaluation/evaluate.ts';
import type { Environment, FlagDefinition, FlagType, JsonValue } from '../../core/model.ts';
import { canonicalJson } from '../../core/json/canonical-json.ts';
import { servableValues } from '../../core/evaluation/values/contract-fault.ts';
import { fitsFlagType } from '../../core/evaluation/values/flag-value.ts';

/** A flag of the file that is ready to be evaluated. */
export interface LocalFlag {
  readonly definition: FlagDefinition;
  readonly compiled: CompiledFlag;
}

/** The flags and values of one reading of the file. */
export interface LocalFlags {
  /** The flags by key. They replace the control plane's flags of the same keys. */
  readonly flags: ReadonlyMap<string, LocalFlag>;
  /** The values by flag. They win over all rules and kill switches. */
  readonly overrides: ReadonlyMap<string, JsonValue>;
  /** The flags of overrides that are defined nowhere else. */
  readonly implied: ReadonlyMap<string, LocalFlag>;
}

/** The status of the file. */
export interface LocalFlagsStatus {
  readonly file: string;
  /** The number of times that the file was read and adopted. */
  readonly revision: number;
  /** The time of the last reading in ISO 8601, by this machine's clock. */
  readonly loadedAt: string;
  readonly flags: number;
  /** The keys of the overrides in effect. */
  readonly overrides: readonly string[];
  /** The keys of the overrides without effect, because they do not fit their flag's type or value contract. */
  readonly unfitOverrides: readonly string[];
  /** The fault of the file as it is now; null where it has none. The last faultless reading stays in effect. */
  readonly fault: string | null;
}

/** The environment of flags that are only in the file. */
export const LOCAL_ENVIRONMENT: Environment = 'development';

/** Compiles a flag. */
export function localFlag(definition: FlagDefinition): LocalFlag {
  return { definition, compiled: compileFlag(definition) };
}

/** Says whether an override is of its flag's type and within its value contract. */
const fits = ({ type, valueSchema }: FlagDefinition, value: JsonValue) =>
  fitsFlagType(type, value) && servableValues(valueSchema)(value);

/**
 * Gives a flag as the file has it. Its override wins over everything, also over its dependencies. Undefined where the
 * file has neither the flag nor an override that fits its type and value contract.
 *
 * @param held the control plane's definition of the flag, where there is one
 */
export function flagOfFile(local: LocalFlags, key: string, held: FlagDefinition | undefined): LocalFlag | undefined {
  const flag = local.flags.get(key);
  const definition = flag?.definition ?? held ?? local.implied.get(key)?.definition;
  const value = local.overrides.get(key);
  if (definition === undefined || value === undefined || !fits(definition, value)) return flag;
  const { revision } = definition;
  const evaluation = { value, variant: 'override', reason: 'STATIC', ruleId: null, revision } as const;
  return { definition, compiled: fixedFlag(key, evaluation) };
}

/** An override that does not fit its flag's type or value contract. */
export interface UnfitOverride {
  readonly key: string;
  readonly type: FlagType;
}

/**
 * Gives the overrides that do not fit their flag's type or value contract. `held` gives the control plane's definition
 * of a flag.
 */
export function unfitOverrides(local: LocalFlags, held: (key: string) => FlagDefinition | undefined): UnfitOverride[] {
  return [...local.overrides].flatMap(([key, value]) => {
    const definition = local.flags.get(key)?.definition ?? held(key);
    return definition === undefined || fits(definition, value) ? [] : [{ key, type: definition.type }];
  });
}

/** Gives the keys of all flags and overrides of the file. */
export function localKeys(local: LocalFlags | null): string[] {
  return local === null ? [] : [...new Set([...local.flags.keys(), ...local.overrides.keys()])];
}

/** Gives the keys whose flag or override differs between two readings. */
export function changedKeys(before: LocalFlags | null, after: LocalFlags): string[] {
  const said = (local: LocalFlags | null, key: string) =>
    canonicalJson([local?.flags.get(key)?.definition ?? null, local?.overrides.get(key) ?? null]);
  return [...new Set([...localKeys(before), ...localKeys(after)])].filter(
    (key) => said(before, key) !== said(after, key),
  );
}
