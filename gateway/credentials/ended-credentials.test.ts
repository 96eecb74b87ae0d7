import { afterEach, describe, expect, test } from '@jest/globals';
import type { EndedCredential } from '../../core/credentials/ended-credential.ts';
import type { Caller } from '../../core/access/caller.ts';
import type { SubgraphRequest, SubgraphResponse, SubgraphStream } from '../../core/wire/subgraph/subgraph.ts';
import { EventSource } from '../subscriptions/testing/event-source.ts';
import { eventually } from '../../core/testing/eventually.ts';
import type { AuthenticatedCaller } from './credentials-in-use.ts';
import { endingOf, followEndedCredentials, isConcerned } from './ended-credentials.ts';

const NOTHING: EndedCredential = { position: 7, userId: null, sessionKey: null, apiKeyId: null, vin: null };
const answer = (ended: Partial<EndedCredential>): SubgraphResponse => ({
  data: { endedCredentials: { ...NOTHING, ...ended } },
});

let stop = (): void => undefined;
afterEach(() => stop());

function following(subscribe: (request: SubgraphRequest) => SubgraphStream) {
  const asked: SubgraphRequest[] = [];
  const received: EndedCredential[] = [];
  const warnings: string[] = [];
  const logger = {
    info: () => undefined,
    warn: (_: object, message: string) => warnings.push(message),
    error: () => undefined,
  };
  const audit = {
    subscribe(request: SubgraphRequest) {
      asked.push(request);
      return subscribe(request);
    },
  };
  stop = followEndedCredentials(audit, (ended) => received.push(ended), logger);
  return { asked, received, warnings };
}

describe('following the credentials that end', () => {
  test('begins now, and goes on after a loss from the last position that it knows', async () => {
    const events = new EventSource<SubgraphResponse>();
    const { asked, received, warnings } = following(() => events.iterate(() => true));
    expect(asked).toMatchObject([{ variables: { after: null }, identity: { caller: { kind: 'gateway' } } }]);
    events.emit(answer({ position: 10 }));
    events.emit(answer({ position: 12, apiKeyId: 'k1' }));
    await eventually(() => received.length === 2, 'two events');
    events.finish(new Error('lost'));
    await eventually(() => events.open === 1, 'another subscription');
    expect(asked.map(({ variables }) => variables?.['after'])).toEqual([null, 12]);
    events.emit(answer({ position: 13, vin: 'KMHK281HGNU000001' }));
    await eventually(() => received.length === 3, 'the next event');
    expect(received.map(({ position }) => position)).toEqual([10, 12, 13]);
    expect(warnings).toHaveLength(1);
  });

  test.each<[string, () => SubgraphStream]>([
    [
      'cannot be reached',
      () => {
        throw new Error('away');
      },
    ],
    [
      'refuses',
      () =>
        (async function* () {
          yield { errors: [{ message: 'No.' }] };
        })(),
    ],
    [
      'ends at once',
      () =>
        (async function* () {
          /* nothing */
        })(),
    ],
  ])('is retried while the subgraph %s, with one warning', async (_what, subscribe) => {
    const { asked, received, warnings } = following(subscribe);
    await eventually(() => asked.length >= 3, 'three attempts');
    expect([received, warnings.length]).toEqual([[], 1]);
  });

  test('ends the upstream when it is stopped', async () => {
    const events = new EventSource<SubgraphResponse>();
    const { asked } = following(() => events.iterate(() => true));
    await eventually(() => events.open === 1, 'the subscription');
    stop();
    await eventually(() => events.open === 0, 'the end of the upstream');
    expect(asked).toHaveLength(1);
  });
});

describe('a caller', () => {
  const ann: Caller = { kind: 'user', userId: 'u1', role: 'READ', sessionKey: null };
  const key: Caller = { kind: 'apiKey', apiKeyId: 'k1', role: 'READ', rateLimitPerMin: 60 };
  const vehicle: Caller = { kind: 'vehicle', vin: 'V1', environment: 'staging' };

  test.each<[Caller, string | undefined, Partial<EndedCredential>, boolean]>([
    [ann, 'session:a', { userId: 'u1' }, true],
    [ann, 'session:a', { userId: 'u2' }, false],
    [ann, 'session:a', { sessionKey: 'session:a' }, true],
    [ann, 'session:a', { sessionKey: 'session:b' }, false],
    [key, 'hash', { apiKeyId: 'k1' }, true],
    [key, 'hash', { apiKeyId: 'k2' }, false],
    [key, 'hash', { userId: 'k1', vin: 'k1' }, false],
    [vehicle, undefined, { vin: 'V1' }, true],
    [vehicle, undefined, { vin: 'V2' }, false],
    [{ kind: 'anonymous' }, undefined, { userId: 'u1' }, false],
  ])('%j with %s is affected by the end of %j: %s', (caller, credential, ended, expected) => {
    expect(isConcerned({ ...NOTHING, ...ended }, { caller, credential })).toBe(expected);
    expect(isConcerned(NOTHING, { caller, credential })).toBe(false);
  });
});

describe("the end of a person's sessions", () => {
  const of = (userId: string, credential: string): AuthenticatedCaller => ({
    caller: { kind: 'user', userId, role: 'READ', sessionKey: null },
    credential,
  });
  const ending = async (endedSessions: (keys: readonly string[]) => Promise<ReadonlySet<string>>) => {
    let open = [of('u1', 'session:old'), of('u1', 'session:new'), of('u2', 'session:other')];
    let closed: (string | undefined)[] | undefined;
    const sockets = {
      identities: () => open,
      disconnect(concerned: (identity: AuthenticatedCaller) => boolean) {
        closed = open.filter(concerned).map(({ credential }) => credential);
        open = open.filter((identity) => !concerned(identity));
        return closed.length;
      },
    };
    const onEnded = endingOf({
      apiKeys: { revoke: () => undefined },
      generations: { learn: async () => undefined },
      sockets,
      endedSessions,
    });
    onEnded({ ...NOTHING, userId: 'u1' });
    await eventually(() => closed !== undefined, 'sockets are closed');
    return closed;
  };

  test('closes the sockets of these sessions, and not those of a session that the person has begun since', async () => {
    const asked: string[] = [];
    const over = async (keys: readonly string[]) => {
      asked.push(...keys);
      return new Set(['session:old']);
    };
    expect(await ending(over)).toEqual(['session:old']);
    expect(asked).toEqual(['session:old', 'session:new']);
  });

  test('closes all sockets of the person where sessions cannot be read', async () => {
    expect(await ending(() => Promise.reject(new Error('away')))).toEqual(['session:old', 'session:new']);
  });
});
