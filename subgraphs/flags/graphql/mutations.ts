/** The mutations of the flags subgraph. */
import { FleetFlagError } from '../../../core/errors.ts';
import type { CompleteResolvers } from '../../shared/subgraph/complete-resolvers.ts';
import { isUuid } from '../../../core/wire/api/pagination.ts';
import type { Resolvers, ResolversParentTypes } from '../generated/resolvers.ts';
import { readSegment } from '../segments/segment-service.ts';

function ruleId(id: string): string {
  if (!isUuid(id)) throw new FleetFlagError('NOT_FOUND', 'This rule does not exist.', { field: 'id' });
  return id;
}

/** The resolvers of the mutations. */
export const mutations: Pick<CompleteResolvers<Resolvers, ResolversParentTypes>, 'Mutation'> = {
  Mutation: {
    createFlag: (_, { input }, { services, identity }) => services.flags.createFlag(identity, input),
    updateFlag: (_, { key, input, expectedRevision, force }, { services, identity }) =>
      services.flags.updateFlag(identity, key, input, expectedRevision, force),
    applyChanges: (_, { environment, changes, expectedRevision, force }, { services, identity }) =>
      services.flags.applyChanges(identity, environment, changes, expectedRevision, force),
    enableFlag: (_, { key, expectedRevision }, { services, identity }) =>
      services.flags.setEnabled(identity, key, true, expectedRevision),
    disableFlag: async (_, { key, expectedRevision }, { services, identity }) => ({
      ...(await services.flags.setEnabled(identity, key, false, expectedRevision)),
      stops: true,
    }),
    archiveFlag: (_, { key, expectedRevision, force }, { services, identity }) =>
      services.flags.archiveFlag(identity, key, expectedRevision, force),
    unarchiveFlag: (_, { key, expectedRevision }, { services, identity }) =>
      services.flags.unarchiveFlag(identity, key, expectedRevision),
    restoreFlag: (_, { key, revision, expectedRevision, force }, { services, identity }) =>
      services.flags.restoreFlag(identity, key, revision, expectedRevision, force),
    createRule: (_, { flagKey, input, expectedRevision, force }, { services, identity }) =>
      services.flags.createRule(identity, flagKey, input, expectedRevision, force),
    updateRule: (_, { id, input, expectedRevision, force, reason }, { services, identity }) =>
      services.flags.updateRule(identity, ruleId(id), input, expectedRevision, force, reason),
    deleteRule: (_, { id, expectedRevision, force, reason }, { services, identity }) =>
      services.flags.deleteRule(identity, ruleId(id), expectedRevision, force, reason),
    reorderRules: (_, { flagKey, ruleIds, expectedRevision, force }, { services, identity }) =>
      services.flags.reorderRules(identity, flagKey, ruleIds, expectedRevision, force),
    saveSegment: (_, { key, name, conditions, ...options }, { services, identity }) =>
      services.segments.save(identity, readSegment(key, name, conditions), options),
    deleteSegment: (_, { key }, { services, identity }) => services.segments.remove(identity, key),
    setReleasePolicy: (_, { input, expectedUpdatedAt }, { services, identity }) =>
      services.releasePolicies.set(identity, input, expectedUpdatedAt),
    approveReleasePolicy: (_, { environment, proposalId, comment }, { services, identity }) =>
      services.releasePolicies.approve(identity, environment, proposalId, comment),
    rejectReleasePolicy: (_, { environment, proposalId, comment }, { services, identity }) =>
      services.releasePolicies.reject(identity, environment, proposalId, comment),
    killSwitch: async (_, { flagKey, reason }, { services, identity }) => ({
      ...(await services.flags.killSwitch(identity, flagKey, reason)),
      stops: true,
    }),
    releaseKillSwitch: (_, { flagKey, reason }, { services, identity }) =>
      services.flags.releaseKillSwitch(identity, flagKey, reason),
    approveChangeRequest: (_, { id, comment }, { services, identity }) =>
      services.requests.approve(identity, id, comment),
    rejectChangeRequest: (_, { id, comment }, { services, identity }) =>
      services.requests.reject(identity, id, comment),
    cancelChangeRequest: (_, { id }, { services, identity }) => services.requests.cancel(identity, id),
    scheduleRollout: (_, args, { services, identity }) =>
      services.rollouts.schedule(identity, args.flagKey, args.ruleId, args.steps, {
        guard: args.guard,
        expectedRevision: args.expectedRevision,
      }),
    haltRelease: (_, { flagKey, reason }, { services, identity }) => services.releases.halt(identity, flagKey, reason),
    addReleaseGuards: (_, { flagKey, guards, reason }, { services, identity }) =>
      services.releases.addGuards(identity, flagKey, guards, reason),
    promoteRelease: (_, { flagKey, percentage, reason }, { services, identity }) =>
      services.releases.promote(identity, flagKey, percentage, reason),
    pauseRollout: (_, { id, reason }, { services, identity }) => services.rollouts.pause(identity, id, reason),
    resumeRollout: (_, { id }, { services, identity }) => services.rollouts.resume(identity, id),
    cancelRollout: (_, { id, reason }, { services, identity }) => services.rollouts.cancel(identity, id, reason),
  },
};
