import { createWebhookSecrets } from '../../../core/credentials/webhook-secret.ts';

/** The settings of webhooks in tests: they may be sent to this machine alone, over http as well. */
export const testWebhookSettings = {
  secrets: createWebhookSecrets('a-secret-of-more-than-32-characters-x'),
  allowedAddresses: ['127.0.0.0/8', '::1'],
};
