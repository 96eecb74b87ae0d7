import { describe, expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { ENUMS } from '../../subgraphs/shared/subgraph/graphql-enums.ts';
import { WEBHOOK_KINDS, WEBHOOK_PAYLOADS } from '../../subgraphs/shared/webhooks/webhook-event.ts';
import { RETRY_DELAYS_MS } from '../../subgraphs/audit/webhooks/sending/retries.ts';

const page = readFileSync(new URL('../../docs/guides/webhooks.md', import.meta.url), 'utf8');

describe('docs/guides/webhooks.md', () => {
  test('has a row for each type, with the members of its data, and no other', () => {
    const rows = Array.from(page.matchAll(/^\| `([a-z_.]+)` \| .+ \| (.+) \|$/gm), ([, kind, members = '']) => [
      kind,
      Object.fromEntries(Array.from(members.matchAll(/`(\w+)`: ([\w?]+)/g), ([, name = '', type]) => [name, type])),
    ]);
    expect(rows).toEqual(Object.entries(WEBHOOK_PAYLOADS));
  });

  test('has an example with all members of its type', () => {
    const [, example = '{}'] = /```json\n([^`]+)```/.exec(page) ?? [];
    const { type, data } = JSON.parse(example) as { type: 'kill_switch.pulled'; data: object };
    expect(Object.keys(data)).toEqual(Object.keys(WEBHOOK_PAYLOADS[type]));
  });

  test('names the waits between attempts', () => {
    const inWords = (ms: number) =>
      ms < 60_000 ? `${ms / 1_000} s` : ms < 3_600_000 ? `${ms / 60_000} min` : `${ms / 3_600_000} h`;
    const waits = RETRY_DELAYS_MS.map(inWords);
    expect(page).toContain(`${waits.slice(0, -1).join(', ')} and ${waits.at(-1)}`);
  });
});

test('the API has a name for each type', () => {
  expect(Object.values(ENUMS.WebhookKind)).toEqual(WEBHOOK_KINDS);
});
