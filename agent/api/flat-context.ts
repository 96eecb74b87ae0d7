/**
 * OpenFeature's flat context as this agent reads it, over OFREP and in process alike.
 */
import type { JsonValue } from '../../core/model.ts';
import { isJsonObject } from '../../core/json/json-value.ts';
import type { UncheckedContext } from '../evaluate/flag-evaluator.ts';

/**
 * `model`, `swVersion` and `region` are the vehicle's facts, and everything else, beside what an `attributes` object
 * holds, is an attribute. `targetingKey` and `vin` name no other vehicle: they stay attributes, and the vehicle keeps
 * its own VIN. Nothing is refused: a context, or an `attributes`, that is no object counts as missing here, and a fact
 * that is no text does where it is evaluated.
 */
export function readFlatContext(context: JsonValue | undefined): UncheckedContext {
  const { model, swVersion, region, attributes, ...others } = isJsonObject(context) ? context : {};
  return { model, swVersion, region, attributes: { ...others, ...(isJsonObject(attributes) ? attributes : {}) } };
}
