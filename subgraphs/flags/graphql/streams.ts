/** The subscriptions of the flags subgraph, and what vehicles sync. */
import type { FlagType, JsonValue } from '../../../core/model.ts';
import type { CompleteResolvers } from '../../shared/subgraph/complete-resolvers.ts';
import type { Resolvers, ResolversParentTypes } from '../generated/resolvers.ts';
import type { Flag } from '../flags/flag.ts';
import type { FlagChangeEvent } from '../sync/feed.ts';
import { requestedChanges, type ChangeRequest } from '../changes/requests/change-request.ts';
import { partitionFor } from '../sync/sync.ts';
import { maySee } from './references.ts';
import type { FlagsContext } from './services.ts';

/** The resolvers of the subscriptions and of their events. */
export const streams: Pick<
  CompleteResolvers<Resolvers, ResolversParentTypes>,
  'Subscription' | 'FlagSync' | 'FlagChange'
> = {
  Subscription: {
    flagChanges: {
      subscribe: (_, { environment }, { services, identity }) =>
        services.feed.changes(environment, partitionFor(identity.caller)),
      resolve(event: FlagChangeEvent, _: unknown, { notes }: FlagsContext) {
        if (event.isKill) notes.urgent = true;
        notes.changedAtMs = event.changedAtMs;
        return event;
      },
    },
    partitionSignals: {
      subscribe: (_, __, { services }) => services.partitionSignals.signals(),
      resolve: (signal: boolean) => signal,
    },
    changeRequestChanges: {
      async subscribe(_, __, { services }) {
        const requests = services.requestFeed.subscribe();
        await requests.established;
        return requests;
      },
      resolve(request: ChangeRequest, _: unknown, { services }: FlagsContext) {
        // The loader lives as long as the subscription, and flags and segments have changed meanwhile.
        for (const { flagId } of requestedChanges(request)) services.byId.clear(flagId);
        services.segmentByKey.clearAll();
        return request;
      },
    },
  },

  FlagSync: {
    statement: (sync) => sync.statement(),
    proof: (sync, { partitioned }) => sync.proof(partitioned === true),
  },

  FlagChange: {
    statement: (change) => change.statement(),
    proof: (change, { partitioned }) => change.proof(partitioned === true),
    flag: ({ flag }, _, { identity: { caller } }) => (maySee(caller, flag) ? flag : withoutContent(flag)),
  },
};

/** A value of each type that says nothing of the flag. */
const EMPTY: Readonly<Record<FlagType, JsonValue>> = { boolean: false, string: '', number: 0, json: {} };

/** Gives a flag that has left the vehicle's partition: its content is for vehicles of other models. */
function withoutContent(flag: Flag): Flag {
  const none = { description: null, enabled: false, rules: [], requires: [], excludes: [], scope: null };
  return { ...flag, ...none, name: flag.key, defaultValue: EMPTY[flag.type] };
}
