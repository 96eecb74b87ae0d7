/**
 * Local flags: flags and values from a file of this machine, for testing the vehicle's programs with every value of a
 * flag. They are not signed, never go stale, and are not counted in metrics.
 */
import { compileFlag, evaluateFlag, type CompiledFlag } from '../../core/evaluation/evaluate.ts';
import type {
  Environment,
  Evaluation,
  EvaluationContext,
  FlagDefinition,
  FlagType,
  JsonValue,
} from '../../core/model.ts';
import { canonicalJson } from '../../core/json/canonical-json.ts';
import { fitsFlagType } from '../../core/evaluation/flag-value.ts';

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
  /** How many times the file was read and adopted. */
  readonly revision: number;
  /** The time of the last reading in ISO 8601, by this machine's clock. */
  readonly loadedAt: string;
  readonly flags: number;
  /** The keys of the overrides in effect. */
  readonly overrides: readonly string[];
  /** The keys of the overrides without effect, because they do not fit their flag's type. */
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

/** A value from the file, with the definition of its flag. */
export interface LocalEvaluation {
  readonly definition: FlagDefinition;
  readonly evaluation: Evaluation;
  /** Marks the evaluation as local: it is not counted, because it says nothing about the fleet. */
  readonly local: true;
}

/**
 * Evaluates a flag by the file. Undefined where the file has neither the flag nor an override that fits its type.
 *
 * @param held the control plane's definition of the flag, where there is one
 */
export function evaluateLocal(
  local: LocalFlags,
  key: string,
  held: FlagDefinition | undefined,
  context: EvaluationContext,
  nonce: string,
): LocalEvaluation | undefined {
  const flag = local.flags.get(key);
  const definition = flag?.definition ?? held ?? local.implied.get(key)?.definition;
  const value = local.overrides.get(key);
  if (definition !== undefined && value !== undefined && fitsFlagType(definition.type, value)) {
    return {
      definition,
      local: true,
      evaluation: { value, variant: 'override', reason: 'STATIC', ruleId: null, revision: definition.revision },
    };
  }
  return flag === undefined
    ? undefined
    : { definition: flag.definition, local: true, evaluation: evaluateFlag(flag.compiled, context, { nonce }) };
}

/** An override that does not fit its flag's type. */
export interface UnfitOverride {
  readonly key: string;
  readonly type: FlagType;
}

/** Gives the overrides that do not fit their flag's type. `held` gives the control plane's definition of a flag. */
export function unfitOverrides(local: LocalFlags, held: (key: string) => FlagDefinition | undefined): UnfitOverride[] {
  return [...local.overrides].flatMap(([key, value]) => {
    const type = (local.flags.get(key)?.definition ?? held(key))?.type;
    return type === undefined || fitsFlagType(type, value) ? [] : [{ key, type }];
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
