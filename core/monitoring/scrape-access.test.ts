import type { IncomingMessage } from 'node:http';
import { hostname } from 'node:os';
import { describe, expect, test } from '@jest/globals';
import { FailedCredentials, MAX_FAILURES } from '../credentials/failed-credentials.ts';
import { plainAddress } from '../wire/network/plain-address.ts';
import { checkScrape } from './scrape-access.ts';

const TOKEN = 'a-token-of-the-metrics';
const request = (remoteAddress: string | undefined, headers: Record<string, string> = {}) =>
  ({ headers: { host: 'localhost:4000', ...headers }, socket: { remoteAddress } }) as unknown as IncomingMessage;
const ask = (from: IncomingMessage, token: string | null, failures = new FailedCredentials()) =>
  checkScrape(from, plainAddress(from.socket.remoteAddress), token, failures);

describe('without a token', () => {
  test.each(['127.0.0.1', '127.3.2.1', '::1', '::ffff:127.0.0.1'])(
    'this machine may read the metrics: %s',
    async (address) => {
      await expect(ask(request(address), null)).resolves.toBeUndefined();
    },
  );

  test.each(['192.0.2.1', '10.0.0.1', '::ffff:192.0.2.1', '2001:db8::1', undefined])(
    'no other may: %s',
    async (address) => {
      await expect(ask(request(address), null)).rejects.toMatchObject({ code: 'FORBIDDEN' });
    },
  );

  test.each(['x-forwarded-for', 'forwarded', 'x-real-ip', 'via'])(
    'nor may anybody through a proxy on this machine, which says so in %s',
    async (name) => {
      await expect(ask(request('127.0.0.1', { [name]: '127.0.0.1' }), null)).rejects.toMatchObject({
        code: 'FORBIDDEN',
      });
    },
  );

  test.each(['LOCALHOST', '127.0.0.1:4000', '[::1]:4000', '192.0.2.7:4000', `${hostname()}:4000`])(
    'this machine may ask under a name of its own: %s',
    async (host) => {
      await expect(ask(request('127.0.0.1', { host }), null)).resolves.toBeUndefined();
    },
  );

  test.each(['evil.example:4000', 'localhost.evil.example', '127.0.0.1.evil.example', ''])(
    'no page that has its own name lead here may: %s',
    async (host) => {
      await expect(ask(request('127.0.0.1', { host }), null)).rejects.toMatchObject({ code: 'FORBIDDEN' });
    },
  );
});

test('a request without a Host reads nothing without a token, and one without credentials nothing with it', async () => {
  const bare = { headers: {}, socket: { remoteAddress: '127.0.0.1' } } as unknown as IncomingMessage;
  await expect(ask(bare, null)).rejects.toMatchObject({ code: 'FORBIDDEN' });
  await expect(ask(bare, TOKEN)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
});

describe('with a token', () => {
  const shown = (authorization: string, address = '192.0.2.1') => request(address, { authorization });

  test.each([`Bearer ${TOKEN}`, `bearer  ${TOKEN} `])(
    'a caller who shows it may read the metrics, from any address: %s',
    async (authorization) => {
      await expect(ask(shown(authorization), TOKEN)).resolves.toBeUndefined();
    },
  );

  test.each(['', TOKEN, `Basic ${TOKEN}`, `Bearer ${TOKEN}x`, 'Bearer', `Bearer ${TOKEN.slice(1)}`])(
    'a caller who shows %j may not, not even from this machine',
    async (authorization) => {
      await expect(ask(shown(authorization, '127.0.0.1'), TOKEN)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    },
  );

  test('an address that guesses is refused before its token is compared, and one with the token is not', async () => {
    const failures = new FailedCredentials();
    await ask(shown(`Bearer ${TOKEN}`), TOKEN, failures);
    for (let guess = 0; guess < MAX_FAILURES; guess++)
      await expect(ask(shown(`Bearer guess-${guess}`), TOKEN, failures)).rejects.toMatchObject({
        code: 'UNAUTHENTICATED',
      });
    await expect(ask(shown('Bearer one-more'), TOKEN, failures)).rejects.toMatchObject({ code: 'RATE_LIMITED' });
    await expect(ask(shown(`Bearer ${TOKEN}`), TOKEN, failures)).resolves.toBeUndefined();
  });
});
