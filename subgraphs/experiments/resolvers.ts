/** Maps GraphQL to the domain and back for the experiments subgraph; it has no logic of its own. */
import DataLoader from 'dataloader';
import type { CompleteResolvers } from '../shared/subgraph/complete-resolvers.ts';
import { ENUMS } from '../shared/subgraph/graphql-enums.ts';
import { connectionOf, isUuid, readPage } from '../../core/wire/pagination.ts';
import type { SubgraphContext } from '../shared/subgraph/subgraph.ts';
import type { Resolvers, ResolversParentTypes } from './generated/resolvers.ts';
import { decisivePValue, type ComputedResults, type Experiment } from './experiments/experiment.ts';
import type { ExperimentLife } from './experiments/life.ts';
import type { ExperimentResults } from './experiments/results.ts';
import type { ExperimentService } from './experiments/experiment-service.ts';
import type { Analysis } from './statistics/analyse.ts';
import type { Disturbance } from './experiments/experiment-store.ts';
import type { DefinitionService } from './definitions/definition-service.ts';
import type { MetricService, MetricsArguments } from './metrics/metric-service.ts';
import type { MetricPoint } from './metrics/metric-store.ts';
import { requiredSampleSize } from './statistics/sample-size.ts';

/** The services of one request. */
export interface ExperimentsServices {
  readonly experiments: ExperimentService;
  readonly life: ExperimentLife;
  readonly results: ExperimentResults;
  readonly byId: DataLoader<string, Experiment | null>;
  readonly byFlag: DataLoader<string, Experiment[]>;
  readonly disturbancesOf: DataLoader<string, Disturbance[]>;
  readonly definitions: DefinitionService;
  readonly metrics: MetricService;
  readonly pointsOfFlag: PointsLoader;
}

/** Loads the time series of a list of flags, for the same arguments, with one query. */
type PointsLoader = DataLoader<MetricsArguments & { readonly key: string }, readonly MetricPoint[], string>;

/** The context of this subgraph's resolvers. */
export type Context = SubgraphContext<ExperimentsServices>;

/** Creates one request's loaders of experiments, so that a list of entities costs one query. */
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

/** The parent of `ExperimentResults`. */
export type Results = Analysis & Omit<ComputedResults, 'analysis'> & { readonly experimentId: string };
const argumentsKey = ({ metric, from, to, interval }: MetricsArguments) => JSON.stringify([metric, from, to, interval]);

/** Creates one request's loader of time series. */
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
      // One flag's wrong arguments must not fail the others.
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

/** The resolvers of the experiments subgraph. */
export const resolvers: CompleteResolvers<Resolvers, ResolversParentTypes> = {
  ExperimentStatus: ENUMS.ExperimentStatus,
  DecisionBasis: ENUMS.DecisionBasis,
  MissingReason: ENUMS.MissingReason,
  MetricInterval: ENUMS.MetricInterval,
  MetricKind: ENUMS.MetricKind,
  GuardDirection: ENUMS.GuardDirection,

  Query: {
    experiment: (_, { id }, { services }) => byId(id, services),
    async experiments(_, args, { services }) {
      const page = readPage(args);
      const { experiments, more, totalCount } = await services.experiments.search(args.filter ?? {}, page);
      return connectionOf(experiments, page, more, totalCount);
    },
    requiredSampleSize: (_, input) => requiredSampleSize(input),
    metricDefinitions: (_, __, { services }) => services.definitions.all(),
  },

  Mutation: {
    createExperiment: (_, { input }, { services, identity }) => services.experiments.create(identity, input),
    updateExperiment: (_, { id, input }, { services, identity }) => services.life.update(identity, id, input),
    startExperiment: (_, { id }, { services, identity }) => services.life.start(identity, id),
    completeExperiment: (_, { id, ...options }, { services, identity }) =>
      services.life.complete(identity, id, options),
    cancelExperiment: (_, { id, reason }, { services, identity }) => services.life.cancel(identity, id, reason),
    defineMetric: (_, { input }, { services, identity }) => services.definitions.define(identity, input),
    reportMetrics: (_, { input }, { services, identity }) => services.metrics.report(identity, input),
  },

  Flag: {
    __resolveReference: (reference) => reference,
    experiments: ({ id }, _, { services }) => (isUuid(id) ? services.byFlag.load(id.toLowerCase()) : []),
    metrics({ key }, given, { services }) {
      if (key === undefined) throw new Error('A gateway asked for the metrics of a flag without its key');
      return services.pointsOfFlag.load({ ...given, interval: given.interval ?? 'hour', key });
    },
  },

  Experiment: {
    __resolveReference: ({ id }, { services }) => byId(id, services),
    flag: ({ flagId }) => ({ id: flagId }),
    pValue: ({ results }) => results && decisivePValue(results.analysis),
    improvementPercent: ({ results }) => results?.analysis.improvementPercent ?? null,
    async results(experiment, _, { services }) {
      const results = await services.results.of(experiment);
      if (results === null) return null;
      const { analysis, ...rest } = results;
      return { ...analysis, ...rest, experimentId: experiment.id };
    },
  },

  ExperimentResults: {
    disturbances: ({ experimentId }, _, { services }) => services.disturbancesOf.load(experimentId),
  },

  MetricDefinition: {
    windowSeconds: ({ window }) => (window === null ? null : window / 1_000),
  },

  VariantResult: {
    // The API promises numbers here; `vehicles` shows when there was nothing to compute them from.
    mean: ({ mean }) => mean ?? 0,
    standardDeviation: ({ standardDeviation }) => standardDeviation ?? 0,
  },

  ExperimentDisturbance: {
    by: ({ userId }) => (userId === null ? null : { id: userId }),
  },
};
