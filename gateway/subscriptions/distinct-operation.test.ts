import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { DistinctOperation, type Member } from './distinct-operation.ts';
import { FanOutTurns } from './fan-out-turns.ts';
import { encodeId, type FrameBatch } from './next-frames.ts';
import { eventually } from '../../core/testing/eventually.ts';
import { rounds } from '../../core/testing/rounds.ts';

const ID = encodeId('i');

/** The payloads in a batch, each a number in a frame of less than 126 bytes. */
function numbersIn(batch: FrameBatch): number[] {
  const bytes = batch.framesFor(ID);
  const numbers: number[] = [];
  for (let offset = 0; offset < bytes.length;) {
    const end = offset + 2 + (bytes[offset + 1] ?? 0);
    numbers.push((JSON.parse(bytes.toString('utf8', offset + 2, end)) as { payload: number }).payload);
    offset = end;
  }
  return numbers;
}

class Listener implements Member {
  readonly heard: number[] = [];
  joinedAt = 0;
  /** Whether the listener reads nothing for now, and whether it has missed something since. */
  isStuck = false;
  isBehind = false;
  ending: 'complete' | 'refused' | null = null;
  /** The first event that it may hear, and the last one before it left. */
  constructor(readonly from: number) {}
  until = Infinity;

  deliver(batch: FrameBatch): void {
    expect(this.until).toBe(Infinity);
    if (this.isStuck) this.isBehind = true;
    if (this.isBehind) return;
    this.heard.push(...numbersIn(batch));
  }
  refuse(): void {
    this.ending = 'refused';
  }
  complete(): void {
    this.ending = 'complete';
  }
}

const limits = { flushWindowMs: 1, batchBytes: 200, maxQueuedEvents: 1_000 };
/** Turns that end after two sockets. */
const shortTurns = () => new FanOutTurns({ turnMs: 0, socketsBetweenLooks: 2, restMs: 2, quietRestMs: 2 });
/** Options for an operation whose clients get every event, and for one whose clients may skip some. */
const options = (isSkippable: boolean) => ({ overflow: () => undefined, limits, isSkippable, turns: shortTurns() });
const range = (from: number, to: number) =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => from + index);

type Step =
  | { readonly kind: 'join' }
  | { readonly kind: 'event' }
  | { readonly kind: 'execute' }
  | { readonly kind: 'turn' }
  | { readonly kind: 'leave'; readonly which: number };
const plain = fc
  .constantFrom(
    'event' as const,
    'event' as const,
    'event' as const,
    'join' as const,
    'execute' as const,
    'turn' as const,
  )
  .map((kind): Step => ({ kind }));
const leaving = fc.nat(5).map((which): Step => ({ kind: 'leave', which }));
const steps = fc.array(fc.oneof({ arbitrary: plain, weight: 6 }, { arbitrary: leaving, weight: 1 }), { maxLength: 60 });

describe('a distinct operation', () => {
  test('gives each member every event from its joining to its leaving, once and in order, whatever the interleaving', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (schedule) => {
        const waiting: (() => void)[] = [];
        let executed = 0;
        let held = true;
        const operation = new DistinctOperation({
          execute: (event) => {
            executed += 1;
            const payload = Buffer.from(JSON.stringify(event.data?.['n']));
            return held ? new Promise((resolve) => waiting.push(() => resolve(payload))) : Promise.resolve(payload);
          },
          ...options(false),
        });
        // Stays throughout, so that the operation never becomes empty.
        const first = new Listener(1);
        operation.join(first);
        const listeners = [first];
        let events = 0;
        for (const step of schedule) {
          if (step.kind === 'event') operation.push({ data: { n: ++events } });
          else if (step.kind === 'execute') waiting.shift()?.();
          else if (step.kind === 'turn') await new Promise((resolve) => setImmediate(resolve));
          else if (step.kind === 'join') {
            const listener = new Listener(events + 1);
            listeners.push(listener);
            operation.join(listener);
          } else if (step.kind === 'leave') {
            const leaver = listeners[1 + step.which];
            if (leaver !== undefined && operation.leave(leaver)) leaver.until = events;
          }
        }
        held = false;
        for (const release of waiting.splice(0)) release();
        operation.end('complete');
        await eventually(() => first.ending === 'complete', 'the end');
        expect(executed).toBe(events);
        for (const { heard, from, until, ending } of listeners) {
          if (until === Infinity) {
            expect(heard).toEqual(range(from, events));
            expect(ending).toBe('complete');
          } else {
            expect(heard).toEqual(range(from, until).slice(0, heard.length));
            expect(ending).toBeNull();
          }
        }
      }),
      { numRuns: 150 },
    );
  });

  test('sends its refusal only after the results before it', async () => {
    const operation = new DistinctOperation({
      execute: () => Promise.resolve(Buffer.from('1')),
      ...options(false),
    });
    const listener = new Listener(1);
    operation.join(listener);
    operation.push({ data: {} });
    operation.end({ errors: [{ message: 'No more.' }] });
    operation.push({ data: {} });
    expect(listener.ending).toBeNull();
    await eventually(() => listener.ending === 'refused', 'the refusal');
    expect(listener.heard).toEqual([1]);
    expect(operation.size).toBe(0);
  });

  test('leaves out for a member that does not read only what comes before the newest, whatever the interleaving', async () => {
    const stuck = fc.record({ kind: fc.constantFrom('stick' as const, 'read' as const), which: fc.nat(3) });
    const schedules = fc.array(fc.oneof({ arbitrary: plain, weight: 2 }, { arbitrary: stuck, weight: 1 }), {
      maxLength: 60,
    });
    await fc.assert(
      fc.asyncProperty(schedules, async (schedule) => {
        const operation = new DistinctOperation({
          execute: async ({ data }) => Buffer.from(JSON.stringify(data?.['n'])),
          ...options(true),
        });
        const listeners = Array.from({ length: 4 }, () => new Listener(1));
        for (const listener of listeners) operation.join(listener);
        const read = (listener: Listener) => {
          listener.isStuck = false;
          if (!listener.isBehind) return;
          listener.isBehind = false;
          operation.catchUp(listener);
        };
        let events = 0;
        for (const step of schedule) {
          if (step.kind === 'event') operation.push({ data: { n: ++events } });
          else if (step.kind === 'turn') await new Promise((resolve) => setImmediate(resolve));
          else if (step.kind === 'stick') listeners[step.which]!.isStuck = true;
          else if (step.kind === 'read') read(listeners[step.which]!);
        }
        listeners.forEach(read);
        operation.push({ data: { n: ++events } });
        await eventually(() => listeners.every(({ heard }) => heard.at(-1) === events), 'the newest');
        // Each listener gets each event once, in order. One that never stopped reading gets all.
        for (const { heard } of listeners) expect(heard).toEqual([...new Set(heard)].sort((a, b) => a - b));
        const stuckOnes = new Set(schedule.flatMap((step) => (step.kind === 'stick' ? [step.which] : [])));
        listeners.forEach(({ heard }, which) => {
          if (!stuckOnes.has(which)) expect(heard).toEqual(range(1, events));
        });
        operation.dissolve();
      }),
      { numRuns: rounds(60, 1_000) },
    );
  });

  test('gives a member that reads again the newest event at once, and not a second time', async () => {
    const operation = new DistinctOperation({
      execute: async ({ data }) => Buffer.from(JSON.stringify(data?.['n'])),
      ...options(true),
    });
    const [slow, quick] = [new Listener(1), new Listener(1)];
    operation.join(slow);
    operation.join(quick);
    slow.isStuck = true;
    for (let n = 1; n <= 5; n++) {
      operation.push({ data: { n } });
      await eventually(() => quick.heard.at(-1) === n, 'the event');
    }
    expect(slow.heard).toEqual([]);
    slow.isStuck = slow.isBehind = false;
    operation.catchUp(slow);
    operation.catchUp(slow);
    operation.push({ data: { n: 6 } });
    await eventually(() => slow.heard.at(-1) === 6, 'the next');
    expect(slow.heard).toEqual([5, 6]);
    expect(quick.heard).toEqual([1, 2, 3, 4, 5, 6]);
    operation.leave(slow);
    slow.joinedAt = 0;
    operation.catchUp(slow);
    expect(slow.heard).toEqual([5, 6]);
  });
});
