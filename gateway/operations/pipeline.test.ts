import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from '@jest/globals';
import type { Caller } from '../../core/access/caller.ts';
import { eventually } from '../../core/testing/eventually.ts';
import { API_SCHEMA } from '../testing/api-schema.ts';
import { countingLimiter } from '../testing/counting-limiter.ts';
import { RevisionAnswers } from './answers/revision-answers.ts';
import { OPERATION_LIMITS } from './limits/operation-limits.ts';
import type { KeyRate } from './limits/key-rate.ts';
import type { OperationTexts } from './persisted-operations/operation-texts.ts';
import { SentTexts } from './persisted-operations/sent-texts.ts';
import { OperationPipeline } from './pipeline.ts';
import { AccountConcurrency } from './turns/account-concurrency.ts';
import { RightOfWay } from './turns/right-of-way.ts';

const CAR: Caller = { kind: 'vehicle', vin: 'KMHK281HGNU000001', environment: 'staging' };
const PERSON: Caller = { kind: 'user', userId: 'u1', role: 'READ', sessionKey: null };
const KEY: Caller = { kind: 'apiKey', apiKeyId: 'k1', role: 'READ', rateLimitPerMin: 1 };
const FLAG = { sha256: 'a'.repeat(64), body: '{ flag(key: "eco") { key } }', apiKeys: null };

const pipelineOf = () =>
  new OperationPipeline({
    authenticate: () => Promise.reject(new Error('not part of these tests')),
    apiKeys: { known: () => null },
    limiter: countingLimiter(),
    texts: {
      registered: { find: async () => FLAG } as unknown as OperationTexts,
      sent: new SentTexts(),
      personal: () => null,
    },
    schema: () => API_SCHEMA,
    introspection: true,
    accounts: new AccountConcurrency(),
    rightOfWay: new RightOfWay(),
    answers: new RevisionAnswers({
      inputs: { now: async () => null },
      flags: { execute: () => Promise.reject(new Error('not part of these tests')) },
      apiSchema: API_SCHEMA,
      supergraphSdl: '',
    }),
    answered: () => undefined,
  });

describe('naming an operation', () => {
  test('takes no turn of the event loop for a text of a caller whose rate is not limited', () => {
    for (const caller of [CAR, PERSON]) expect(pipelineOf().name(caller, () => ({ query: FLAG.body }))).toBeNull();
  });

  test('counts the operation of a key before reading it, and gives the state of the rate even when it is refused', async () => {
    const pipeline = pipelineOf();
    const rates: KeyRate[] = [];
    expect(
      await pipeline.name(
        KEY,
        () => ({ id: 'flag' }),
        (rate) => rates.push(rate),
      ),
    ).toEqual(FLAG);
    const unread = () => {
      throw new Error('The operation was read although its key is over its rate.');
    };
    await expect(pipeline.name(KEY, unread, (rate) => rates.push(rate))).rejects.toMatchObject({
      code: 'RATE_LIMITED',
    });
    expect(rates.map(({ remaining, refusal }) => [remaining, refusal?.code])).toEqual([
      [0, undefined],
      [0, 'RATE_LIMITED'],
    ]);
  });
});

describe('a checked document', () => {
  test('is found by its hash, and is the same object for all callers that send it', () => {
    const pipeline = pipelineOf();
    const { document, hash } = pipeline.check(FLAG.body, undefined, PERSON);
    expect(pipeline.prepared(hash)?.document).toBe(document);
    expect(pipeline.check(FLAG.body, undefined, KEY).document).toBe(document);
    expect(pipeline.prepared('0'.repeat(64))).toBeUndefined();
  });

  test('of a vehicle stays, however many texts others send', () => {
    const pipeline = pipelineOf();
    const { document } = pipeline.check(FLAG.body, undefined, CAR);
    const first = pipeline.check('{ me { kind } }', undefined, PERSON);
    for (let n = 0; n < OPERATION_LIMITS.cachedDocuments; n++)
      pipeline.check(`{ me { kind } } # ${n}`, undefined, PERSON);
    expect(pipeline.check(FLAG.body, undefined, CAR).document).toBe(document);
    expect(pipeline.prepared(first.hash)).toBeUndefined();
  });
});

describe('a call that revisions govern', () => {
  const sent = (text: string) => ({
    text,
    operationName: undefined,
    variables: { text: () => '{}', value: () => ({}) },
  });

  test('is kept for its scope, but not with a text that takes the place of many others', () => {
    const pipeline = pipelineOf();
    const call = pipeline.governed(sent(FLAG.body), PERSON);
    expect(call).toMatchObject({ text: FLAG.body, given: {} });
    expect(pipeline.governed(sent(FLAG.body), { ...PERSON, userId: 'u2' })).toBe(call);
    const padded = `${FLAG.body} #${'-'.repeat(64 * 1024)}`;
    expect(pipeline.governed(sent(padded), PERSON)).not.toBe(pipeline.governed(sent(padded), PERSON));
  });

  test('holds no document: a flood of texts takes no more memory than the documents that are cached', async () => {
    const pipeline = pipelineOf();
    const weakly = () => new WeakRef(pipeline.check(FLAG.body, undefined, PERSON).document);
    const first = weakly();
    expect(pipeline.governed(sent(FLAG.body), PERSON)).not.toBeNull();
    for (let n = 0; n < OPERATION_LIMITS.cachedDocuments; n++)
      pipeline.governed(sent(`{ flag(key: "eco") { key } } # ${n}`), PERSON);
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    await eventually(() => {
      collect();
      return first.deref() === undefined;
    });
  });
});

test('a permitted operation has its variables coerced, with their defaults', () => {
  const pipeline = pipelineOf();
  const text = 'query ($n: Int = 3, $key: String!) { flags(first: $n) { totalCount } flag(key: $key) { key } }';
  const permitted = pipeline.permit(pipeline.check(text, undefined, PERSON), { key: 'eco', other: 1 }, PERSON);
  expect(permitted).toMatchObject({ variables: { n: 3, key: 'eco' }, given: { key: 'eco', other: 1 } });
  expect(permitted.variables).not.toHaveProperty('other');
});
