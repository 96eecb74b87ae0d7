import { createWebhookSecrets } from '../../../core/credentials/webhook-secret.ts';

/** For tests: webhooks under a made-up internal secret that may be sent to this machine alone, over http as well. */
export const testWebhookSettings = {
  secrets: createWebhookSecrets('a-secret-of-more-than-32-characters-x'),
  allowedAddresses: ['127.0.0.0/8', '::1'],
};
