/**
 * The law that server and agent agree (scopes.md, "Laws"): from the signed form on, whatever scopes and dependencies.
 */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { compileFlag } from '../../core/evaluation/evaluate.ts';
import { ScopedFlags } from '../../core/evaluation/flag-sets/scoped-flags.ts';
import { parseJson } from '../../core/json/json-value.ts';
import type { FlagDefinition, RuleDefinition } from '../../core/model.ts';
import { rounds } from '../../core/testing/rounds.ts';
import { signedForm } from '../../core/wire/vehicle/definition.ts';
import { emptyState } from '../state.ts';
import { heldFlag } from '../sync/apply.ts';
import { KILL } from '../testing/rules.ts';
import { TEST_VIN } from '../testing/control-plane.ts';
import { AgeingClock } from '../trust/ageing-clock.ts';
import { readSignedDefinition } from '../trust/servable.ts';
import { FlagEvaluator } from './flag-evaluator.ts';

const KEYS = ['a', 'b', 'c', 'd'];
const MODELS = ['EV6', 'EV9'];

const rule = fc.oneof(
  fc.constant<RuleDefinition>(KILL),
  fc
    .record({
      region: fc.constantFrom('EU', 'KR'),
      variant: fc.constantFrom('control', 'x', null),
      priority: fc.integer({ min: 1, max: 3 }),
    })
    .map(({ region, variant, priority }): RuleDefinition => ({
      id: `target-${priority}`,
      type: 'vehicle_target',
      priority,
      enabled: true,
      conditions: { regions: [region] },
      variant,
    })),
  fc.integer({ min: 0, max: 100 }).map((rollout_percentage): RuleDefinition => ({
    id: 'rollout',
    type: 'percentage_rollout',
    priority: 1,
    enabled: true,
    conditions: { rollout_percentage },
  })),
);
const worlds = fc.tuple(
  ...KEYS.map((key) =>
    fc
      .record({
        enabled: fc.oneof({ arbitrary: fc.constant(true), weight: 5 }, fc.constant(false)),
        rules: fc.uniqueArray(rule, { maxLength: 3, selector: ({ id }) => id }),
        scope: fc.option(fc.subarray(MODELS, { minLength: 1 }), { nil: null }),
        requires: fc
          .subarray(KEYS, { maxLength: 2 })
          .chain((keys) =>
            fc.tuple(...keys.map((flag) => fc.constantFrom({ flag }, { flag, variants: ['x', 'treatment'] }))),
          ),
        excludes: fc.subarray(KEYS, { maxLength: 1 }),
        activation: fc.constantFrom('IMMEDIATE', 'PARKED', 'NEXT_DRIVE'),
        killActivation: fc.constantFrom('IMMEDIATE', 'PARKED'),
      })
      .map((parts): FlagDefinition => ({
        key,
        environment: 'production',
        type: 'boolean',
        safetyLevel: 'ASIL-B',
        defaultValue: false,
        revision: 1,
        ...parts,
      })),
  ),
);

/** Gives a flag as a vehicle holds it, read from the text that is signed. */
function heldFrom(definition: FlagDefinition) {
  const form = parseJson(JSON.stringify(signedForm(definition)));
  const read = readSignedDefinition(form, definition.key, definition.environment, null);
  const signed = { revision: 1, jws: JSON.stringify(form), digest: '', scope: definition.scope ?? null, ...read };
  return [definition.key, heldFlag(definition.key, signed, null, null, Date.now() / 1_000, 604_800)] as const;
}

test('a vehicle of any model serves what the control plane evaluates for it, and has no other flags', () => {
  const facts = fc.record({ model: fc.constantFrom(...MODELS, 'Niro'), region: fc.constantFrom('EU', 'KR') });
  fc.assert(
    fc.property(worlds, facts, (definitions, { model, region }) => {
      const server = new ScopedFlags(
        definitions.map((definition) => ({ compiled: compileFlag(definition), scope: definition.scope ?? null })),
      ).evaluateAll({ vin: TEST_VIN, model, region });
      const evaluator = new FlagEvaluator({ model, region }, new AgeingClock(Date.now));
      const own = definitions.filter(({ scope = null }) => scope === null || scope.includes(model));
      evaluator.replace({
        ...emptyState({ vin: TEST_VIN, environment: 'production' }),
        flags: new Map(own.map(heldFrom)),
      });
      for (const [key, { evaluation, inScope }] of server)
        expect([key, evaluator.evaluate(key)?.evaluation]).toEqual([key, inScope ? evaluation : undefined]);
    }),
    { numRuns: rounds(400, 8_000) },
  );
});
