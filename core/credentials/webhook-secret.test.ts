import { expect, test } from '@jest/globals';
import { Webhook, WebhookVerificationError } from 'standardwebhooks';
import { createWebhookSecrets, newWebhookSeed, webhookSignature } from './webhook-secret.ts';

const secrets = createWebhookSecrets('a-secret-of-more-than-32-characters-x');
const BODY = '{"type":"kill_switch.pulled","data":{"reason":"브레이크 · 45 °C"}}';

/** The headers of a message that is sent now. */
function headers(signedWith: readonly string[], body = BODY) {
  const timestamp = Math.floor(Date.now() / 1_000);
  return {
    'webhook-id': 'msg_1',
    'webhook-timestamp': String(timestamp),
    'webhook-signature': webhookSignature(signedWith, 'msg_1', timestamp, body),
  };
}

test('a secret has 32 bytes, and is the same for the same seed alone', () => {
  const seed = newWebhookSeed();
  expect(seed).toMatch(/^[\w-]{43}$/);
  const secret = secrets.secretOf(seed);
  expect(secret).toMatch(/^whsec_[\w+/]{43}=$/);
  expect(secrets.secretOf(seed)).toBe(secret);
  expect(secrets.secretOf(newWebhookSeed())).not.toBe(secret);
  expect(createWebhookSecrets('another-secret-of-32-characters-xx').secretOf(seed)).not.toBe(secret);
});

test("the specification's own library accepts what is signed, and nothing else", () => {
  const secret = secrets.secretOf(newWebhookSeed());
  const receiver = new Webhook(secret);
  expect(receiver.verify(BODY, headers([secret]))).toEqual(JSON.parse(BODY));
  const refused = [
    () => receiver.verify(`${BODY} `, headers([secret])),
    () => receiver.verify(BODY, { ...headers([secret]), 'webhook-id': 'msg_2' }),
    () => receiver.verify(BODY, headers([secrets.secretOf(newWebhookSeed())])),
  ];
  for (const verify of refused) expect(verify).toThrow(WebhookVerificationError);
});

test('while a secret is rotated, receivers with either accept the message', () => {
  const both = [secrets.secretOf(newWebhookSeed()), secrets.secretOf(newWebhookSeed())];
  for (const secret of both) expect(new Webhook(secret).verify(BODY, headers(both))).toEqual(JSON.parse(BODY));
});
