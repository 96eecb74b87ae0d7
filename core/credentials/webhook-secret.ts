/**
 * The signing secrets of webhooks, and signatures under them. The database holds a random seed for each secret. The
 * secret itself is computed from the seed and the internal secret, so neither of the two alone gives it. Source:
 * Standard Webhooks 1.0.0, "Signature scheme".
 */
import { createHmac, randomBytes } from 'node:crypto';
import { importKey } from './hmac-jwt.ts';
import { deriveKey } from './identity-token.ts';

/** Gives the secrets of webhooks. */
export interface WebhookSecrets {
  /** Gives the secret of a seed as receivers configure it: `whsec_` and 32 bytes in base64. */
  secretOf(seed: string): string;
}

const PREFIX = 'whsec_';

/** Gives the seed of a new secret: 43 characters. */
export function newWebhookSeed(): string {
  return randomBytes(32).toString('base64url');
}

/**
 * Makes the source of webhooks' secrets.
 *
 * @param internalSecret `FLEETFLAG_INTERNAL_SECRET`: at least 32 characters
 */
export function createWebhookSecrets(internalSecret: string): WebhookSecrets {
  const key = importKey(deriveKey(internalSecret, 'webhook-secret'));
  return { secretOf: (seed) => `${PREFIX}${createHmac('sha256', key).update(seed).digest('base64')}` };
}

/**
 * Gives the value of the header `webhook-signature`: one signature for each secret, separated by blanks.
 *
 * @param secrets as `WebhookSecrets` gives them
 * @param messageId the value of `webhook-id`; it must not contain a full stop
 * @param timestampSeconds the value of `webhook-timestamp`: seconds since 1970
 * @param body the body exactly as it is sent
 */
export function webhookSignature(
  secrets: readonly string[],
  messageId: string,
  timestampSeconds: number,
  body: string,
): string {
  return secrets
    .map((secret) => {
      const key = Buffer.from(secret.slice(PREFIX.length), 'base64');
      return `v1,${createHmac('sha256', key).update(`${messageId}.${timestampSeconds}.${body}`).digest('base64')}`;
    })
    .join(' ');
}
