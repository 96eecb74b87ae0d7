/**
 * What a program gets for a flag, in OpenFeature's form: always a value of the type it asked for.
 */
import type { EvaluationReason, FlagType, JsonValue } from '../../core/model.ts';
import type { EvaluatedFlag } from '../evaluate/flag-evaluator.ts';

export type ValueType = FlagType;

/** OpenFeature's error codes that this agent gives. */
export type EvaluationErrorCode = 'FLAG_NOT_FOUND' | 'TYPE_MISMATCH' | 'PROVIDER_NOT_READY';

export interface EvaluationDetails<T> {
  readonly flagKey: string;
  readonly value: T;
  readonly reason: EvaluationReason;
  readonly variant?: string;
  readonly errorCode?: EvaluationErrorCode;
  readonly errorMessage?: string;
  /** `revision` and `environment` of the definition, and `ruleId` where a rule decided. */
  readonly flagMetadata: Readonly<Record<string, string | number>>;
}

/** The details of one evaluation, or `defaultValue` with the reason ERROR. */
export function evaluationDetails<T extends JsonValue>(
  flagKey: string,
  type: ValueType,
  defaultValue: T,
  evaluated: EvaluatedFlag | undefined,
  ready: boolean,
): EvaluationDetails<T> {
  const failed = (errorCode: EvaluationErrorCode, errorMessage: string): EvaluationDetails<T> => ({
    flagKey,
    value: defaultValue,
    reason: 'ERROR',
    errorCode,
    errorMessage,
    flagMetadata: {},
  });
  if (evaluated === undefined) {
    return ready ? failed('FLAG_NOT_FOUND', `There is no flag "${flagKey}".`) : failed('PROVIDER_NOT_READY', 'The agent has no flags yet.');
  }
  const { definition, evaluation } = evaluated;
  if (definition.type !== type) return failed('TYPE_MISMATCH', `"${flagKey}" is of type ${definition.type}, not ${type}.`);
  return {
    flagKey,
    value: evaluation.value as T,
    reason: evaluation.reason,
    variant: evaluation.variant,
    flagMetadata: flagMetadata(evaluated),
  };
}

/** What accompanies a value: `revision` and `environment` of the definition, and `ruleId` where a rule decided. */
export function flagMetadata({ definition, evaluation }: EvaluatedFlag): Record<string, string | number> {
  return { revision: evaluation.revision, environment: definition.environment, ...(evaluation.ruleId === null ? {} : { ruleId: evaluation.ruleId }) };
}
