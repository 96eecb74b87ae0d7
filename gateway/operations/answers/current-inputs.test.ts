import { beforeEach, describe, expect, jest, test } from '@jest/globals';
import { MAX_INPUT_NAMES, type AnswerInputs } from '../../../core/wire/answer-inputs.ts';
import { eventually } from '../../../core/testing/eventually.ts';
import type { SubgraphRequest } from '../../../core/wire/subgraph.ts';
import { CurrentInputs, inputsOf } from './current-inputs.ts';

const INPUTS: AnswerInputs = { second: 1, environments: new Map(), vehicles: new Map(), flags: new Map() };

let asked: { vins: readonly string[]; keys: readonly string[]; end: (result: AnswerInputs | Error) => void }[];
let warnings: string[];
let inputs: CurrentInputs;

beforeEach(() => {
  [asked, warnings] = [[], []];
  inputs = new CurrentInputs(
    (vins, keys) =>
      new Promise((resolve, reject) =>
        asked.push({ vins, keys, end: (result) => (result instanceof Error ? reject(result) : resolve(result)) }),
      ),
    { warn: (_, message) => void warnings.push(message) },
  );
});

const began = (count: number) => eventually(() => asked.length === count, `read ${count}`);

test('a read is shared by all who come before it begins, and the next one by all who come during it', async () => {
  const first = [inputs.now(['V1'], []), inputs.now(['V2', 'V1'], ['eco'])];
  await began(1);
  expect(asked[0]).toMatchObject({ vins: ['V1', 'V2'], keys: ['eco'] });
  // What was committed since that read began is not in it.
  const second = [inputs.now([], []), inputs.now(['V3'], [])];
  asked[0]?.end(INPUTS);
  expect(await Promise.all(first)).toEqual([INPUTS, INPUTS]);
  await began(2);
  expect(asked[1]).toMatchObject({ vins: ['V3'], keys: [] });
  asked[1]?.end({ ...INPUTS, second: 2 });
  expect(await Promise.all(second)).toEqual([
    { ...INPUTS, second: 2 },
    { ...INPUTS, second: 2 },
  ]);
});

test('no read has more names than it may', async () => {
  const names = Array.from({ length: MAX_INPUT_NAMES }, (_, n) => `V${n}`);
  const all = [...names.map((name) => inputs.now([name], [])), inputs.now(['one more'], [])];
  await began(1);
  expect(asked[0]?.vins).toEqual(names);
  asked[0]?.end(INPUTS);
  await began(2);
  expect(asked[1]?.vins).toEqual(['one more']);
  asked[1]?.end(INPUTS);
  await Promise.all(all);
});

describe('while the states cannot be read', () => {
  test('nobody waits, and after a second they are read again', async () => {
    jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask'], now: 0 });
    try {
      const waiting = inputs.now([], []);
      await began(1);
      const next = inputs.now([], []);
      asked[0]?.end(new Error('away'));
      expect(await Promise.all([waiting, next, inputs.now([], [])])).toEqual([null, null, null]);
      expect([asked.length, warnings.length]).toEqual([1, 1]);
      jest.advanceTimersByTime(1_000);
      const again = inputs.now([], []);
      await began(2);
      asked[1]?.end(INPUTS);
      expect(await again).toEqual(INPUTS);
    } finally {
      jest.useRealTimers();
    }
  });

  test('a read that does not end counts as one that failed', async () => {
    jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask'], now: 0 });
    try {
      const waiting = inputs.now([], []);
      await began(1);
      jest.advanceTimersByTime(1_000);
      expect(await waiting).toBeNull();
    } finally {
      jest.useRealTimers();
    }
  });
});

describe('the flags subgraph', () => {
  const answering = (answer: object) => {
    const requests: SubgraphRequest[] = [];
    const read = inputsOf({
      execute: async (request) => {
        requests.push(request);
        return answer;
      },
    });
    return { requests, read };
  };

  test('is asked by the gateway itself', async () => {
    const { requests, read } = answering({
      data: { answerInputs: { second: 1, environments: {}, vehicles: {}, flags: {} } },
    });
    expect(await read(['V1'], ['eco'])).toEqual(INPUTS);
    expect(requests).toMatchObject([
      { variables: { vins: ['V1'], keys: ['eco'] }, identity: { caller: { kind: 'gateway' } } },
    ]);
  });

  test.each([{ data: null, errors: [{ message: 'away' }] }, { data: { answerInputs: [] } }, {}])(
    'has not answered with %j',
    async (answer) => {
      await expect(answering(answer).read([], [])).rejects.toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
    },
  );
});
