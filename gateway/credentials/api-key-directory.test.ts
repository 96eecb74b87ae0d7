import { beforeEach, describe, expect, test } from '@jest/globals';
import { FleetFlagError } from '../../core/errors.ts';
import type { SubgraphRequest, SubgraphResponse } from '../../core/wire/subgraph/subgraph.ts';
import { ApiKeyDirectory } from './api-key-directory.ts';

type Key = { id: string; role: string; rateLimitPerMin: number; expiresAt: string | null };

const good = (id: string, expiresAt: string | null = null): Key => ({
  id,
  role: 'READ',
  rateLimitPerMin: 60,
  expiresAt,
});

let now: number;
let keys: Record<string, Key>;
let asked: SubgraphRequest[];
let answer: (response: SubgraphResponse) => Promise<SubgraphResponse>;
let directory: ApiKeyDirectory;

beforeEach(() => {
  now = 1_000;
  keys = { a: good('1'), b: good('2') };
  asked = [];
  answer = async (response) => response;
  const execute = (request: SubgraphRequest) => {
    asked.push(request);
    const data = Object.fromEntries(
      Object.entries(request.variables ?? {}).map(([name, hash]) => [
        name.replace('h', 'k'),
        keys[hash as string] ?? null,
      ]),
    );
    return answer({ data });
  };
  directory = new ApiKeyDirectory({ execute }, () => now);
});

describe('a key', () => {
  test('is looked up by the gateway itself, by its hash, and then cached for four seconds', async () => {
    expect(await directory.find('a')).toEqual({ id: '1', role: 'READ', rateLimitPerMin: 60, expiresAt: null });
    expect(asked).toMatchObject([{ variables: { h0: 'a' }, identity: { caller: { kind: 'gateway' } } }]);
    keys = {};
    now += 3_999;
    expect(await directory.find('a')).toMatchObject({ id: '1' });
    expect([directory.known('a')?.id, directory.known('b')]).toEqual(['1', null]);
    expect(asked).toHaveLength(1);
    now += 2;
    expect(directory.known('a')).toBeNull();
    expect(await directory.find('a')).toBeNull();
  });

  test('is cached for four seconds from the request, however long the answer took', async () => {
    answer = async (response) => {
      now += 3_000;
      return response;
    };
    await directory.find('a');
    now += 1_001;
    keys = {};
    expect(await directory.find('a')).toBeNull();
    answer = async (response) => {
      now += 5_000;
      return response;
    };
    keys = { b: good('2') };
    expect(await directory.find('b')).not.toBeNull();
    keys = {};
    expect(await directory.find('b')).toBeNull();
  });

  test('that is unknown may be created, and used a second later', async () => {
    keys = {};
    for (let times = 0; times < 3; times++) expect(await directory.find('a')).toBeNull();
    expect(asked).toHaveLength(1);
    keys = { a: good('1') };
    now += 1_001;
    expect(await directory.find('a')).not.toBeNull();
  });

  test('is looked up once for all calls at the same time, together with others', async () => {
    const found = await Promise.all(['a', 'a', 'b', 'c', 'a'].map((hash) => directory.find(hash)));
    expect(found.map((credential) => credential?.id)).toEqual(['1', '1', '2', undefined, '1']);
    expect(asked).toMatchObject([{ variables: { h0: 'a', h1: 'b', h2: 'c' } }]);
  });

  test('is refused when it expires, though it is still cached', async () => {
    keys = {
      a: good('1', new Date(Date.now() + 3_600_000).toISOString()),
      b: good('2', new Date(Date.now() - 1).toISOString()),
    };
    expect(await directory.find('a')).not.toBeNull();
    expect(await directory.find('b')).toBeNull();
  });

  test('that was revoked is refused at once, though an older answer is under way or cached', async () => {
    await directory.find('a');
    let release = (): void => undefined;
    answer = (response) => new Promise((resolve) => (release = () => resolve(response)));
    const underWay = directory.find('b');
    while (asked.length < 2) await new Promise(setImmediate);
    directory.revoke('1');
    directory.revoke('2');
    expect(directory.known('a')).toBeNull();
    release();
    expect([await directory.find('a'), await underWay, await directory.find('b')]).toEqual([null, null, null]);
  });
});

describe('an audit subgraph that does not answer', () => {
  const unavailable = expect.objectContaining({ code: 'SERVICE_UNAVAILABLE' });

  test.each<[string, () => Promise<SubgraphResponse>]>([
    ['is away', () => Promise.reject(new FleetFlagError('SERVICE_UNAVAILABLE', 'away'))],
    [
      'has lost its database',
      async () => ({ data: { k0: null }, errors: [{ message: 'down', extensions: { code: 'SERVICE_UNAVAILABLE' } }] }),
    ],
  ])('because it %s does not count as a refusal, and is not cached', async (_what, fault) => {
    const fine = answer;
    answer = fault;
    await expect(directory.find('a')).rejects.toEqual(unavailable);
    expect(await directory.noLongerValid(['a'])).toEqual(new Set());
    answer = fine;
    expect(await directory.find('a')).toMatchObject({ id: '1' });
  });
});

describe('keys in use', () => {
  test('are looked up again together, past the cache, and those that have ended are given', async () => {
    await Promise.all([directory.find('a'), directory.find('b')]);
    delete keys['b'];
    expect(await directory.noLongerValid(['a', 'b'])).toEqual(new Set(['b']));
    expect(asked).toHaveLength(2);
    expect([await directory.find('a'), await directory.find('b')]).toMatchObject([{ id: '1' }, null]);
    expect(asked).toHaveLength(2);
  });
});
