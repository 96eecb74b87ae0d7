/**
 * Measures one evaluation in nanoseconds of CPU: of a context that comes from outside, as at the server, beside the
 * evaluators of flagd and GrowthBook with the same flags; and of the vehicle's own context in the agent. Contexts come
 * as JSON does, each with strings of its own, and of 1,000 vehicles. Then flags that are evaluated together.
 */
import { GrowthBookClient } from '@growthbook/growthbook';
import { FlagdCore } from '@openfeature/flagd-core';
import { FlagEvaluator } from '../agent/evaluate/flag-evaluator.ts';
import { emptyState, type HeldFlag } from '../agent/state.ts';
import { AgeingClock } from '../agent/trust/ageing-clock.ts';
import { compileFlag, evaluateFlag } from '../core/evaluation/evaluate.ts';
import type { FlagDefinition, RuleDefinition } from '../core/model.ts';
import { printTogether } from './evaluated-together.ts';
import { nanosecondsOf } from './harness/nanoseconds.ts';
import { printTable, short } from './harness/numbers.ts';
import type { BenchmarkOptions } from './harness/options.ts';

const VEHICLES = 1_000;
const MODELS = ['Ioniq 5', 'Ioniq 6', 'EV9', 'Kona'];
const VERSIONS = ['2.4.1', '2.5.0', '2.6.3', '3.0.0-rc1'];
const REGIONS = ['EU', 'NA', 'KR'];

interface VehicleContext {
  readonly vin: string;
  readonly model: string;
  readonly swVersion: string;
  readonly region: string;
  readonly attributes: { readonly subscription: string };
}

/** The contexts, none of whose strings is shared with another or with a rule. */
function contexts(): readonly VehicleContext[] {
  return Array.from({ length: VEHICLES }, (_, index) => {
    const context = {
      vin: `KMHFF${String(index).padStart(12, '0')}`,
      model: MODELS[index % MODELS.length],
      swVersion: VERSIONS[index % VERSIONS.length],
      region: REGIONS[index % REGIONS.length],
      attributes: { subscription: index % 5 === 0 ? 'premium' : 'basic' },
    };
    return JSON.parse(JSON.stringify(context)) as VehicleContext;
  });
}

type Name = 'rollout' | 'target' | 'five_rules';
const CASES: Readonly<Record<Name, string>> = {
  rollout: 'a rollout of 10 %',
  target: 'a target with a range of versions',
  five_rules: 'five rules',
};

let ids = 0;
const rule = (type: RuleDefinition['type'], conditions: RuleDefinition['conditions']): RuleDefinition => ({
  id: `rule-${++ids}`,
  type,
  priority: 1_000 - ids,
  enabled: true,
  conditions,
});
const RULES: Readonly<Record<Name, readonly RuleDefinition[]>> = {
  rollout: [rule('percentage_rollout', { rollout_percentage: 10 })],
  target: [rule('vehicle_target', { models: ['Ioniq 5', 'EV9'], sw_version: '>=2.5.0 <3', regions: ['EU', 'NA'] })],
  five_rules: [
    rule('vehicle_target', { models: ['Nexo'] }),
    rule('user_attribute', { attribute: 'subscription', operator: 'in', values: ['fleet', 'test'] }),
    rule('vehicle_target', { sw_version: '<2.4.0' }),
    rule('vehicle_target', { regions: ['CN'], models: ['Ioniq 5'] }),
    rule('percentage_rollout', { rollout_percentage: 10 }),
  ],
};

function definitionOf(key: Name): FlagDefinition {
  return {
    key,
    environment: 'production',
    type: 'boolean',
    safetyLevel: 'Non-Critical',
    enabled: true,
    defaultValue: false,
    revision: 1,
    rules: RULES[key],
  };
}

/** The same flags in flagd's form (https://flagd.dev/reference/flag-definitions/). */
const FLAGD_ROLLOUT = { fractional: [{ cat: [{ var: '$flagd.flagKey' }, { var: 'vin' }] }, ['on', 10], ['off', 90]] };
const among = (name: string, values: readonly string[]) => ({ in: [{ var: name }, values] });
const version = (operator: string, bound: string) => ({ sem_ver: [{ var: 'swVersion' }, operator, bound] });
const FLAGD: Readonly<Record<Name, object>> = {
  rollout: FLAGD_ROLLOUT,
  target: {
    if: [
      {
        and: [
          among('model', ['Ioniq 5', 'EV9']),
          version('>=', '2.5.0'),
          version('<', '3.0.0'),
          among('region', ['EU', 'NA']),
        ],
      },
      'on',
      'off',
    ],
  },
  five_rules: {
    if: [
      among('model', ['Nexo']),
      'on',
      among('attributes.subscription', ['fleet', 'test']),
      'on',
      version('<', '2.4.0'),
      'on',
      { and: [among('region', ['CN']), among('model', ['Ioniq 5'])] },
      'on',
      FLAGD_ROLLOUT,
    ],
  },
};

/** The same flags in GrowthBook's form. */
const GROWTHBOOK_ROLLOUT = { force: true, coverage: 0.1, hashAttribute: 'vin' };
const GROWTHBOOK: Readonly<Record<Name, { defaultValue: boolean; rules: object[] }>> = {
  rollout: { defaultValue: false, rules: [GROWTHBOOK_ROLLOUT] },
  target: {
    defaultValue: false,
    rules: [
      {
        force: true,
        condition: {
          model: { $in: ['Ioniq 5', 'EV9'] },
          swVersion: { $vgte: '2.5.0', $vlt: '3.0.0' },
          region: { $in: ['EU', 'NA'] },
        },
      },
    ],
  },
  five_rules: {
    defaultValue: false,
    rules: [
      { force: true, condition: { model: { $in: ['Nexo'] } } },
      { force: true, condition: { 'attributes.subscription': { $in: ['fleet', 'test'] } } },
      { force: true, condition: { swVersion: { $vlt: '2.4.0' } } },
      { force: true, condition: { region: { $in: ['CN'] }, model: { $in: ['Ioniq 5'] } } },
      GROWTHBOOK_ROLLOUT,
    ],
  },
};

/** Evaluates flags for contexts; gives the value. */
type Evaluator = (key: Name, context: VehicleContext) => boolean;

function fleetFlag(): Evaluator {
  const compiled = {
    rollout: compileFlag(definitionOf('rollout')),
    target: compileFlag(definitionOf('target')),
    five_rules: compileFlag(definitionOf('five_rules')),
  };
  return (key, context) => evaluateFlag(compiled[key], context).value === true;
}

function flagd(): Evaluator {
  const core = new FlagdCore();
  const flag = (targeting: object) => ({
    state: 'ENABLED',
    variants: { on: true, off: false },
    defaultVariant: 'off',
    targeting,
  });
  core.setConfigurations(
    JSON.stringify({ flags: Object.fromEntries(Object.entries(FLAGD).map(([key, rules]) => [key, flag(rules)])) }),
  );
  return (key, context) => core.resolveBooleanEvaluation(key, false, { ...context }).value;
}

function growthBook(): Evaluator {
  const client = new GrowthBookClient().initSync({ payload: { features: GROWTHBOOK } });
  return (key, context) => client.isOn(key, { attributes: context });
}

/** The agent, asked by a program for the vehicle's own value. */
function agent(own: VehicleContext): (key: Name) => boolean {
  const clock = new AgeingClock(() => Date.now());
  const evaluator = new FlagEvaluator(own, clock);
  const held = (key: Name): HeldFlag => {
    const definition = definitionOf(key);
    const signed = {
      revision: 1,
      jws: '',
      digest: '',
      definition,
      fault: null,
      outsideContract: false,
      settled: false,
      scope: null,
    };
    return {
      key,
      held: signed,
      former: null,
      ahead: null,
      served: { definition, revision: 1, id: key },
      cachedAt: clock.seconds(),
      ttlSeconds: 86_400,
    };
  };
  const flags = new Map((Object.keys(CASES) as Name[]).map((key) => [key, held(key)]));
  evaluator.replace({ ...emptyState({ vin: own.vin, environment: 'production' }), revision: 1, complete: true, flags });
  return (key) => evaluator.evaluate(key)?.evaluation.value === true;
}

/** Prints the table. Takes about half a minute. */
export async function run({ quick }: BenchmarkOptions): Promise<void> {
  const fleet = contexts();
  const calls = quick ? 200_000 : 1_000_000;
  const ways: [string, Evaluator][] = [
    ['FleetFlag', fleetFlag()],
    ['flagd-core', flagd()],
    ['GrowthBook', growthBook()],
  ];
  const own = agent(fleet[0] as VehicleContext);
  const rows: (string | number)[][] = [];
  const conclusions: string[] = [];
  for (const key of Object.keys(CASES) as Name[]) {
    const results = ways.map(([name, evaluate]) => ({
      name,
      ...nanosecondsOf(calls, (index) => evaluate(key, fleet[index % VEHICLES] as VehicleContext)),
    }));
    const ofAgent = nanosecondsOf(calls, () => own(key));
    for (const { name, ns, share } of results)
      rows.push([CASES[key], `${name}, contexts of others`, ns, `${(share * 100).toFixed(1)} %`]);
    rows.push([CASES[key], "FleetFlag's agent, the vehicle's own context", ofAgent.ns, '']);
    const [first, ...peers] = results.map(({ ns }) => ns);
    conclusions.push(
      `${CASES[key]}: the fastest peer takes ${short(Math.min(...peers) / (first ?? NaN))} × as long (goal ≥ 5 ×); own context ${short(ofAgent.ns)} ns (goal ≤ 50).`,
    );
  }
  console.log('\nEvaluation, nanoseconds of CPU each\n');
  printTable(['flag', 'way', 'ns', 'on for'], rows);
  console.log(`\n${conclusions.join('\n')}`);
  printTogether(fleet, quick === true);
}
