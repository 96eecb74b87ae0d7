/**
 * Flags and values from a file of this machine, for testing the vehicle's programs under every value of a flag.
 * They are not signed, age with nobody and are measured by nobody.
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

/** A flag of the file, ready to be evaluated. */
export interface LocalFlag {
  readonly definition: FlagDefinition;
  readonly compiled: CompiledFlag;
}

/** What one reading of the file gives. */
export interface LocalFlags {
  /** They stand in the place of the control plane's flags of the same key. */
  readonly flags: ReadonlyMap<string, LocalFlag>;
  /** They hold whatever rules and kill switches say. */
  readonly overrides: ReadonlyMap<string, JsonValue>;
  /** Flags of overrides that are defined nowhere else. */
  readonly implied: ReadonlyMap<string, LocalFlag>;
}

/** What the status tells of the file. */
export interface LocalFlagsStatus {
  readonly file: string;
  /** How often the file was read and taken. */
  readonly revision: number;
  /** ISO 8601, by this machine's clock. */
  readonly loadedAt: string;
  readonly flags: number;
  /** Keys of the overrides that hold. */
  readonly overrides: readonly string[];
  /** Keys of those that do not fit their flag's type, and say nothing. */
  readonly unfitOverrides: readonly string[];
  /** The fault of the file as it is now, while what was read before still holds; null where it has none. */
  readonly fault: string | null;
}

/** The environment of flags that no control plane has. */
export const LOCAL_ENVIRONMENT: Environment = 'development';

/** Makes a flag ready. */
export function localFlag(definition: FlagDefinition): LocalFlag {
  return { definition, compiled: compileFlag(definition) };
}

/** A value from the file, and the definition that it belongs to. */
export interface LocalEvaluation {
  readonly definition: FlagDefinition;
  readonly evaluation: Evaluation;
  /** It says nothing about the fleet: nothing is counted or measured by it. */
  readonly local: true;
}

/**
 * What the file says of a flag; undefined where it says nothing. An override that does not fit its flag's type says
 * nothing either.
 *
 * @param held the control plane's definition, where there is one
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

/** An override that does not fit its flag. */
export interface UnfitOverride {
  readonly key: string;
  readonly type: FlagType;
}

/** The overrides that do not fit the type of their flag. `held`: the control plane's definition, where there is one. */
export function unfitOverrides(local: LocalFlags, held: (key: string) => FlagDefinition | undefined): UnfitOverride[] {
  return [...local.overrides].flatMap(([key, value]) => {
    const type = (local.flags.get(key)?.definition ?? held(key))?.type;
    return type === undefined || fitsFlagType(type, value) ? [] : [{ key, type }];
  });
}

/** All keys that the file says something of. */
export function localKeys(local: LocalFlags | null): string[] {
  return local === null ? [] : [...new Set([...local.flags.keys(), ...local.overrides.keys()])];
}

/** The keys of which two readings say different things. */
export function changedKeys(before: LocalFlags | null, after: LocalFlags): string[] {
  const said = (local: LocalFlags | null, key: string) =>
    canonicalJson([local?.flags.get(key)?.definition ?? null, local?.overrides.get(key) ?? null]);
  return [...new Set([...localKeys(before), ...localKeys(after)])].filter(
    (key) => said(before, key) !== said(after, key),
  );
}
