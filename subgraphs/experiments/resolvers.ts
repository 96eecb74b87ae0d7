/** GraphQL to domain and back, for the experiments subgraph; no logic of its own. */
import DataLoader from 'dataloader';
import { ENUMS } from '../shared/subgraph/graphql-enums.ts';
import { connectionOf, isUuid, readPage, type PageArguments } from '../shared/subgraph/pagination.ts';
import type { Resolvers, SubgraphContext } from '../shared/subgraph/subgraph.ts';
import type { CreateExperimentInput, Experiment, UpdateExperimentInput } from './experiments/experiment.ts';
import type { ExperimentLife } from './experiments/life.ts';
import type { ExperimentResults } from './experiments/results.ts';
import type { ExperimentFilter, ExperimentService } from './experiments/experiment-service.ts';
import type { Analysis, VariantSummary } from './statistics/analyse.ts';
import type { Disturbance } from './experiments/experiment-store.ts';
import type { MetricBatchInput } from './metrics/metric-batch.ts';
import type { MetricService, MetricsArguments } from './metrics/metric-service.ts';
import type { MetricInterval, MetricPoint } from './metrics/metric-store.ts';
import { requiredSampleSize, type SampleSizeInput } from './statistics/sample-size.ts';

export interface ExperimentsServices {
  readonly experiments: ExperimentService;
  readonly life: ExperimentLife;
  readonly results: ExperimentResults;
  readonly byId: DataLoader<string, Experiment | null>;
  readonly byFlag: DataLoader<string, Experiment[]>;
  readonly disturbancesOf: DataLoader<string, Disturbance[]>;
  readonly metrics: MetricService;
  readonly pointsOfFlag: PointsLoader;
}

/** The time series of a list of flags, for the same arguments, cost one query. */
type PointsLoader = DataLoader<MetricsArguments & { readonly key: string }, readonly MetricPoint[], string>;

type Context = SubgraphContext<ExperimentsServices>;

/** Loaders of one request: a list of entities costs one query. */
export function experimentLoaders(
  experiments: ExperimentService,
): Pick<ExperimentsServices, 'byId' | 'byFlag' | 'disturbancesOf'> {
  return {
    byId: new DataLoader<string, Experiment | null>(async (ids) => {
      const found = new Map((await experiments.byIds(ids)).map((experiment) => [experiment.id, experiment]));
      return ids.map((id) => found.get(id) ?? null);
    }),
    byFlag: new DataLoader<string, Experiment[]>(async (flagIds) => {
      const found = await experiments.ofFlags(flagIds);
      return flagIds.map((flagId) => found.filter((experiment) => experiment.flagId === flagId));
    }),
    disturbancesOf: new DataLoader<string, Disturbance[]>(async (ids) => {
      const found = await experiments.disturbances(ids);
      return ids.map((id) => found.filter(({ experimentId }) => experimentId === id));
    }),
  };
}

/** What `ExperimentResults` is resolved from. */
type Results = Analysis & { readonly experimentId: string; readonly computedAt: Date };
const argumentsKey = ({ metric, from, to, interval }: MetricsArguments) => JSON.stringify([metric, from, to, interval]);

/** As `experimentLoaders`, of measurements. */
export function pointsLoader(metrics: MetricService): PointsLoader {
  return new DataLoader(
    async (asked) => {
      const answers = new Map<string, Promise<ReadonlyMap<string, readonly MetricPoint[]>>>();
      for (const one of asked) {
        const same = argumentsKey(one);
        if (!answers.has(same))
          answers.set(
            same,
            metrics.points(
              asked.flatMap((other) => (argumentsKey(other) === same ? other.key : [])),
              one,
            ),
          );
      }
      // One flag's wrong arguments are no other's fault.
      return Promise.all(
        asked.map((one) =>
          answers.get(argumentsKey(one))!.then(
            (points) => points.get(one.key) ?? [],
            (error: Error) => error,
          ),
        ),
      );
    },
    { cacheKeyFn: (one) => `${one.key} ${argumentsKey(one)}` },
  );
}

const byId = (id: string, services: ExperimentsServices) => (isUuid(id) ? services.byId.load(id.toLowerCase()) : null);

export const resolvers: Resolvers = {
  ExperimentStatus: ENUMS.ExperimentStatus,
  DecisionBasis: ENUMS.DecisionBasis,
  MissingReason: ENUMS.MissingReason,
  MetricInterval: ENUMS.MetricInterval,

  Query: {
    experiment: (_: unknown, { id }: { id: string }, { services }: Context) => byId(id, services),
    async experiments(_: unknown, args: PageArguments & { filter?: ExperimentFilter | null }, { services }: Context) {
      const page = readPage(args);
      const { experiments, more, totalCount } = await services.experiments.search(args.filter ?? {}, page);
      return connectionOf(experiments, page, more, totalCount);
    },
    requiredSampleSize: (_: unknown, input: SampleSizeInput) => requiredSampleSize(input),
  },

  Mutation: {
    createExperiment: (_: unknown, { input }: { input: CreateExperimentInput }, { services, identity }: Context) =>
      services.experiments.create(identity, input),
    updateExperiment: (
      _: unknown,
      { id, input }: { id: string; input: UpdateExperimentInput },
      { services, identity }: Context,
    ) => services.life.update(identity, id, input),
    startExperiment: (_: unknown, { id }: { id: string }, { services, identity }: Context) =>
      services.life.start(identity, id),
    completeExperiment: (_: unknown, { id }: { id: string }, { services, identity }: Context) =>
      services.life.complete(identity, id),
    cancelExperiment: (_: unknown, { id, reason }: { id: string; reason: string }, { services, identity }: Context) =>
      services.life.cancel(identity, id, reason),
    reportMetrics: (_: unknown, { input }: { input: MetricBatchInput }, { services, identity }: Context) =>
      services.metrics.report(identity, input),
  },

  Flag: {
    __resolveReference: ({ id, key }: { id: string; key?: string }) => ({ id, key }),
    experiments: ({ id }: { id: string }, _: unknown, { services }: Context) =>
      isUuid(id) ? services.byFlag.load(id.toLowerCase()) : [],
    metrics: (
      { key }: { key: string },
      given: Omit<MetricsArguments, 'interval'> & { interval?: MetricInterval | null },
      { services }: Context,
    ) => services.pointsOfFlag.load({ ...given, interval: given.interval ?? 'hour', key }),
  },

  Experiment: {
    __resolveReference: ({ id }: { id: string }, { services }: Context) => byId(id, services),
    flag: ({ flagId }: Experiment) => ({ id: flagId }),
    pValue: ({ results }: Experiment) => results?.analysis.pValue,
    improvementPercent: ({ results }: Experiment) => results?.analysis.improvementPercent,
    async results(experiment: Experiment, _: unknown, { services }: Context): Promise<Results | null> {
      const results = await services.results.of(experiment);
      return results && { ...results.analysis, experimentId: experiment.id, computedAt: results.computedAt };
    },
  },

  ExperimentResults: {
    disturbances: ({ experimentId }: Results, _: unknown, { services }: Context) =>
      services.disturbancesOf.load(experimentId),
  },

  VariantResult: {
    // The API promises numbers here; `vehicles` says when there was nothing to compute them from.
    mean: ({ mean }: VariantSummary) => mean ?? 0,
    standardDeviation: ({ standardDeviation }: VariantSummary) => standardDeviation ?? 0,
  },

  ExperimentDisturbance: {
    by: ({ userId }: Disturbance) => (userId === null ? null : { __typename: 'User', id: userId }),
  },
};
