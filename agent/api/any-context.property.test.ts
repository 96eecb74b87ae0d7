import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { JsonObject, JsonValue, RuleDefinition } from '../../core/model.ts';
import { rounds } from '../../core/testing/rounds.ts';
import { FleetFlagProvider, type ProvidingAgent } from '../openfeature/fleet-flag-provider.ts';
import { sourceOf, testFlag } from '../testing/held-flags.ts';
import { evaluateAll, evaluateOne } from './ofrep.ts';

const rule = (type: RuleDefinition['type'], conditions: JsonValue): RuleDefinition => ({
  id: type,
  type,
  priority: 1,
  enabled: true,
  conditions,
});
const SOURCE = sourceOf(
  [
    testFlag('by-region', { rules: [rule('vehicle_target', { regions: ['EU', 'NA'] })] }),
    testFlag('by-model', { rules: [rule('vehicle_target', { models: ['Ioniq 6'] })] }),
    testFlag('by-version', { rules: [rule('vehicle_target', { sw_version: '>=2.5.0' })] }),
    testFlag('by-tier', { rules: [rule('user_attribute', { attribute: 'tier', operator: 'exists' })] }),
    testFlag('by-region-attribute', { rules: [rule('user_attribute', { attribute: 'region', operator: 'exists' })] }),
  ],
  { model: 'Ioniq 6', swVersion: '2.4.0', region: 'KR' },
);
const KEYS = SOURCE.flagKeys();

/** Values as programs have them: right ones, null, and those of a wrong type. */
const value = fc.oneof(
  fc.constantFrom<JsonValue>('EU', 'Ioniq 6', '2.6.0', null, '', ' \t', 5, true),
  fc.jsonValue() as fc.Arbitrary<JsonValue>,
);
const attributes = fc.oneof(fc.dictionary(fc.constantFrom('tier', 'region', '__proto__', 'vin'), value), value);
const context = fc.oneof(
  fc.record(
    { model: value, swVersion: value, region: value, attributes, tier: value, vin: value, targetingKey: value },
    { requiredKeys: [] },
  ) as fc.Arbitrary<JsonValue>,
  value,
);

const isObject = (json: JsonValue | undefined): json is JsonObject =>
  typeof json === 'object' && json !== null && !Array.isArray(json);

/** Gives the context without the members that are invalid by docs/reference/evaluation.md. */
function cleaned(json: JsonValue): JsonObject {
  if (!isObject(json)) return {};
  return Object.fromEntries(
    Object.entries(json).filter(([name, member]) => {
      if (['model', 'swVersion', 'region'].includes(name)) return typeof member === 'string' && member.trim() !== '';
      return name !== 'attributes' || isObject(member);
    }),
  );
}

const agent = { ...SOURCE, isReady: true, evaluationFailed: () => undefined } as unknown as ProvidingAgent;
const provider = new FleetFlagProvider(agent);

describe('a context of any JSON', () => {
  test('is never refused over OFREP, and gives the same as without its invalid members', () => {
    fc.assert(
      fc.property(context, (json) => {
        const [asked, clean] = [JSON.stringify({ context: json }), JSON.stringify({ context: cleaned(json) })];
        expect(evaluateAll(SOURCE, asked, undefined, 'http://agent/events')).toMatchObject({ status: 200 });
        expect(evaluateAll(SOURCE, asked, undefined, 'http://agent/events')).toEqual(
          evaluateAll(SOURCE, clean, undefined, 'http://agent/events'),
        );
        for (const key of KEYS) expect(evaluateOne(SOURCE, key, asked)).toEqual(evaluateOne(SOURCE, key, clean));
      }),
      { numRuns: rounds(80, 300) },
    );
  });

  test('gives a program in the same process what it gives over OFREP', async () => {
    await fc.assert(
      fc.asyncProperty(context, async (json) => {
        for (const key of KEYS) {
          const { body } = evaluateOne(SOURCE, key, JSON.stringify({ context: json }));
          const { value: own, variant, reason } = await provider.resolveBooleanEvaluation(key, false, cleaned(json));
          expect([own, variant, reason]).toEqual([body!['value'], body!['variant'], body!['reason']]);
          if (!isObject(json)) continue;
          const members = await provider.resolveBooleanEvaluation(key, false, json);
          expect(members.value).toBe(own);
          // The Node class takes attributes in an object of their own; the facts are checked in the same place.
          const { model, swVersion, region, attributes: nested, ...others } = json;
          const evaluated = SOURCE.evaluate(key, {
            model,
            swVersion,
            region,
            attributes: { ...others, ...(isObject(nested) ? nested : {}) },
          });
          expect(evaluated!.evaluation.value).toBe(own);
        }
      }),
      { numRuns: rounds(60, 200) },
    );
  });

  test('may be in a body of any JSON, or missing from it', () => {
    fc.assert(
      fc.property(value, (json) => {
        expect(evaluateOne(SOURCE, 'by-tier', JSON.stringify(json)).status).toBe(200);
      }),
    );
    for (const missing of [null, [], 5, { context: null }, { context: [] }, { context: { attributes: 'x' } }]) {
      expect(evaluateOne(SOURCE, 'by-model', JSON.stringify(missing)).body).toMatchObject({ value: true });
    }
  });

  test('null means that a program does not know a fact, and the vehicle fills it in', () => {
    expect(evaluateOne(SOURCE, 'by-model', '{"context":{"model":null}}').body).toMatchObject({ value: true });
    expect(evaluateOne(SOURCE, 'by-model', '{"context":{"model":"Ioniq 5"}}').body).toMatchObject({ value: false });
    expect(SOURCE.evaluate('by-model', null)!.evaluation.value).toBe(true);
    expect(SOURCE.evaluate('by-model', { model: null, attributes: 'x' })!.evaluation.value).toBe(true);
  });
});
