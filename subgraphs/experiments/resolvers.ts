/** GraphQL to domain and back, for the experiments subgraph; no logic of its own. */
import DataLoader from 'dataloader';
import { ENUMS } from '../shared/graphql-enums.ts';
import { connectionOf, isUuid, readPage } from '../shared/pagination.ts';
import type { Resolvers, SubgraphContext } from '../shared/subgraph.ts';
import type { CreateExperimentInput, Experiment } from './experiment.ts';
import type { ExperimentFilter, ExperimentService } from './service.ts';
import { requiredSampleSize, type SampleSizeInput } from './statistics/sample-size.ts';

export interface ExperimentsServices {
  readonly experiments: ExperimentService;
  readonly byId: DataLoader<string, Experiment | null>;
  readonly byFlag: DataLoader<string, Experiment[]>;
}

type Context = SubgraphContext<ExperimentsServices>;

/** Loaders of one request: a list of entities costs one query. */
export function experimentLoaders(experiments: ExperimentService): Pick<ExperimentsServices, 'byId' | 'byFlag'> {
  return {
    byId: new DataLoader<string, Experiment | null>(async (ids) => {
      const found = new Map((await experiments.byIds(ids)).map((experiment) => [experiment.id, experiment]));
      return ids.map((id) => found.get(id) ?? null);
    }),
    byFlag: new DataLoader<string, Experiment[]>(async (flagIds) => {
      const found = await experiments.ofFlags(flagIds);
      return flagIds.map((flagId) => found.filter((experiment) => experiment.flagId === flagId));
    }),
  };
}

const byId = (id: string, services: ExperimentsServices) => (isUuid(id) ? services.byId.load(id.toLowerCase()) : null);

export const resolvers: Resolvers = {
  ExperimentStatus: ENUMS.ExperimentStatus,

  Query: {
    experiment: (_: unknown, { id }: { id: string }, { services }: Context) => byId(id, services),
    async experiments(_: unknown, args: { filter?: ExperimentFilter | null; first?: number | null; after?: string | null }, { services }: Context) {
      const page = readPage(args);
      const { experiments, more, totalCount } = await services.experiments.search(args.filter ?? {}, page);
      return connectionOf(experiments, page, more, totalCount);
    },
    requiredSampleSize: (_: unknown, input: SampleSizeInput) => requiredSampleSize(input),
  },

  Mutation: {
    createExperiment: (_: unknown, { input }: { input: CreateExperimentInput }, { services, identity }: Context) =>
      services.experiments.create(identity, input),
  },

  Flag: {
    __resolveReference: ({ id }: { id: string }) => ({ id }),
    experiments: ({ id }: { id: string }, _: unknown, { services }: Context) => (isUuid(id) ? services.byFlag.load(id.toLowerCase()) : []),
  },

  Experiment: {
    __resolveReference: ({ id }: { id: string }, { services }: Context) => byId(id, services),
    flag: ({ flagId }: Experiment) => ({ id: flagId }),
  },
};
