import { expect, test } from '@jest/globals';
import type { WebhookFragment } from '../../generated/operations.ts';
import { ADMINISTRATION } from '../../words/administration.ts';
import { en } from '../../words/en.ts';
import { webhookContentOf, webhookDraftOf, webhookInputOf } from './webhook-draft.ts';

const WEBHOOK: WebhookFragment = {
  ...{ id: '1', name: 'On call', url: 'https://receiver.invalid/hooks', enabled: true, offlinePercent: null },
  kinds: ['KILL_SWITCH_PULLED', 'CHANGE_REQUEST_WAITING'],
  environments: [],
  ...{ disabledReason: null, failingSince: null, previousSecretUntil: null, createdBy: null },
  ...{ createdAt: '2026-11-29T09:00:00.000Z', updatedAt: '2026-11-29T10:00:00.000Z' },
};

test('the order in which events are stored is none of the form', () => {
  const turned: WebhookFragment = { ...WEBHOOK, kinds: [...WEBHOOK.kinds].reverse() };
  expect(webhookDraftOf(turned)).toEqual(webhookDraftOf(WEBHOOK));
  expect(webhookDraftOf(null)).toEqual({ name: '', url: '', kinds: [], environments: [], percent: '20' });
});

test('the share of vehicles offline is sent only with its event', () => {
  const draft = { ...webhookDraftOf(WEBHOOK), name: ' Pager ', percent: '30' };
  expect(webhookInputOf(draft)).toEqual({
    ...{ name: 'Pager', url: WEBHOOK.url, environments: [] },
    kinds: ['CHANGE_REQUEST_WAITING', 'KILL_SWITCH_PULLED'],
  });
  expect(webhookInputOf({ ...draft, kinds: ['FLEET_OFFLINE'] }).offlinePercent).toBe(30);
});

test('what people compare is in words', () => {
  expect(webhookContentOf(WEBHOOK, en, ADMINISTRATION.en)).toMatchObject({
    Name: 'On call',
    Events: ['Change waits for approval', 'Kill switch pulled'],
  });
});
