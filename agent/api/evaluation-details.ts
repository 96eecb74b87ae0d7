/**
 * Evaluation details in OpenFeature's form. A program always gets a value of the type that it asked for.
 */
import type { EvaluationReason, FlagType, JsonValue } from '../../core/model.ts';
import type { EvaluatedFlag } from '../evaluate/flag-evaluator.ts';

/** The type of the value that a program asks for. */
export type ValueType = FlagType;

/** The OpenFeature error codes that this agent uses. */
export type EvaluationErrorCode = 'FLAG_NOT_FOUND' | 'TYPE_MISMATCH' | 'PROVIDER_NOT_READY';

/** The value of a flag, with its variant and reason, or an error code. */
export interface EvaluationDetails<T> {
  readonly flagKey: string;
  readonly value: T;
  readonly reason: EvaluationReason;
  readonly variant?: string;
  readonly errorCode?: EvaluationErrorCode;
  readonly errorMessage?: string;
  /**
   * `revision` (`version`) and `environment` (`flagSetId`) of the definition, `ruleId` where a rule decided, and
   * `failedPrerequisite` where another flag did; `pendingRevision` while a change waits for the end of the drive.
   */
  readonly flagMetadata: Readonly<Record<string, string | number>>;
}

/**
 * Gives the details of one evaluation, or `defaultValue` with the reason ERROR.
 *
 * @param fits says whether the flag's value is of the type that the program asked for, which `type` names
 * @param ready whether the agent can evaluate flags
 */
export function evaluationDetails<T extends JsonValue>(
  flagKey: string,
  type: string,
  defaultValue: T,
  evaluated: EvaluatedFlag | undefined,
  ready: boolean,
  fits: (evaluated: EvaluatedFlag) => boolean = ({ definition }) => definition.type === type,
): EvaluationDetails<T> {
  const failed = (errorCode: EvaluationErrorCode, errorMessage: string): EvaluationDetails<T> => ({
    flagKey,
    value: defaultValue,
    reason: 'ERROR',
    errorCode,
    errorMessage,
    flagMetadata: {},
  });
  if (!ready) return failed('PROVIDER_NOT_READY', NOT_READY_MESSAGE);
  if (evaluated === undefined)
    return failed(
      'FLAG_NOT_FOUND',
      typeof flagKey === 'string' ? `There is no flag ${JSON.stringify(flagKey)}.` : 'A flag key must be a string.',
    );
  const { definition, evaluation } = evaluated;
  if (!fits(evaluated))
    return failed('TYPE_MISMATCH', `${JSON.stringify(flagKey)} is of type ${definition.type}, not ${type}.`);
  return {
    flagKey,
    // oxlint-disable-next-line typescript/consistent-type-assertions -- `fits` has compared it with the type that was asked for
    value: evaluation.value as T,
    reason: evaluation.reason,
    variant: evaluation.variant,
    flagMetadata: flagMetadata(evaluated),
  };
}

/**
 * Gives the value that `evaluationDetails` gives, without its details.
 *
 * @param ready whether the agent can evaluate flags
 */
export function evaluatedValue<T extends JsonValue>(
  type: ValueType,
  defaultValue: T,
  evaluated: EvaluatedFlag | undefined,
  ready: boolean,
): T {
  return ready && evaluated?.definition.type === type
    ? // oxlint-disable-next-line typescript/consistent-type-assertions -- the flag is of the type that was asked for
      (evaluated.evaluation.value as T)
    : defaultValue;
}

/** The message of an evaluation by an agent that is not ready. */
export const NOT_READY_MESSAGE =
  'The agent has no flags: it has not synced yet, has refused what it got, or has been closed; its status says why.';

/**
 * Gives the metadata of a value: `revision` and `environment` of the definition, `ruleId` where a rule decided, and
 * `failedPrerequisite`, the key of the flag on which this one depends, with the reason PREREQUISITE_FAILED; and
 * `pendingRevision` while a change of that revision waits for the end of the drive. The first two are repeated, as
 * strings, under the names that OpenTelemetry's hooks expect. Source:
 * https://openfeature.dev/specification/appendix-d.
 */
export function flagMetadata({
  definition: { environment },
  evaluation: { revision, ruleId, failedPrerequisite },
  pendingRevision,
}: EvaluatedFlag): Record<string, string | number> {
  return {
    revision,
    environment,
    ...(ruleId === null ? {} : { ruleId }),
    ...(failedPrerequisite === undefined ? {} : { failedPrerequisite }),
    ...(pendingRevision === undefined ? {} : { pendingRevision }),
    version: String(revision),
    flagSetId: environment,
  };
}
