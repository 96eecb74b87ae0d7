import { readFileSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { rounds } from '../../core/testing/rounds.ts';
import type { Evaluation, FlagDefinition, RuleDefinition } from '../../core/model.ts';
import { localFlag } from '../local-flags/local-flags.ts';
import { emptyState, type HeldFlag, type VehicleState } from '../state.ts';
import { AgeingClock } from '../trust/ageing-clock.ts';
import { testFlag } from '../testing/held-flags.ts';
import { ON } from '../testing/rules.ts';
import { FlagEvaluator, type UncheckedContext } from './flag-evaluator.ts';

interface GoldenSets {
  readonly sets: readonly {
    readonly flags: readonly FlagDefinition[];
    readonly cases: readonly {
      readonly name: string;
      readonly context: UncheckedContext & { readonly vin?: string };
      readonly stale?: readonly string[];
      readonly expected: Readonly<Record<string, Evaluation>>;
    }[];
  }[];
}

const GOLDEN = JSON.parse(
  readFileSync(new URL('../../core/golden/dependencies.json', import.meta.url), 'utf8'),
) as GoldenSets;

const VINS = ['KMHK281HGNU000001', 'KMHK281HGNU000002'];
const KEYS = ['lane_keep', 'eco_route', 'lane_change'];
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
  fc.record({
    key: fc.constantFrom(...KEYS),
    enabled: fc.boolean(),
    rules: fc.array(rule, { maxLength: 3 }),
    requires: fc.subarray(KEYS, { maxLength: 1 }).map((keys) => keys.map((flag) => ({ flag }))),
    excludes: fc.subarray(KEYS, { maxLength: 1 }),
    ageSeconds: fc.constantFrom(0, TTL_SECONDS / 2),
  }),
  { maxLength: 4 },
);
const step = fc.oneof(
  fc.record({ kind: fc.constant('state' as const), vin: fc.constantFrom(...VINS), flags }),
  fc.record({ kind: fc.constant('facts' as const), facts }),
  fc.record({ kind: fc.constant('later' as const), seconds: fc.integer({ min: 0, max: TTL_SECONDS }) }),
);

function held(definition: FlagDefinition, cachedAt: number): HeldFlag {
  return {
    key: definition.key,
    held: {
      revision: 1,
      jws: '',
      digest: '',
      definition,
      fault: null,
      outsideContract: false,
      settled: false,
      scope: null,
    },
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
          const definitions = step.flags.map(({ ageSeconds: _, ...flag }): FlagDefinition => ({
            ...flag,
            environment: 'production',
            type: 'boolean',
            safetyLevel: 'ASIL-B',
            defaultValue: false,
            revision: 1,
          }));
          const state: VehicleState = {
            ...emptyState({ vin: step.vin, environment: 'production' }),
            flags: new Map(
              definitions.map((definition, index) => [
                definition.key,
                held(definition, clock.seconds() - step.flags[index]!.ageSeconds),
              ]),
            ),
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

describe('flags that depend on each other', () => {
  const flag = (key: string, change: Partial<FlagDefinition> = {}): FlagDefinition =>
    testFlag(key, { rules: [ON], ...change });
  const eco = flag('eco', { requires: [{ flag: 'base' }], excludes: ['sport'] });

  const evaluatorOf = (definitions: readonly FlagDefinition[], ageSeconds: (key: string) => number = () => 0) => {
    const clock = new AgeingClock(Date.now);
    const evaluator = new FlagEvaluator({}, clock);
    const state: VehicleState = {
      ...emptyState({ vin: VINS[0]!, environment: 'production' }),
      flags: new Map(
        definitions.map((definition) => [
          definition.key,
          held(definition, Math.floor(Date.now() / 1_000) - ageSeconds(definition.key)),
        ]),
      ),
    };
    evaluator.replace(state);
    return { evaluator, state };
  };
  const served = (evaluator: FlagEvaluator, key: string) => {
    const { reason, failedPrerequisite } = evaluator.evaluate(key)!.evaluation;
    return failedPrerequisite === undefined ? reason : `${reason} ${failedPrerequisite}`;
  };

  test('serve their defaults while one of them is missing, past its TTL or excluded', () => {
    expect(served(evaluatorOf([eco]).evaluator, 'eco')).toBe('PREREQUISITE_FAILED base');
    expect(served(evaluatorOf([eco, flag('base')]).evaluator, 'eco')).toBe('SPLIT');
    expect(served(evaluatorOf([eco, flag('base'), flag('sport')]).evaluator, 'eco')).toBe('PREREQUISITE_FAILED sport');
    const old = (key: string) => (of: string) => (of === key ? 2 * TTL_SECONDS : 0);
    expect(served(evaluatorOf([eco, flag('base')], old('base')).evaluator, 'eco')).toBe('PREREQUISITE_FAILED base');
    expect(served(evaluatorOf([eco, flag('base'), flag('sport')], old('sport')).evaluator, 'eco')).toBe('SPLIT');
    expect(served(evaluatorOf([eco, flag('base')], old('eco')).evaluator, 'eco')).toBe('STALE');
  });

  test('are stored under the variants that they serve together', () => {
    const variants = (...definitions: FlagDefinition[]) => {
      const { evaluator, state } = evaluatorOf(definitions);
      return [...state.flags.values()].map((one) => evaluator.storedVariant(one, state));
    };
    expect(variants(eco, flag('base'))).toEqual(['treatment', 'treatment']);
    expect(variants(eco, flag('base', { enabled: false }))).toEqual(['control', 'control']);
  });

  test('depend on the flags and overrides of a file where it has them, and an override depends on none', () => {
    const { evaluator } = evaluatorOf([eco, flag('base', { enabled: false })]);
    const use = (overrides: Readonly<Record<string, boolean>>, ...flags: FlagDefinition[]) => {
      const entries = flags.map((one) => [one.key, localFlag(one)] as const);
      evaluator.useLocal(
        { flags: new Map(entries), overrides: new Map(Object.entries(overrides)), implied: new Map() },
        null,
      );
      return served(evaluator, 'eco');
    };
    expect(use({})).toBe('PREREQUISITE_FAILED base');
    expect(use({ base: true })).toBe('SPLIT');
    expect(use({}, flag('base'))).toBe('SPLIT');
    expect(use({}, flag('base'), flag('sport'))).toBe('PREREQUISITE_FAILED sport');
    expect(use({ eco: false })).toBe('STATIC');
    expect(evaluator.evaluate('eco')).toMatchObject({ local: true, evaluation: { value: false } });
  });

  test('pass the golden cases of vehicles', () => {
    for (const { flags, cases } of GOLDEN.sets) {
      for (const { name, context, stale = [], expected } of cases) {
        if (typeof context !== 'object' || context.vin === undefined) continue;
        const { evaluator } = evaluatorOf(flags, (key) => (stale.includes(key) ? 2 * TTL_SECONDS : 0));
        for (const [key, evaluation] of Object.entries(expected))
          expect({ name, evaluation: evaluator.evaluate(key, context)?.evaluation }).toEqual({ name, evaluation });
      }
    }
  });
});
