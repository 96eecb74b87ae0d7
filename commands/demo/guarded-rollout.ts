/** The step of the show in which a rollout does harm, and its guard pulls it back. */
import { setTimeout as delay } from 'node:timers/promises';
import { BUCKETS, bucketing, murmur3 } from '../../core/evaluation/bucket.ts';
import type { ApiClient } from './api-client.ts';
import { FLEET, type FleetVehicle } from './fleet/fleet.ts';
import { reportBatches } from './fleet/reporting.ts';
import type { Terminal } from './terminal.ts';

const KEY = 'brake_blending_v2';
const METRIC = 'harsh_stop';
const SHARE = 50;
/** The simulated shares of the vehicles that stop harshly, without and with the feature. */
const HARSH = { control: 0.05, treatment: 0.45 } as const;
/** Milliseconds until the guard must have decided. It checks every five seconds. */
const TIMEOUT_MS = 90_000;

interface Seen {
  readonly killed: boolean;
  readonly rules: readonly {
    readonly rollout: {
      readonly status: string;
      readonly currentPercentage: number;
      readonly guardStatus: {
        readonly controlVehicles: number;
        readonly treatmentVehicles: number;
        readonly controlMean: number | null;
        readonly treatmentMean: number | null;
      } | null;
    } | null;
  }[];
}

const SEEN = `query ($key: String!) { flag(key: $key) { killed rules { rollout { status currentPercentage
  guardStatus { controlVehicles treatmentVehicles controlMean treatmentMean } } } } }`;

/** Reads the flag until its rollout is as wanted. Throws an Error when it is not within TIMEOUT_MS. */
async function until(
  api: ApiClient,
  wanted: (rollout: NonNullable<Seen['rules'][number]['rollout']>, flag: Seen) => boolean,
): Promise<{ flag: Seen; rollout: NonNullable<Seen['rules'][number]['rollout']> }> {
  const deadline = performance.now() + TIMEOUT_MS;
  for (;;) {
    const { flag } = await api.ask<{ flag: Seen }>(SEEN, { key: KEY });
    const rollout = flag.rules.find((rule) => rule.rollout !== null)?.rollout;
    if (rollout != null && wanted(rollout, flag)) return { flag, rollout };
    if (performance.now() > deadline) throw new Error(`The rollout of ${KEY} is ${rollout?.status} for too long.`);
    await delay(100);
  }
}

/** Creates the flag with its rollout at 0 %, and schedules the guarded rollout. */
async function schedule(api: ApiClient): Promise<void> {
  await api.ask('mutation ($input: MetricDefinitionInput!) { defineMetric(input: $input) { key } }', {
    input: { key: METRIC, kind: 'PROPORTION', better: 'LOWER' },
  });
  await api.ask('mutation ($input: CreateFlagInput!) { createFlag(input: $input) { applied } }', {
    input: {
      key: KEY,
      name: 'Brake blending, second generation',
      description: 'Recuperates for longer before the brakes take over.',
      type: 'BOOLEAN',
      defaultValue: false,
      safetyLevel: 'ASIL_B',
      environment: 'PRODUCTION',
      enabled: true,
    },
  });
  const { createRule } = await api.ask<{ createRule: { flag: { rules: { id: string }[] } } }>(
    'mutation ($key: String!, $input: RuleInput!) { createRule(flagKey: $key, input: $input) { flag { rules { id } } } }',
    { key: KEY, input: { type: 'PERCENTAGE_ROLLOUT', conditions: { rollout_percentage: 0, sticky: true } } },
  );
  await api.ask(
    `mutation ($key: String!, $rule: ID!, $steps: [RolloutStepInput!]!, $guard: RolloutGuardInput!) {
      scheduleRollout(flagKey: $key, ruleId: $rule, steps: $steps, guard: $guard) { applied } }`,
    {
      key: KEY,
      rule: createRule.flag.rules[0]?.id,
      steps: [
        { percentage: SHARE, after: 'PT1S' },
        { percentage: 100, after: 'P1D' },
      ],
      guard: { metric: METRIC, worse: 'HIGHER', maxWorsePercent: 5, minimumVehicles: 20 },
    },
  );
}

/** Schedules the rollout, lets the fleet report, and shows what the guard does. */
export async function showGuard(
  api: ApiClient,
  wsUrl: string,
  tokens: ReadonlyMap<string, string>,
  terminal: Terminal,
): Promise<void> {
  const { bold, dim, red } = terminal.colors;
  terminal.step('A rollout does harm, and its guard pulls it back');
  await schedule(api);
  await until(api, ({ currentPercentage }) => currentPercentage === SHARE);
  terminal.say(
    `${KEY} (ASIL-B) is rolled out: ${SHARE} % now, everybody tomorrow. Its guard allows 5 % more of ${METRIC}.`,
  );

  const bucketOf = bucketing(KEY);
  const armOf = ({ vin }: FleetVehicle) => (bucketOf(vin) < (BUCKETS * SHARE) / 100 ? 'treatment' : 'control');
  const stopsHarshly = (vehicle: FleetVehicle) =>
    (murmur3(`${METRIC}:${vehicle.vin}`) + 0.5) / 2 ** 32 < HARSH[armOf(vehicle)];
  const reported = performance.now();
  await reportBatches(wsUrl, tokens, FLEET, 'guarded', (vehicle) =>
    [
      ['$evaluations', 1],
      [METRIC, stopsHarshly(vehicle) ? 1 : 0],
    ].map(([metricName, value]) => ({
      flagKey: KEY,
      variant: armOf(vehicle),
      metricName: String(metricName),
      value: Number(value),
      timestamp: new Date().toISOString(),
    })),
  );
  terminal.say(
    `${FLEET.length} vehicles report whether they had to stop harshly: more often with the feature, as simulated.`,
  );
  // The flag and its rollout are read one after the other, so an answer of that very moment may have the one without
  // the other.
  const { rollout } = await until(
    api,
    ({ status, currentPercentage, guardStatus }, { killed }) =>
      status === 'PULLED_BACK' && killed && currentPercentage === 0 && guardStatus !== null,
  );
  const took = performance.now() - reported;
  const { guardStatus } = rollout;
  if (guardStatus === null) throw new Error(`The guard of ${KEY} has nothing to show.`);
  const share = (mean: number | null) => (mean === null ? 'none' : `${(mean * 100).toFixed(1)} %`);
  terminal.table(
    ['arm', 'vehicles', METRIC],
    [
      ['without the feature', String(guardStatus.controlVehicles), share(guardStatus.controlMean)],
      ['with it', String(guardStatus.treatmentVehicles), bold(red(share(guardStatus.treatmentMean)))],
    ],
  );
  terminal.say(
    `${(took / 1_000).toFixed(1)} s after the first report: back to ${rollout.currentPercentage} %, and the kill switch is set. Nobody had to be awake.`,
  );
  terminal.say(
    dim('The guard checks every five seconds, and is wrong about a harmless feature in at most 5 % of rollouts.'),
  );
}
