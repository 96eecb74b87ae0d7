/** Maps GraphQL to the domain and back for the experiments subgraph; it has no logic of its own. */
import DataLoader from 'dataloader';
import type { CompleteResolvers } from '../shared/subgraph/complete-resolvers.ts';
import { ENUMS } from '../shared/subgraph/graphql-enums.ts';
import { connectionOf, isUuid, readPage } from '../../core/wire/api/pagination.ts';
import type { SubgraphContext } from '../shared/subgraph/subgraph.ts';
import type { Resolvers, ResolversParentTypes } from './generated/resolvers.ts';
import type { ComputedResults, Experiment } from './experiments/experiment.ts';
import type { ExperimentLifecycle } from './experiments/experiment-lifecycle.ts';
import type { ExperimentReanalysis } from './experiments/reanalysis.ts';
import type { ExperimentResults } from './experiments/results.ts';
import type { ExplorationService } from './experiments/exploration/exploration-service.ts';
import type { ExperimentService } from './experiments/experiment-service.ts';
import type { Analysis } from './statistics/analyse.ts';
import type { Disturbance } from './experiments/experiment-store.ts';
import type { DefinitionService } from './definitions/definition-service.ts';
import type { MetricsArguments } from '../../core/wire/api/metric-points.ts';
import type { GuardLook } from './guards/guard-history.ts';
import type { MetricService } from './metrics/metric-service.ts';
import type { MetricPoint } from './metrics/metric-store.ts';
import { requiredSampleSize } from './statistics/sample-size/sample-size.ts';

/** The services of one request. */
export interface ExperimentsServices {
  readonly experiments: ExperimentService;
  readonly lifecycle: ExperimentLifecycle;
  readonly results: ExperimentResults;
  readonly reanalysis: ExperimentReanalysis;
  readonly exploration: ExplorationService;
  readonly byId: DataLoader<string, Experiment | null>;
  readonly byFlag: DataLoader<string, Experiment[]>;
  readonly disturbancesOf: DataLoader<string, Disturbance[]>;
  readonly definitions: DefinitionService;
  readonly metrics: MetricService;
  readonly pointsOfFlag: PointsLoader;
  readonly namesOfFlag: DataLoader<string, readonly string[]>;
  readonly looksOfRollout: DataLoader<string, readonly GuardLook[]>;
}

/** Loads the time series of a list of flags, for the same arguments, with one query. */
type PointsLoader = DataLoader<MetricsArguments & { readonly key: string }, readonly MetricPoint[], string>;

/** The context of this subgraph's resolvers. */
export type ExperimentsContext = SubgraphContext<ExperimentsServices>;

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

/** The value from which the fields of the GraphQL type `ExperimentResults` are resolved. */
export type Results = Analysis & Omit<ComputedResults, 'analysis'> & { readonly experimentId: string };
/** Gives computed results in that form. */
const resultsOf = ({ analysis, ...rest }: ComputedResults, experimentId: string): Results => ({
  ...analysis,
  ...rest,
  experimentId,
});

const argumentsKey = ({ metric, from, to, interval }: MetricsArguments) => JSON.stringify([metric, from, to, interval]);

/** Creates one request's loader of time series. */
export function pointsLoader(metrics: MetricService): PointsLoader {
  return new DataLoader(
    async (requests) => {
      const answers = new Map<string, Promise<ReadonlyMap<string, readonly MetricPoint[]>>>();
      for (const request of requests) {
        const sameArguments = argumentsKey(request);
        if (!answers.has(sameArguments))
          answers.set(
            sameArguments,
            metrics.points(
              requests.flatMap((other) => (argumentsKey(other) === sameArguments ? other.key : [])),
              request,
            ),
          );
      }
      // One flag's wrong arguments must not fail the others.
      return Promise.all(
        requests.map((request) =>
          answers.get(argumentsKey(request))!.then(
            (points) => points.get(request.key) ?? [],
            (error: Error) => error,
          ),
        ),
      );
    },
    { cacheKeyFn: (request) => `${request.key} ${argumentsKey(request)}` },
  );
}

/** Creates one request's loader of the names of the metrics that vehicles have reported for a flag. */
export const namesLoader = (metrics: MetricService): ExperimentsServices['namesOfFlag'] =>
  new DataLoader<string, readonly string[]>(async (keys) => {
    const names = await metrics.names(keys);
    return keys.map((key) => names.get(key) ?? []);
  });

/** Creates one request's loader of the history of a rollout's guards. */
export const looksLoader = (find: (rolloutIds: readonly string[]) => Promise<GuardLook[]>) =>
  new DataLoader<string, readonly GuardLook[]>(async (ids) => {
    const found = await find(ids);
    return ids.map((id) => found.filter(({ rolloutId }) => rolloutId === id));
  });

/** Gives the key of a flag, which the gateway must send with the fields that declare `@requires(fields: "key")`. */
function required(key: string | undefined): string {
  if (key === undefined)
    throw new Error("The gateway sent no key with a flag's metrics; it must run the supergraph of this schema");
  return key;
}

const byId = (id: string, services: ExperimentsServices) => (isUuid(id) ? services.byId.load(id.toLowerCase()) : null);

/** The resolvers of the experiments subgraph. */
export const experimentsResolvers: CompleteResolvers<Resolvers, ResolversParentTypes> = {
  ExperimentStatus: ENUMS.ExperimentStatus,
  DecisionBasis: ENUMS.DecisionBasis,
  MissingReason: ENUMS.MissingReason,
  MetricInterval: ENUMS.MetricInterval,
  MetricKind: ENUMS.MetricKind,
  GuardDirection: ENUMS.GuardDirection,
  GuardVerdict: ENUMS.GuardVerdict,
  SegmentDimension: ENUMS.SegmentDimension,
  SecondaryFinding: ENUMS.SecondaryFinding,
  GuardrailVerdict: ENUMS.GuardrailVerdict,

  Query: {
    measurementQueue: (_, __, { services }) => services.metrics.queue(),
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
    updateExperiment: (_, { id, input, expectedUpdatedAt }, { services, identity }) =>
      services.lifecycle.update(identity, id, input, expectedUpdatedAt),
    startExperiment: (_, { id }, { services, identity }) => services.lifecycle.start(identity, id),
    completeExperiment: (_, { id, ...options }, { services, identity }) =>
      services.lifecycle.complete(identity, id, options),
    cancelExperiment: (_, { id, reason }, { services, identity }) => services.lifecycle.cancel(identity, id, reason),
    defineMetric: (_, { input }, { services, identity }) => services.definitions.define(identity, input),
    reportMetrics: (_, { input }, { services, identity }) => services.metrics.report(identity, input),
  },

  Flag: {
    __resolveReference: (reference) => reference,
    experiments: ({ id }, _, { services }) => (isUuid(id) ? services.byFlag.load(id.toLowerCase()) : []),
    metricNames: ({ key }, _, { services }) => services.namesOfFlag.load(required(key)),
    metrics: ({ key }, given, { services }) =>
      services.pointsOfFlag.load({ ...given, interval: given.interval ?? 'hour', key: required(key) }),
  },

  Rollout: {
    __resolveReference: (reference) => reference,
    guardHistory: ({ id }, _, { services }) => (isUuid(id) ? services.looksOfRollout.load(id.toLowerCase()) : []),
  },

  Experiment: {
    __resolveReference: ({ id }, { services }) => byId(id, services),
    flag: ({ flagId }) => ({ id: flagId }),
    pValue: ({ results }) => results?.analysis.pValue ?? null,
    improvementPercent: ({ results }) => results?.analysis.improvementPercent ?? null,
    segments: (experiment, { by }, { services }) => services.exploration.segments(experiment, by),
    effectOverTime: (experiment, _, { services }) => services.exploration.overTime(experiment),
    async analysedVehicles(experiment, page, { services }) {
      const found = await services.exploration.analysed(experiment, page);
      if (found === null) return null;
      const last = found.more ? found.vehicles.at(-1) : undefined;
      return {
        nodes: found.vehicles,
        endCursor: last === undefined ? null : Buffer.from(last.id).toString('base64url'),
      };
    },
    async results(experiment, _, { services }) {
      const results = await services.results.of(experiment);
      return results === null ? null : resultsOf(results, experiment.id);
    },
    async reanalysis(experiment, _, { services }) {
      const found = await services.reanalysis.of(experiment);
      return found === null ? null : { ...found, results: resultsOf(found.results, experiment.id) };
    },
  },

  ExperimentResults: {
    secondaryMetrics: ({ further }) => further?.secondaryMetrics ?? [],
    guardrails: ({ further }) => further?.guardrails ?? [],
    // Results that an earlier version has stored do not contain it.
    detectablePercent: ({ detectablePercent }) => detectablePercent ?? null,
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
    flag: ({ flagId }) => (flagId === null ? null : { id: flagId }),
  },
};
