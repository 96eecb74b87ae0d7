/** The queries of the flags subgraph. */
import { explainFlag } from '../../../core/evaluation/explain.ts';
import { FleetFlagError } from '../../../core/errors.ts';
import { OTHER_MODELS } from '../../../core/partitions/partition.ts';
import type { CompleteResolvers } from '../../shared/subgraph/complete-resolvers.ts';
import { connectionBy, isUuid, readPage } from '../../../core/wire/api/pagination.ts';
import { withRegisteredFacts } from '../../shared/between-subgraphs/vehicle-facts.ts';
import type { Resolvers, ResolversParentTypes } from '../generated/resolvers.ts';
import { isVersionPlace, versionPlace } from '../flags/versions/flag-versions.ts';
import { seenBy } from '../flags/vehicle-form.ts';
import type { NodeType } from '../flags/reading/nodes.ts';
import { NEWEST_FIRST, isPlace } from '../flags/reading/flag-order.ts';
import { checkNonce, partitionFor } from '../sync/sync.ts';
import { evaluationsOf, evaluationOf, readContext, toEvaluation } from './evaluations.ts';
import type { FlagsServices } from './services.ts';

/** A node with the type name by which GraphQL resolves it. */
type Node = ResolversParentTypes['Node'] & { readonly __typename: NodeType };

/** Finds a node: this subgraph's own entities in full, others as references. */
async function findNode(given: string, services: FlagsServices): Promise<Node | null> {
  const id = given.toLowerCase();
  const type = await services.typeOfNode(given);
  switch (type) {
    case null:
      return null;
    case 'Vehicle':
      return (await services.registered.load(given)) && { __typename: type, vin: given };
    case 'Flag': {
      const flag = await services.byId.load(id);
      return flag && { ...flag, __typename: type };
    }
    case 'ChangeRequest': {
      const request = await services.requestById.load(id);
      return request && { ...request, __typename: type };
    }
    case 'Experiment':
    case 'User':
    case 'AuditLog':
      return { __typename: type, id };
  }
}

/** The resolvers of the queries. */
export const queries: Pick<CompleteResolvers<Resolvers, ResolversParentTypes>, 'Query'> = {
  Query: {
    node: (_, { id }, { services }) => findNode(id, services),
    flag: (_, { key }, { services }) => services.byKey.load(key),
    async flags(_, args, { services }) {
      const order = args.orderBy ?? NEWEST_FIRST;
      const page = readPage(args, (text) => isPlace(order, text));
      const { flags, totalCount, more, nameOf } = await services.flags.search(args.filter ?? {}, page, order);
      return connectionBy(flags, nameOf, page, more, totalCount);
    },
    async evaluateFlag(_, args, { services }) {
      const { evaluated } = await evaluationOf(services, args.key, args.context);
      return toEvaluation(args.key, evaluated);
    },
    async explainEvaluation(_, args, { services }) {
      const { flag, facts, evaluated } = await evaluationOf(services, args.key, args.context);
      const { rules } = explainFlag(seenBy(flag, facts), facts, '', await services.segments.namedBy(flag), evaluated);
      const dependencies = evaluated.dependencies.map(({ key, kind, ...others }) => ({
        ...others,
        flagKey: key,
        kind: kind === 'requires' ? ('REQUIRES' as const) : ('EXCLUDES' as const),
      }));
      return { evaluation: toEvaluation(args.key, evaluated), facts, dependencies, rules };
    },
    async evaluateFlags(_, args, { services }) {
      const context = await withRegisteredFacts(services.registered, readContext(args.context));
      return evaluationsOf(services, args.environment, context);
    },
    async flagVersions(_, { key, ...args }, { services }) {
      const page = readPage(args, isVersionPlace);
      const { versions, more, totalCount } = await services.flags.versions(key, page);
      return connectionBy(versions, versionPlace, page, more, totalCount);
    },
    segment: (_, { key }, { services }) => services.segmentByKey.load(key),
    segments: (_, page, { services }) => services.segments.list(page),
    async releases(_, { flagKey, status, ...args }, { services }) {
      const page = readPage(args, isUuid);
      const { releases, totalCount, more } = await services.releases.list(
        { flagKey: flagKey ?? null, status: status ?? null },
        page,
      );
      return connectionBy(releases, ({ id }) => id, page, more, totalCount);
    },
    releasePolicy: (_, { environment }, { services }) => services.releasePolicies.find(environment),
    previewSegment: (_, { key, conditions }, { services }) => services.segments.preview(key, conditions),
    changeRequests: (_, { status }, { services }) => services.requests.list({ status: status ?? null }),
    changeRequestCount: (_, { status }, { services }) => services.requests.count(status ?? null),
    flagSync: (_, { environment, since, nonce }, { services, identity, notes }) =>
      nonce == null
        ? services.sync.sync(environment, partitionFor(identity.caller), since ?? 0, notes)
        : services.sync.syncFor(identity.caller, nonce, environment, since ?? 0),
    async partitionLoad(_, { environment }, { services }) {
      const loads = await services.flags.partitionLoads(environment);
      return loads.map(({ partition, ...load }) => ({ model: partition === OTHER_MODELS ? null : partition, ...load }));
    },
    flagProof: (_, { environment, partitioned }, { services, identity, notes }) =>
      services.sync.proof(environment, partitionFor(identity.caller), partitioned === true, notes),
    async vehicleFacts(_, { nonce }, { services, identity: { caller } }) {
      if (caller.kind !== 'vehicle' || caller.vin === null)
        throw new FleetFlagError('FORBIDDEN', 'Only a vehicle may ask for its own registered facts.');
      checkNonce(nonce);
      const facts = await services.registered.load(caller.vin);
      if (facts === null) throw new FleetFlagError('NOT_FOUND', 'This vehicle is not registered.');
      return services.signer.vehicleFacts(caller.vin, facts, nonce);
    },
    answerInputs: (_, { vins, keys }, { services }) => services.answerInputs(vins, keys),
    vehiclePartitions: async (_, { environment, vins }, { services }) =>
      Object.fromEntries(await services.partitions.of(environment, vins)),
    partitionNews: async (_, { since, after }, { services }) => ({ ...(await services.partitionNews(since, after)) }),
  },
};
