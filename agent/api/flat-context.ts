/**
 * OpenFeature's flat context as this agent reads it, over OFREP and in process alike.
 */
import type { JsonObject, JsonValue } from '../../core/model.ts';
import type { ProgramContext } from '../evaluate/flag-evaluator.ts';

export type ReadContext = { readonly program: ProgramContext } | { readonly errorCode: 'INVALID_CONTEXT'; readonly errorDetails: string };

/**
 * `model`, `swVersion` and `region` are the vehicle's facts, and everything else, beside what an `attributes` object
 * holds, is an attribute. `targetingKey` and `vin` name no other vehicle: they stay attributes, and the vehicle keeps
 * its own VIN. Gives INVALID_CONTEXT where a member is not of its type.
 */
export function readFlatContext(context: JsonValue): ReadContext {
  const invalid = (errorDetails: string): ReadContext => ({ errorCode: 'INVALID_CONTEXT', errorDetails });
  if (!isObject(context)) return invalid('"context" must be an object.');
  const { model, swVersion, region, attributes = {}, ...others } = context;
  if (!isObject(attributes)) return invalid('"context.attributes" must be an object.');
  for (const [name, value] of Object.entries({ model, swVersion, region })) {
    if (value !== undefined && typeof value !== 'string') return invalid(`"context.${name}" must be a string.`);
  }
  return {
    program: {
      model: model as string | undefined,
      swVersion: swVersion as string | undefined,
      region: region as string | undefined,
      attributes: { ...others, ...attributes },
    },
  };
}

/** Whether a JSON value is an object. */
export function isObject(value: JsonValue): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
