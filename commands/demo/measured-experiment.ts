/** The step of the show in which an experiment finds a simulated effect. */
import type { ApiClient } from './api-client.ts';
import { KNOWN_EFFECT, DRIVING_METRIC, TRIPS } from './fleet/driving.ts';
import { MEASURED } from './flags.ts';
import { FLEET } from './fleet/fleet.ts';
import { reportTrips } from './fleet/reporting.ts';
import type { Terminal } from './terminal.ts';

const HOUR_MS = 3_600_000;

interface Comparison {
  readonly improvementPercent: number | null;
  readonly confidenceInterval: readonly [number, number] | null;
  readonly pValue: number | null;
}

/** The results as the API gives them. */
export interface ShownResults {
  readonly variants: readonly {
    readonly variant: string;
    readonly vehicles: number;
    readonly observations: number;
    readonly mean: number;
  }[];
  readonly improvementPercent: number | null;
  readonly fixedHorizonPValue: number | null;
  readonly fixedHorizonConfidenceInterval: readonly [number, number] | null;
  readonly sequentialPValue: number | null;
  readonly sequentialConfidenceInterval: readonly [number, number] | null;
  readonly significant: boolean;
  readonly sampleRatioMismatch: { readonly detected: boolean; readonly pValue: number };
  readonly cuped: (Comparison & { readonly coverage: number; readonly varianceReduction: number | null }) | null;
}

const RESULTS = `query ($id: ID!) { experiment(id: $id) { results {
  variants { variant vehicles observations mean }
  improvementPercent fixedHorizonPValue fixedHorizonConfidenceInterval sequentialPValue sequentialConfidenceInterval significant
  sampleRatioMismatch { detected pValue } cuped { improvementPercent confidenceInterval pValue coverage varianceReduction } } } }`;

/** Formats a percentage: `-4.12 %`. */
export const percent = (value: number | null) => (value === null ? 'none' : `${value.toFixed(2)} %`);
/** Formats an interval: `-6.03 to -2.21 %`. */
export const interval = (range: readonly [number, number] | null) =>
  range === null ? 'none' : `${range[0].toFixed(2)} to ${range[1].toFixed(2)} %`;
/** Formats a probability: `0.00021`. */
export const probability = (value: number | null) => (value === null ? 'none' : value.toPrecision(2));

/** Creates and starts the experiment, lets the fleet report before and while it runs, and shows the analysis. */
export async function showExperiment(
  api: ApiClient,
  wsUrl: string,
  tokens: ReadonlyMap<string, string>,
  terminal: Terminal,
): Promise<void> {
  const { bold, dim } = terminal.colors;
  terminal.step('An experiment finds an effect that was put in');
  const began = performance.now();
  const now = Date.now();
  const before = await reportTrips(wsUrl, tokens, FLEET, 'before', (trip) => now - (TRIPS - trip) * 24 * HOUR_MS);

  // The range of the metric is declared, so that each vehicle counts, with its first trip.
  await api.ask('mutation ($input: MetricDefinitionInput!) { defineMetric(input: $input) { key } }', {
    input: { key: DRIVING_METRIC, kind: 'MEAN', unit: '%', minimum: 50, maximum: 200, better: 'LOWER' },
  });
  const { createExperiment } = await api.ask<{ createExperiment: { id: string } }>(
    'mutation ($input: CreateExperimentInput!) { createExperiment(input: $input) { id } }',
    {
      input: {
        flagKey: MEASURED,
        name: 'Does the eco route save energy?',
        startDate: new Date(now).toISOString(),
        sampleSize: FLEET.length / 2,
        primaryMetric: DRIVING_METRIC,
      },
    },
  );
  const { id } = createExperiment;
  const { startExperiment } = await api.ask<{ startExperiment: { startDate: string } }>(
    'mutation ($id: ID!) { startExperiment(id: $id) { startDate } }',
    { id },
  );
  // The trips are a millisecond apart, so that all of them are over when the results are read.
  const during = await reportTrips(
    wsUrl,
    tokens,
    FLEET,
    'during',
    (trip) => Date.parse(startExperiment.startDate) + trip,
  );
  const { experiment } = await api.ask<{ experiment: { results: ShownResults } }>(RESULTS, { id });
  const { results } = experiment;

  terminal.say(
    `${FLEET.length} vehicles drive, simulated: with ${MEASURED} they use ${bold(percent(KNOWN_EFFECT))} energy, and drivers and trips differ far more than that.`,
  );
  terminal.say(
    `Each reports with its own token over its own websocket: ${before} measurements from before the start, ${during} in fast motion after it, in ${((performance.now() - began) / 1_000).toFixed(1)} s.`,
  );
  terminal.table(
    ['arm', 'vehicles', 'trips', DRIVING_METRIC],
    results.variants.map(({ variant, vehicles, observations, mean }) => [
      variant,
      String(vehicles),
      String(observations),
      mean.toFixed(2),
    ]),
  );
  const { cuped } = results;
  const row = (name: string, { improvementPercent, confidenceInterval, pValue }: Comparison) => [
    name,
    bold(percent(improvementPercent)),
    interval(confidenceInterval),
    probability(pValue),
  ];
  const { improvementPercent, fixedHorizonConfidenceInterval, fixedHorizonPValue } = results;
  const atTheEnd = {
    improvementPercent,
    confidenceInterval: fixedHorizonConfidenceInterval,
    pValue: fixedHorizonPValue,
  };
  terminal.table(
    ['what the analysis gives', 'effect', '95 % interval', 'p, one look', 'p, any look', 'interval, any look'],
    [
      ['known', percent(KNOWN_EFFECT)],
      [
        ...row('estimated', atTheEnd),
        probability(results.sequentialPValue),
        interval(results.sequentialConfidenceInterval),
      ],
      ...(cuped === null ? [] : [row('with their history', cuped)]),
    ],
  );
  terminal.say(
    `The arms' sizes fit the plan: p = ${probability(results.sampleRatioMismatch.pValue)}. Significant at this look: ${results.significant ? 'yes' : 'no'}.${cuped?.varianceReduction == null ? '' : ` History (CUPED) takes ${(cuped.varianceReduction * 100).toFixed(0)} % off the variance.`}`,
  );
  terminal.say(dim('The experiment runs on: query { experiments { nodes { results { … } } } } shows it again.'));
}
