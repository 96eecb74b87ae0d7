/** Maps GraphQL to the domain and back for webhooks. */
import { FleetFlagError } from '../../../core/errors.ts';
import { connectionOf, isUuid, readPage } from '../../../core/wire/api/pagination.ts';
import type { SharedLoader } from '../../shared/postgres/shared-loader.ts';
import { ENUMS } from '../../shared/subgraph/graphql-enums.ts';
import type { SubgraphContext } from '../../shared/subgraph/subgraph.ts';
import type { User } from '../accounts/user.ts';
import type { Resolvers } from '../generated/resolvers.ts';
import { messageIdOf, type Webhook } from './webhook.ts';
import type { WebhookService } from './webhook-service.ts';

/** The services of webhooks. */
export interface WebhookServices {
  readonly webhooks: WebhookService;
  readonly webhookById: SharedLoader<string, Webhook | null>;
  readonly userById: SharedLoader<string, User | null>;
}

type Context = SubgraphContext<WebhookServices>;

const USUAL_OVERLAP_HOURS = 24;

/** The resolvers of webhooks. */
export const webhookResolvers = {
  WebhookKind: ENUMS.WebhookKind,
  WebhookDeliveryStatus: ENUMS.WebhookDeliveryStatus,

  Webhook: {
    createdBy: ({ createdById }, _, { services }) =>
      createdById === null ? null : services.userById.load(createdById),
  },

  WebhookDelivery: {
    messageId: ({ id }) => messageIdOf(id),
    async webhook({ webhookId }, _, { services }) {
      const webhook = await services.webhookById.load(webhookId);
      if (webhook === null) throw new FleetFlagError('NOT_FOUND', 'This webhook was deleted meanwhile.');
      return webhook;
    },
  },

  Query: {
    webhooks: (_, __, { services }) => services.webhooks.list(),
    async webhookDeliveries(_, { webhookId = null, status = null, ...args }, { services }) {
      const page = readPage(args);
      if (webhookId !== null && !isUuid(webhookId)) return connectionOf([], page, false, 0);
      const search = { webhookId, status };
      const { deliveries, more } = await services.webhooks.deliveries(search, page);
      return connectionOf(deliveries, page, more, () => services.webhooks.deliveryCount(search));
    },
  },

  Mutation: {
    createWebhook: (_, { input }, { services, identity }) => services.webhooks.create(identity, input),
    updateWebhook: (_, { id, input, expectedUpdatedAt }, { services, identity }) =>
      services.webhooks.update(identity, id, input, expectedUpdatedAt),
    deleteWebhook: (_, { id }, { services, identity }) => services.webhooks.delete(identity, id),
    rotateWebhookSecret: (_, { id, overlapHours }, { services, identity }) =>
      services.webhooks.rotate(identity, id, overlapHours ?? USUAL_OVERLAP_HOURS),
    sendTestWebhook: (_, { id }, { services, identity }) => services.webhooks.test(identity, id),
    replayWebhookDelivery: (_, { id }, { services, identity }) => services.webhooks.replay(identity, id),
  },
} satisfies Resolvers<Context>;
