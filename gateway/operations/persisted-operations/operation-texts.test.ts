import { beforeEach, expect, test } from '@jest/globals';
import { FleetFlagError } from '../../../core/errors.ts';
import { eventually } from '../../../core/testing/eventually.ts';
import type { SubgraphConnection, SubgraphRequest, SubgraphResponse } from '../../../core/wire/subgraph/subgraph.ts';
import { OperationTexts } from './operation-texts.ts';

const TEXT = { sha256: 'a'.repeat(64), body: 'query A { __typename }', apiKeys: null as string[] | null };

/** Waits until more than a millisecond has passed. */
async function aWhile(): Promise<void> {
  const from = performance.now();
  await eventually(() => performance.now() > from + 2);
}

let asked: SubgraphRequest[];
let answer: () => Promise<SubgraphResponse>;
let texts: OperationTexts;

beforeEach(() => {
  asked = [];
  answer = async () => ({ data: { persistedOperation: TEXT } });
  const audit: SubgraphConnection = {
    name: 'audit',
    execute(request) {
      asked.push(request);
      return answer();
    },
    subscribe: () => {
      throw new Error('not part of these tests');
    },
    ready: async () => true,
    close: async () => undefined,
  };
  texts = new OperationTexts(audit);
});

test('a text is asked for once, as the gateway itself, however many ask for it and however often', async () => {
  expect(await Promise.all(Array.from({ length: 10 }, () => texts.find({ id: 'a' })))).toEqual(
    Array.from({ length: 10 }, () => TEXT),
  );
  expect(await texts.find({ id: 'a' })).toEqual(TEXT);
  expect(asked).toMatchObject([{ variables: { id: 'a' }, identity: { caller: { kind: 'gateway' } } }]);
});

test('an id and a hash that are spelt alike are two names', async () => {
  await texts.find({ id: 'a' });
  await texts.find({ sha256: 'a' });
  expect(asked.map(({ variables }) => variables)).toEqual([{ id: 'a' }, { sha256: 'a' }]);
});

test('one that is not there is asked for again within a second, not each time', async () => {
  answer = async () => ({ data: { persistedOperation: null } });
  expect([await texts.find({ id: 'a' }), await texts.find({ id: 'a' })]).toEqual([null, null]);
  expect(asked).toHaveLength(1);
  answer = async () => ({ data: { persistedOperation: TEXT } });
  expect(await eventually(() => texts.find({ id: 'a' }))).toEqual(TEXT);
  expect(asked).toHaveLength(2);
});

test.each<[string, () => Promise<SubgraphResponse>, object]>([
  [
    'cannot be reached',
    () => Promise.reject(new FleetFlagError('SERVICE_UNAVAILABLE', 'away')),
    { code: 'SERVICE_UNAVAILABLE' },
  ],
  [
    'has lost its database',
    async () => ({ errors: [{ message: 'away', extensions: { code: 'SERVICE_UNAVAILABLE' } }] }),
    { code: 'SERVICE_UNAVAILABLE' },
  ],
  [
    'refuses',
    async () => ({ errors: [{ message: 'no', extensions: { code: 'FORBIDDEN' } }] }),
    { message: expect.stringContaining('could not be looked up') },
  ],
])('nothing is kept of an answer that is none: the subgraph %s', async (_what, failing, error) => {
  answer = failing;
  await expect(texts.find({ id: 'a' })).rejects.toMatchObject(error);
  answer = async () => ({ data: { persistedOperation: TEXT } });
  expect(await texts.find({ id: 'a' })).toEqual(TEXT);
});

test('made-up names push nothing out that is there', async () => {
  await texts.find({ id: 'a' });
  answer = async () => ({ data: { persistedOperation: null } });
  for (let index = 0; index < 12_000; index++) await texts.find({ id: `unknown${index}` });
  const before = asked.length;
  expect(await texts.find({ id: 'a' })).toEqual(TEXT);
  expect(asked).toHaveLength(before);
});

test('which keys may run it is asked again when what is known is too old, and a text is good for ever', async () => {
  await texts.find({ id: 'a' });
  await aWhile();
  answer = async () => ({ data: { persistedOperation: { ...TEXT, apiKeys: ['k1'] } } });
  expect((await texts.find({ id: 'a' }))?.apiKeys).toBeNull();
  expect((await texts.find({ id: 'a' }, 1))?.apiKeys).toEqual(['k1']);
  expect((await texts.find({ id: 'a' }))?.apiKeys).toEqual(['k1']);
  expect(asked).toHaveLength(2);

  await aWhile();
  answer = () => Promise.reject(new FleetFlagError('SERVICE_UNAVAILABLE', 'away'));
  await expect(texts.find({ id: 'a' }, 1)).rejects.toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
  expect((await texts.find({ id: 'a' }))?.body).toBe(TEXT.body);
});
