/** The types of release policies and releases. */
import type { ReleasePolicy } from '../../../core/releases/release-policy.ts';
import { durationText } from '../../../core/validation/duration.ts';
import type { CompleteResolvers } from '../../shared/subgraph/complete-resolvers.ts';
import type { Resolvers, ResolversParentTypes } from '../generated/resolvers.ts';
import { reviewedProposal } from '../releases/policies/release-policy-service.ts';
import { shownStatus } from './request-types.ts';
import { userReferenceOrNull } from './references.ts';

/** The fields of a policy that those of a proposal are, too. */
const CONTENT = {
  stages: ({ policy }: { readonly policy: ReleasePolicy }) => [...policy.stages],
  canary: ({ policy: { canary } }: { readonly policy: ReleasePolicy }) =>
    canary && { vins: [...canary.vins], models: [...canary.models], regions: [...canary.regions] },
  safetyLevels: ({ policy }: { readonly policy: ReleasePolicy }) => [...policy.safetyLevels],
  maximumFaultyVehicles: ({ policy }: { readonly policy: ReleasePolicy }) => policy.maximumFaultyVehicles,
  maximumFaultyPercent: ({ policy }: { readonly policy: ReleasePolicy }) => policy.maximumFaultyPercent,
  guards: ({ policy }: { readonly policy: ReleasePolicy }) => [...policy.guards],
};

/** The resolvers of release policies and releases. */
export const releaseTypes: Pick<
  CompleteResolvers<Resolvers, ResolversParentTypes>,
  'Release' | 'ReleaseGuard' | 'ReleaseGuardWatch' | 'ReleasePolicy' | 'ReleasePolicyProposal' | 'ReleaseStage'
> = {
  Release: {
    async flag({ flagId }, _, { services }) {
      const flag = await services.byId.load(flagId);
      if (flag === null) throw new Error(`The flag ${flagId} of a release is gone`);
      return flag;
    },
    stages: ({ stages }) => [...stages],
    guards: (release, _, { services }) => services.guardsOfRelease.load(release),
    startedBy: ({ startedById }) => userReferenceOrNull(startedById),
    async faultFigures(release, _, { services }) {
      const figures = await services.figuresOfRelease.load(release);
      const { maximumFaultyVehicles, maximumFaultyPercent } = release;
      return figures && { ...figures, maximumFaultyVehicles, maximumFaultyPercent };
    },
  },

  ReleaseGuard: { silence: ({ silence }) => durationText(silence) },

  ReleaseGuardWatch: {
    reason: ({ guard: { reason } }) => reason ?? null,
    status: ({ status }) => status && shownStatus(status),
  },

  ReleasePolicy: {
    ...CONTENT,
    environment: ({ policy }) => policy.environment,
    updatedBy: ({ updatedById }) => userReferenceOrNull(updatedById),
    proposal: reviewedProposal,
  },

  ReleasePolicyProposal: {
    ...CONTENT,
    loosens: ({ loosens }) => [...loosens],
    proposedBy: ({ proposedById }) => userReferenceOrNull(proposedById),
  },

  ReleaseStage: { soak: ({ soakMs }) => durationText(soakMs) },
};
