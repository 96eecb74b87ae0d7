/** Evaluations as the API gives them: of one flag, of all of an environment, and of a change. */
import { enteredName } from '../../../core/evaluation/context.ts';
import { FleetFlagError, badInput } from '../../../core/errors.ts';
import type { ScopedEvaluation } from '../../../core/evaluation/flag-sets/scoped-flags.ts';
import { VIN_PATTERN, type Environment, type EvaluationContext, type JsonObject } from '../../../core/model.ts';
import { checkJson, isJsonObject } from '../../../core/json/json-value.ts';
import { withRegisteredFacts } from '../../shared/between-subgraphs/vehicle-facts.ts';
import type { EvaluationContext as ContextInput } from '../generated/resolvers.ts';
import { evaluate, evaluatedTogether } from '../sync/evaluation.ts';
import type { Flag } from '../flags/flag.ts';
import { withDependencies } from '../flags/evaluated-content.ts';
import { asSigned } from '../segments/signed-rules.ts';
import type { FlagsServices } from './services.ts';

/**
 * Reads an evaluation's context. An invalid VIN is refused, because it is probably mistyped; without a VIN, the
 * evaluation is for no particular vehicle.
 */
export function readContext({ attributes = null, ...context }: ContextInput): EvaluationContext {
  if (context.vin && !VIN_PATTERN.test(context.vin))
    throw badInput('context.vin', 'A VIN must have 17 characters: digits and capital letters except I, O and Q.');
  checkJson(attributes, 'context.attributes');
  if (attributes !== null && !isJsonObject(attributes))
    throw badInput('context.attributes', 'attributes must be a JSON object.');
  return { ...context, attributes, model: enteredName(context.model), region: enteredName(context.region) };
}

/**
 * Finds a flag that vehicles have.
 *
 * @throws NOT_FOUND for a draft and an archived flag, too
 */
async function livingFlag({ byKey }: FlagsServices, key: string): Promise<Flag> {
  const flag = await byKey.load(key);
  if (flag === null || flag.archivedAt !== null || flag.draft)
    throw new FleetFlagError('NOT_FOUND', `There is no flag ${JSON.stringify(key)}.`, { field: 'key' });
  return flag;
}

/** Puts an evaluation into the form of the API. */
export const toEvaluation = (flagKey: string, { evaluation, inScope }: ScopedEvaluation) => ({
  flagKey,
  ...evaluation,
  inScope,
});

/**
 * Evaluates the flags of an environment. A vehicle has none that is out of its scope; for nobody in particular, all are
 * evaluated.
 */
export async function evaluationsOf(services: FlagsServices, environment: Environment, context: EvaluationContext) {
  const definitions = await services.definitions(environment, context.model);
  const all = evaluatedTogether(definitions).evaluateAll(context);
  const isVehicle = Boolean(context.vin ?? context.model);
  return [...all].flatMap(([key, evaluated]) =>
    isVehicle && !evaluated.inScope ? [] : [toEvaluation(key, evaluated)],
  );
}

/**
 * Evaluates one flag for the vehicle that a context names.
 *
 * @throws NOT_FOUND as `livingFlag`
 */
export async function evaluationOf(services: FlagsServices, key: string, given: ContextInput) {
  const facts = await withRegisteredFacts(services.registered, readContext(given));
  const flag = await livingFlag(services, key);
  const evaluated = await evaluate({ definition: asSigned(flag), jws: flag.signedDefinition }, facts, () =>
    services.definitions(flag.environment),
  );
  return { flag, facts, evaluated };
}

/** Gives what vehicles evaluate of a flag, with the flags on which it depends; null where no vehicle has it. */
export const evaluatedContentOf = (services: FlagsServices, content: JsonObject | null) =>
  withDependencies(content, (environment) => services.definitions(environment));
