/** The types of change requests and of scheduled rollouts. */
import type { JsonValue } from '../../../core/model.ts';
import type { CompleteResolvers } from '../../shared/subgraph/complete-resolvers.ts';
import { isUuid, pageAfter } from '../../../core/wire/api/pagination.ts';
import type { Resolvers, ResolversParentTypes } from '../generated/resolvers.ts';
import type { ResolvedSegment } from '../../../core/evaluation/segments/segment.ts';
import type { Flag } from '../flags/flag.ts';
import { evaluatedContent } from '../flags/vehicle-form.ts';
import {
  isOther,
  requestedChanges,
  segmentsThen,
  type ChangeRequest,
  type RequestedChange,
} from '../changes/requests/change-request.ts';
import { isAboutSegment, proposedSegment } from '../segments/segment-approval.ts';
import { proposedContent, segmentsOfChange } from '../segments/proposed-content.ts';
import { asSigned } from '../segments/signed-rules.ts';
import type { GuardStatus } from '../rollouts/rollout-guard.ts';
import { evaluatedContentOf } from './evaluations.ts';
import { isThere, userReference, userReferenceOrNull } from './references.ts';
import type { FlagsServices } from './services.ts';

/** Gives what a reviewer sees: the change, that of a segment, or the changes of a set by the keys of its flags. */
function shownOf({ members, ...request }: ChangeRequest, side: 'before' | 'after'): JsonValue {
  if (members.length === 0 || isAboutSegment(request)) return request[side];
  return Object.fromEntries(
    members.map(({ flagId, proposed: { key }, ...member }) => [typeof key === 'string' ? key : flagId, member[side]]),
  );
}

/** The most flags that `flags` gives: as many as a set of the API has. */
const MAX_FLAGS = 200;

/** The change of one flag, with the request that it belongs to. */
export interface ChangeOfRequest {
  readonly request: ChangeRequest;
  readonly change: RequestedChange;
}

const keyOf = ({ change: { flagId, proposed } }: ChangeOfRequest): string =>
  typeof proposed['key'] === 'string' ? proposed['key'] : flagId;

const changesOf = (request: ChangeRequest): ChangeOfRequest[] =>
  requestedChanges(request).map((change) => ({ request, change }));

/** Gives what vehicles evaluate of a flag before and after the change of a request; null once that is decided. */
async function contentsOf(services: FlagsServices, { request, change }: ChangeOfRequest) {
  if (request.status !== 'pending') return null;
  const flag = await services.byId.load(change.flagId);
  const before = flag === null ? null : await evaluatedContentOf(services, evaluatedContent(asSigned(flag)));
  const named = segmentsOfChange(change);
  const segments = new Map<string, ResolvedSegment>();
  for (const [index, segment] of (await Promise.all(named.map((key) => services.resolvedSegment.load(key)))).entries())
    if (segment !== null) segments.set(named[index] ?? '', segment);
  if (isAboutSegment(request)) segments.set(proposedSegment(request).key, await services.proposedSegment.load(request));
  return { before, after: await evaluatedContentOf(services, proposedContent(change, segments)) };
}

/** Gives the flag of a change. */
async function flagOf({ byId }: FlagsServices, { request, change: { flagId } }: ChangeOfRequest): Promise<Flag> {
  const flag = await byId.load(flagId);
  if (flag === null) throw new Error(`Flag ${flagId} of change request ${request.id} is gone`);
  return flag;
}

/** Gives what a guard has found as the API shows it. */
export function shownStatus({ verdict, computedAt, figures }: GuardStatus) {
  const { lastMeasurementAt } = figures;
  return {
    ...figures,
    worsePercentInterval: null,
    lastMeasurementAt: lastMeasurementAt === null ? null : new Date(lastMeasurementAt),
    verdict,
    computedAt,
  };
}

/** The resolvers of change requests and scheduled rollouts. */
export const requestTypes: Pick<
  CompleteResolvers<Resolvers, ResolversParentTypes>,
  'ChangeRequest' | 'RequestedChange' | 'Rollout' | 'RolloutGuard' | 'RolloutStep'
> = {
  ChangeRequest: {
    before: (request) => shownOf(request, 'before'),
    after: (request) => shownOf(request, 'after'),
    __resolveReference: ({ id }, { services }) => (isUuid(id) ? services.requestById.load(id.toLowerCase()) : null),
    flag: (request, _, { services }) => flagOf(services, { request, change: request }),
    flags: async (request, _, { services }) => {
      const shown = requestedChanges(request).slice(0, MAX_FLAGS);
      return (await Promise.all(shown.map(({ flagId }) => services.byId.load(flagId)))).filter(isThere);
    },
    flagCount: (request) => requestedChanges(request).length,
    changes: (request, page) => pageAfter(changesOf(request), page, keyOf),
    async outdated(request, _, { services }) {
      if (request.status !== 'pending') return false;
      const isStale = requestedChanges(request).map(
        async ({ flagId, flagRevision }) => (await services.byId.load(flagId))?.revision !== flagRevision,
      );
      // The request of a segment's change is about that segment itself.
      const then = isAboutSegment(request) ? [] : requestedChanges(request).flatMap((of) => [...segmentsThen(of)]);
      const isChanged = then.map(async ([key, conditions]) =>
        isOther(conditions, (await services.segmentByKey.load(key))?.conditions),
      );
      return (await Promise.all([...isStale, ...isChanged])).includes(true);
    },
    requestedBy: (request) => userReference(request.requestedById),
    reviewedBy: (request) => userReferenceOrNull(request.reviewedById),
    evaluatedContents: (request, _, { services }) => contentsOf(services, { request, change: request }),
  },

  RequestedChange: {
    flag: (changed, _, { services }) => flagOf(services, changed),
    key: keyOf,
    action: ({ change }) => change.action,
    before: ({ change }) => change.before,
    after: ({ change }) => change.after,
    async preview(changed, _, { services }) {
      const evaluatedContents = await contentsOf(services, changed);
      return evaluatedContents && { evaluatedContents };
    },
  },

  Rollout: {
    __resolveReference: ({ id }, { services }) => (isUuid(id) ? services.rollouts.byId(id) : null),
    guardStatus({ guard, guardStatus }) {
      // A verdict on an earlier watch concerns another percentage.
      if (guardStatus === null || guardStatus.watch !== guard?.watch) return null;
      return shownStatus(guardStatus);
    },
    scheduledBy: (rollout) => userReference(rollout.scheduledById),
    approvedBy: (rollout) => userReferenceOrNull(rollout.approvedById),
    changeRequest: ({ changeRequestId }, _, { services }) =>
      changeRequestId === null ? null : services.requestById.load(changeRequestId),
  },

  RolloutGuard: {
    silenceSeconds: (guard) => guard.silence / 1000,
    watchForSeconds: (guard) => guard.watchFor / 1000,
  },

  RolloutStep: {
    at: (step) => step.dueAt,
  },
};
