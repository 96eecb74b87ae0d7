/**
 * Reads OpenFeature's flat context, over OFREP and in process alike.
 */
import type { JsonValue } from '../../core/model.ts';
import { isJsonObject } from '../../core/json/json-value.ts';
import type { UncheckedContext } from '../evaluate/flag-evaluator.ts';

/**
 * Reads a flat context. `model`, `swVersion` and `region` are the vehicle's facts. Every other member is an attribute,
 * and so are the members of an `attributes` object. `targetingKey` and `vin` stay attributes too: a program cannot
 * evaluate for another vehicle. Nothing is refused. A context or `attributes` that is not an object counts as missing,
 * and evaluation ignores a fact that is not text.
 */
export function readFlatContext(context: JsonValue | undefined): UncheckedContext {
  const { model, swVersion, region, attributes, ...others } = isJsonObject(context) ? context : {};
  return { model, swVersion, region, attributes: { ...others, ...(isJsonObject(attributes) ? attributes : {}) } };
}
