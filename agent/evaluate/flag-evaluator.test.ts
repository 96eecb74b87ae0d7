import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { rounds } from '../../core/testing/rounds.ts';
import type { FlagDefinition, RuleDefinition } from '../../core/model.ts';
import { emptyState, type HeldFlag, type VehicleState } from '../state.ts';
import { AgeingClock } from '../trust/ageing-clock.ts';
import { FlagEvaluator } from './flag-evaluator.ts';

const VINS = ['KMHK281HGNU000001', 'KMHK281HGNU000002'];
const KEYS = ['lane_keep', 'eco_route'];
const TTL_SECONDS = 600;

const rule = fc
  .constantFrom<RuleDefinition['type']>('vehicle_target', 'percentage_rollout', 'kill_switch')
  .map((type): RuleDefinition => ({
    id: type,
    type,
    priority: 1,
    enabled: true,
    conditions: {
      vehicle_target: { models: ['Ioniq 6'], sw_version: '>=2.5.0' },
      percentage_rollout: { rollout_percentage: 50, sticky: false },
      kill_switch: { force_disabled: true },
      vehicle_whitelist: null,
      user_attribute: null,
    }[type],
  }));
const facts = fc.record({
  model: fc.constantFrom('Ioniq 6', 'EV9'),
  swVersion: fc.constantFrom('2.4.0', '2.6.0'),
  region: fc.constant('EU'),
});
const flags = fc.array(
  fc.record({ key: fc.constantFrom(...KEYS), enabled: fc.boolean(), rules: fc.array(rule, { maxLength: 3 }) }),
  { maxLength: 3 },
);
const step = fc.oneof(
  fc.record({ kind: fc.constant('state' as const), vin: fc.constantFrom(...VINS), flags }),
  fc.record({ kind: fc.constant('facts' as const), facts }),
  fc.record({ kind: fc.constant('later' as const), seconds: fc.integer({ min: 0, max: TTL_SECONDS }) }),
);

function held(definition: FlagDefinition, cachedAt: number): HeldFlag {
  return {
    key: definition.key,
    held: { revision: 1, jws: '', digest: '', definition, fault: null, settled: false },
    former: null,
    ahead: null,
    served: { definition, revision: 1, id: JSON.stringify(definition) },
    cachedAt,
    ttlSeconds: TTL_SECONDS,
  };
}

test('the kept evaluation of the own context is what an evaluation at that moment gives', async () => {
  await fc.assert(
    fc.asyncProperty(facts, fc.array(step, { minLength: 1, maxLength: 12 }), async (first, steps) => {
      let nowMs = Date.UTC(2026, 0, 1);
      const clock = new AgeingClock(
        () => nowMs,
        () => nowMs,
      );
      const evaluator = new FlagEvaluator(first, clock);
      for (const step of steps) {
        if (step.kind === 'later') {
          nowMs += step.seconds * 1_000;
          // The clock is read once in each run of the program.
          await turn();
        } else if (step.kind === 'facts') evaluator.useFacts(step.facts);
        else {
          const definitions = step.flags.map((flag): FlagDefinition => ({
            ...flag,
            environment: 'production',
            type: 'boolean',
            safetyLevel: 'ASIL-B',
            defaultValue: false,
            revision: 1,
          }));
          const state: VehicleState = {
            ...emptyState({ vin: step.vin, environment: 'production' }),
            flags: new Map(definitions.map((definition) => [definition.key, held(definition, clock.seconds())])),
          };
          evaluator.replace(state);
        }
        for (const key of KEYS) expect(evaluator.evaluate(key)).toEqual(evaluator.evaluate(key, {}));
      }
    }),
    { numRuns: rounds(60, 600) },
  );
});

test('the own context is not evaluated again each time', () => {
  const evaluator = new FlagEvaluator({}, new AgeingClock(Date.now));
  const definition: FlagDefinition = {
    key: 'lane_keep',
    environment: 'production',
    type: 'boolean',
    safetyLevel: 'ASIL-B',
    enabled: true,
    defaultValue: false,
    revision: 1,
    rules: [],
  };
  evaluator.replace({
    ...emptyState({ vin: VINS[0] ?? '', environment: 'production' }),
    flags: new Map([['lane_keep', held(definition, Math.floor(Date.now() / 1_000))]]),
  });
  expect(evaluator.evaluate('lane_keep')).toBe(evaluator.evaluate('lane_keep', null));
});
