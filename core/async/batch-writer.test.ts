import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import fc from 'fast-check';
import { rounds } from '../testing/rounds.ts';
import { BatchWriter, type BatchWriterOptions } from './batch-writer.ts';

interface Held {
  readonly items: readonly string[];
  readonly late: AbortSignal;
  readonly end: () => void;
  readonly fail: (error: Error) => void;
}

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

const pass = (milliseconds: number) => jest.advanceTimersByTimeAsync(milliseconds);
/** Gives the outcome of an answer: its result, or the reason of the refusal and when to retry. */
const outcomeOf = (answer: Promise<unknown>) =>
  answer.catch(({ name, reason, retryAfterMs }: Record<string, unknown>) => ({ name, reason, retryAfterMs }));
const refused = (reason: string, retryAfterMs = 1_000) => ({ name: 'NotWritten', reason, retryAfterMs });

/** A writer of texts, whose writes wait until the test ends them. */
function heldWriter(options: Partial<BatchWriterOptions<string, string>> = {}) {
  const writes: Held[] = [];
  const writer = new BatchWriter<string, string>({
    write: (items, late) =>
      new Promise((resolve, fail) => writes.push({ items, late, end: () => resolve(items.join('')), fail })),
    sizeOf: (text) => text.length,
    batchSize: 10,
    maxAgeMs: 100,
    concurrency: 1,
    timeoutMs: 5_000,
    abandonQueueOnTimeout: false,
    room: [{ capacity: 100, takenBy: (text) => text.length }],
    backoff: { baseMs: 1_000, capMs: 4_000 },
    ...options,
  });
  return { writer, writes };
}

test('the load of a writer is what it holds, how long the oldest has waited, and how many writes have failed', async () => {
  const { writer, writes } = heldWriter({ room: [{ capacity: 8, takenBy: (text) => text.length }] });
  const load = () => writer.load();
  expect(load()).toEqual({ held: 0, capacity: 8, oldestWaitMs: null, failures: 0 });
  const answers = [outcomeOf(writer.add('abc'))];
  await pass(60);
  answers.push(outcomeOf(writer.add('de')));
  expect(load()).toMatchObject({ held: 5, oldestWaitMs: expect.closeTo(60, 0), failures: 0 });
  await pass(40);
  // Being written, it is held, and no longer waits.
  expect(load()).toMatchObject({ held: 5, oldestWaitMs: null });
  answers.push(outcomeOf(writer.add('f')));
  await pass(10);
  expect(load()).toMatchObject({ held: 6, oldestWaitMs: expect.closeTo(10, 0) });
  writes[0]!.fail(new Error('down'));
  await pass(90);
  expect(load()).toMatchObject({ held: 1, failures: 1 });
  writes[1]!.end();
  await pass(0);
  expect(load()).toEqual({ held: 0, capacity: 8, oldestWaitMs: null, failures: 0 });
  await Promise.all(answers);
});

describe('a batch', () => {
  test('is written when its oldest item has waited long enough, and answers all', async () => {
    const { writer, writes } = heldWriter();
    const first = writer.add('a');
    await pass(60);
    const second = writer.add('b');
    await pass(39);
    expect(writes).toEqual([]);
    await pass(1);
    expect(writes.map(({ items }) => items)).toEqual([['a', 'b']]);
    writes[0]!.end();
    expect(await Promise.all([first, second])).toEqual(['ab', 'ab']);
  });

  test('is written at once when it is full, which its last item may exceed', async () => {
    const { writer, writes } = heldWriter({ concurrency: 2 });
    const answers = ['aaaa', 'bbbb', 'cccc', 'd'].map((text) => writer.add(text));
    expect(writes.map(({ items }) => items)).toEqual([['aaaa', 'bbbb', 'cccc']]);
    await pass(100);
    expect(writes.map(({ items }) => items)).toEqual([['aaaa', 'bbbb', 'cccc'], ['d']]);
    for (const { end } of writes) end();
    expect(await Promise.all(answers)).toEqual([...Array<string>(3).fill(['aaaa', 'bbbb', 'cccc'].join('')), 'd']);
  });

  test('leaves to the next write what does not fit', async () => {
    const { writer, writes } = heldWriter({ batchSize: 2 });
    const answers = ['aa', 'b', 'c', 'd'].map((text) => writer.add(text));
    for (let written = 0; written < 3; written++) {
      await pass(100);
      writes[written]!.end();
    }
    expect(writes.map(({ items }) => items)).toEqual([['aa'], ['b', 'c'], ['d']]);
    expect(await Promise.all(answers)).toEqual(['aa', 'bc', 'bc', 'd']);
  });

  test('waits while as many writes are under way as may be, and follows at once when it is due by then', async () => {
    const { writer, writes } = heldWriter();
    void writer.add('a');
    await pass(100);
    const [second, third] = [writer.add('b'), writer.add('c')];
    await pass(500);
    expect(writes).toHaveLength(1);
    writes[0]!.end();
    await pass(0);
    expect(writes.map(({ items }) => items)).toEqual([['a'], ['b', 'c']]);
    writes[1]!.end();
    expect(await Promise.all([second, third])).toEqual(['bc', 'bc']);
  });

  test('stays together where bringing its items takes longer than they wait', async () => {
    const { writer, writes } = heldWriter();
    void writer.add('a');
    jest.spyOn(performance, 'now').mockReturnValueOnce(performance.now() + 200);
    void writer.add('b');
    expect(writes).toEqual([]);
    await pass(100);
    expect(writes.map(({ items }) => items)).toEqual([['a', 'b']]);
  });

  test('holds items of one key once: merged, in the place of the first, with an answer for each', async () => {
    const { writer, writes } = heldWriter({
      merging: { keyOf: (text) => text[0]!, merge: (waiting, later) => waiting + later.slice(1) },
    });
    const answers = ['a1', 'b2', 'a3'].map((text) => writer.add(text));
    await pass(100);
    expect(writes.map(({ items }) => items)).toEqual([['a13', 'b2']]);
    // One that is being written is merged into no more.
    answers.push(writer.add('a4'));
    writes[0]!.end();
    await pass(100);
    expect(writes[1]!.items).toEqual(['a4']);
    writes[1]!.end();
    expect(await Promise.all(answers)).toEqual(['a13b2', 'a13b2', 'a13b2', 'a4']);
  });

  test('counts what was merged by its size', async () => {
    const { writer, writes } = heldWriter({
      merging: { keyOf: (text) => text[0]!, merge: (waiting, later) => waiting + later },
    });
    void writer.add('aaaa');
    void writer.add('aaaa');
    expect(writes).toHaveLength(0);
    void writer.add('aa');
    expect(writes.map(({ items }) => items)).toEqual([['aaaaaaaaaa']]);
  });
});

describe('a write that fails', () => {
  test('refuses its items with its error, and a wait that doubles with each failure in a row', async () => {
    const { writer, writes } = heldWriter();
    for (const retryAfterMs of [1_000, 2_000, 4_000, 4_000]) {
      const [first, second] = [writer.add('a'), writer.add('b')];
      const cause = first.catch((error: Error) => error.cause);
      const outcomes = [first, second].map(outcomeOf);
      await pass(100);
      const down = new Error('down');
      writes.pop()!.fail(down);
      expect(await Promise.all(outcomes)).toEqual(Array(2).fill(refused('failed', retryAfterMs)));
      expect(await cause).toBe(down);
    }
    const stored = writer.add('c');
    await pass(100);
    writes.pop()!.end();
    expect(await stored).toBe('c');
    const again = outcomeOf(writer.add('d'));
    await pass(100);
    writes.pop()!.fail(new Error('down'));
    expect(await again).toEqual(refused('failed', 1_000));
  });

  test('by taking too long rejects with a timeout, and leaves the queue to the next write', async () => {
    const { writer, writes } = heldWriter();
    const first = outcomeOf(writer.add('a'));
    await pass(100);
    const behind = writer.add('b');
    await pass(5_001);
    expect(await first).toEqual(refused('failed'));
    expect([writes[0]!.late.aborted, writes[1]!.items]).toEqual([true, ['b']]);
    writes[1]!.end();
    expect(await behind).toBe('b');
  });

  test('by taking too long fails the queue with it where that is wanted', async () => {
    const { writer, writes } = heldWriter({ abandonQueueOnTimeout: true });
    const first = outcomeOf(writer.add('a'));
    await pass(100);
    const behind = outcomeOf(writer.add('b'));
    await pass(5_001);
    expect([await first, await behind]).toEqual([refused('failed'), refused('abandoned')]);
    expect(writes).toHaveLength(1);
    // An error that is no timeout says nothing about the next write.
    writes[0]!.end();
    const second = outcomeOf(writer.add('c'));
    await pass(100);
    const third = writer.add('d');
    writes[1]!.fail(new Error('a bad row'));
    await pass(100);
    expect(await second).toEqual(refused('failed', 2_000));
    writes[2]!.end();
    expect(await third).toBe('d');
  });

  test('by taking too long holds up no item that comes after the abandoned ones', async () => {
    for (const laterByMs of [0, 100]) {
      const { writer, writes } = heldWriter({ abandonQueueOnTimeout: true, concurrency: 2 });
      const first = outcomeOf(writer.add('a'));
      await pass(5_050);
      const behind = outcomeOf(writer.add('b'));
      await pass(51);
      expect([await first, await behind]).toEqual([refused('failed'), refused('abandoned')]);
      await pass(laterByMs);
      const next = writer.add('c');
      await pass(99);
      expect(writes).toHaveLength(1);
      await pass(1);
      expect(writes.map(({ items }) => items)).toEqual([['a'], ['c']]);
      writes[1]!.end();
      expect(await next).toBe('c');
    }
  });
});

describe('room', () => {
  test('is bounded in each respect, and has room again when a write is over, not already when its caller stops waiting', async () => {
    const { writer, writes } = heldWriter({
      room: [
        { capacity: 100, takenBy: () => 1 },
        { capacity: 8, takenBy: (text) => text.length },
      ],
    });
    const first = outcomeOf(writer.add('aaaaa'));
    expect(await outcomeOf(writer.add('bbbb'))).toEqual(refused('full'));
    await pass(5_101);
    expect(await first).toEqual(refused('failed'));
    expect(await outcomeOf(writer.add('bbbb'))).toEqual(refused('full'));
    writes[0]!.end();
    await pass(0);
    const second = writer.add('bbbb');
    await pass(100);
    writes[1]!.end();
    expect(await second).toBe('bbbb');
  });

  test('is taken by each item, also where it is merged into another', async () => {
    const { writer, writes } = heldWriter({
      merging: { keyOf: () => 'one', merge: (waiting) => waiting },
      room: [{ capacity: 2, takenBy: () => 1 }],
    });
    const answers = [writer.add('a'), writer.add('a')];
    expect(await outcomeOf(writer.add('a'))).toEqual(refused('full'));
    await pass(100);
    writes[0]!.end();
    await Promise.all(answers);
    void writer.add('a');
    void writer.add('a');
    expect(await outcomeOf(writer.add('a'))).toEqual(refused('full'));
  });
});

test('closing writes the accepted items at once, waits for them, and accepts no more', async () => {
  const { writer, writes } = heldWriter({ batchSize: 1, maxAgeMs: 600_000, concurrency: 1 });
  const answers = [writer.add('a'), writer.add('b')];
  let closed = false;
  const closing = writer.close().then(() => (closed = true));
  expect(writer.closed).toBe(true);
  expect(await outcomeOf(writer.add('c'))).toEqual(refused('closed'));
  writes[0]!.end();
  await pass(0);
  expect([writes.map(({ items }) => items), closed]).toEqual([[['a'], ['b']], false]);
  writes[1]!.end();
  await closing;
  expect(await Promise.all(answers)).toEqual(['a', 'b']);
});

test('whatever comes when and fails or not, each item is answered by the write that had it, and all room is free at the end', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 3 }),
      fc.array(fc.constantFrom('add', 'end', 'fail', 'time'), { maxLength: 40 }),
      async (concurrency, steps) => {
        const { writer, writes } = heldWriter({
          concurrency,
          batchSize: 4,
          room: [{ capacity: 12, takenBy: () => 1 }],
          sizeOf: () => 1,
        });
        const written: string[] = [];
        const failed: string[] = [];
        const answers: Promise<unknown>[] = [];
        let count = 0;
        for (const step of steps) {
          if (step === 'time') await pass(100);
          else if (step === 'add') {
            const item = `${count++},`;
            answers.push(
              writer.add(item).then(
                (batch) => void (batch.includes(item) && written.push(item)),
                () => void failed.push(item),
              ),
            );
          } else {
            const write = writes.shift();
            if (step === 'end') write?.end();
            else write?.fail(new Error('down'));
          }
          await pass(0);
          expect(writes.length).toBeLessThanOrEqual(concurrency);
        }
        const closed = writer.close();
        while (writes.length > 0) {
          writes.shift()?.end();
          await pass(0);
        }
        await Promise.all([closed, ...answers]);
        expect(written.length + failed.length).toBe(count);
      },
    ),
    { numRuns: 50 },
  );
});

test('whatever came before, an item waits no longer than it has to once writes end again', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 3 }),
      fc.boolean(),
      fc.array(fc.constantFrom('add', 'end', 'fail', 'wait', 'time out'), { minLength: 10, maxLength: 80 }),
      async (concurrency, abandonQueueOnTimeout, steps) => {
        const { writer, writes } = heldWriter({ concurrency, abandonQueueOnTimeout, batchSize: 4 });
        for (const step of steps) {
          if (step === 'add') void outcomeOf(writer.add('a'));
          else if (step === 'end') writes.shift()?.end();
          else if (step === 'fail') writes.shift()?.fail(new Error('down'));
          await pass(step === 'wait' ? 50 : step === 'time out' ? 4_950 : 0);
        }
        const last = writer.add('z');
        for (let waitedMs = 0; waitedMs <= 100; waitedMs += 50) {
          for (const { end } of writes.splice(0)) end();
          await pass(waitedMs < 100 ? 50 : 0);
        }
        expect(await Promise.race([last, pass(1).then(() => 'it still waits')])).toContain('z');
      },
    ),
    { numRuns: rounds(100, 2_000) },
  );
});
