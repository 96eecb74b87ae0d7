import { beforeEach, expect, test } from '@jest/globals';
import type { Caller } from '../../core/access/caller.ts';
import { recheckCredentials, type AuthenticatedCaller, type EndedSessions } from './credentials-in-use.ts';

const ann: Caller = { kind: 'user', userId: 'u1', role: 'READ', sessionKey: null };
const key: Caller = { kind: 'apiKey', apiKeyId: 'k1', role: 'READ', rateLimitPerMin: 60 };
const vehicle: Caller = { kind: 'vehicle', vin: 'V1', environment: 'staging' };
const OPEN: readonly AuthenticatedCaller[] = [
  { caller: ann, credential: 'session:a' },
  { caller: ann, credential: 'session:a' },
  { caller: ann, credential: 'session:b' },
  { caller: key, credential: 'hash' },
  { caller: vehicle },
];

let open: AuthenticatedCaller[];
let asked: (readonly string[])[];
beforeEach(() => {
  open = [...OPEN];
  asked = [];
});

const names =
  (...ended: string[]): EndedSessions =>
  async (credentials) => {
    asked.push(credentials);
    return new Set(ended);
  };
const away: EndedSessions = () => Promise.reject(new Error('away'));

function recheck(endedSessions: EndedSessions, ended: EndedSessions): Promise<void> {
  const disconnect = (concerned: (identity: AuthenticatedCaller) => boolean) => {
    const before = open.length;
    open = open.filter((identity) => !concerned(identity));
    return before - open.length;
  };
  return recheckCredentials({
    sockets: { identities: () => open, disconnect },
    endedSessions,
    apiKeys: { noLongerValid: ended },
  });
}

test('sockets of sessions and keys that have ended are closed, and each credential is polled once', async () => {
  await recheck(names('session:a'), names('hash'));
  expect(asked).toEqual([['session:a', 'session:b'], ['hash']]);
  expect(open).toEqual([OPEN[2], OPEN[4]]);
});

test('no socket is closed while no credential has ended, and none is polled where no such socket is open', async () => {
  await recheck(names(), names());
  expect(open).toEqual(OPEN);
  open = [{ caller: vehicle }];
  asked = [];
  await recheck(names('session:a'), names('hash'));
  expect([asked, open.length]).toEqual([[], 1]);
});

test('a store that does not answer closes no socket, and does not hold up the other store', async () => {
  await recheck(away, away);
  expect(open).toEqual(OPEN);
  await recheck(away, names('hash'));
  expect(open).toEqual([OPEN[0], OPEN[1], OPEN[2], OPEN[4]]);
});
