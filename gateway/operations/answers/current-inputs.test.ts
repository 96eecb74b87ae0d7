import { beforeEach, describe, expect, jest, test } from '@jest/globals';
import { MAX_INPUT_NAMES, type AnswerInputs } from '../../../core/wire/subgraph/answer-inputs.ts';
import { eventually } from '../../../core/testing/eventually.ts';
import type { SubgraphRequest } from '../../../core/wire/subgraph/subgraph.ts';
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
    0,
  );
});

const began = (count: number) => eventually(() => asked.length >= count, `read ${count}`);

test('a read is shared by all requests that come before it begins, and a third by those that come while two are under way', async () => {
  const first = [inputs.now(['V1', 'V2'], ['eco'])];
  await began(1);
  expect(asked[0]).toMatchObject({ vins: ['V1', 'V2'], keys: ['eco'] });
  // The read under way lacks the changes that were committed since it began.
  const second = inputs.now(['V3'], []);
  await began(2);
  const third = [inputs.now(['V4'], []), inputs.now([], [])];
  asked[0]?.end(INPUTS);
  expect(await Promise.all(first)).toEqual([INPUTS]);
  await began(3);
  expect(asked.slice(1)).toMatchObject([{ vins: ['V3'] }, { vins: ['V4'] }]);
  for (const [index, { end }] of asked.entries()) end({ ...INPUTS, second: index });
  expect((await Promise.all([second, ...third])).map((read) => read?.second)).toEqual([1, 2, 2]);
});

test('a second read begins beside the first one when as many wait for it, and otherwise after it', async () => {
  const first = [inputs.now([], []), inputs.now([], []), inputs.now([], [])];
  await began(1);
  const others = [inputs.now(['V1'], []), inputs.now(['V2'], [])];
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
  expect(asked).toHaveLength(1);
  others.push(inputs.now(['V3'], []));
  await began(2);
  expect(asked[1]?.vins).toEqual(['V1', 'V2', 'V3']);
  const last = inputs.now(['V4'], []);
  asked[0]?.end(INPUTS);
  await Promise.all(first);
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
  expect(asked).toHaveLength(2);
  asked[1]?.end(INPUTS);
  await Promise.all(others);
  await began(3);
  expect(asked[2]?.vins).toEqual(['V4']);
  asked[2]?.end(INPUTS);
  await last;
});

test('two reads at most are under way', async () => {
  const all = [inputs.now(['V1'], [])];
  await began(1);
  all.push(inputs.now([], []));
  await began(2);
  all.push(inputs.now([], []), inputs.now([], []));
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
  expect(asked).toHaveLength(2);
  asked[0]?.end(INPUTS);
  await began(3);
  for (const { end } of asked) end(INPUTS);
  await Promise.all(all);
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
  test('no caller waits, and after a second they are read again', async () => {
    jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask'], now: 0 });
    try {
      const waiting = inputs.now([], []);
      await began(1);
      const others = [inputs.now([], [])];
      await began(2);
      others.push(inputs.now([], []));
      for (const { end } of asked) end(new Error('away'));
      expect(await Promise.all([waiting, ...others, inputs.now([], [])])).toEqual([null, null, null, null]);
      expect([asked.length, warnings.length]).toEqual([2, 1]);
      jest.advanceTimersByTime(1_000);
      const again = inputs.now([], []);
      await began(3);
      asked[2]?.end(INPUTS);
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

test('a read begins the later, the more callers the one before it answered', async () => {
  jest.useFakeTimers();
  try {
    let reads = 0;
    const paced = new CurrentInputs(
      async () => {
        reads += 1;
        return INPUTS;
      },
      { warn: () => undefined },
      0.5,
    );
    const first = Promise.all(Array.from({ length: 8 }, () => paced.now([], [])));
    await jest.advanceTimersByTimeAsync(0);
    await first;
    const second = paced.now([], []);
    await jest.advanceTimersByTimeAsync(3);
    expect(reads).toBe(1);
    await jest.advanceTimersByTimeAsync(1);
    expect(reads).toBe(2);
    await second;
  } finally {
    jest.useRealTimers();
  }
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
    'an answer of %j counts as SERVICE_UNAVAILABLE',
    async (answer) => {
      await expect(answering(answer).read([], [])).rejects.toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
    },
  );
});
