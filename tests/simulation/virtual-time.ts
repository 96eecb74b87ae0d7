/**
 * Virtual time: one event after the other, each run to its end before the next, so that a schedule is the same whenever
 * it is repeated. Needs Jest's fake timers.
 */
import { KeyObject, sign, verify, type webcrypto } from 'node:crypto';
import { jest } from '@jest/globals';
import { Random } from '../testing/random.ts';

/** The beginning of every schedule, in milliseconds since 1970. */
const BEGINNING_MS = Date.UTC(2026, 5, 15);

const realTurn = setImmediate;
/** Resolves when no promise has anything left to do until the next timer. */
const settled = () => new Promise<void>((resolve) => realTurn(() => resolve()));

/** The most signatures that are remembered. */
const MAX_KNOWN = 20_000;
/** Signatures by what was signed, and what is known of those that were made or checked: most vehicles get the same. */
const made = new Map<string, Buffer>();
const checked = new Map<string, boolean>();
function remember<Value>(values: Map<string, Value>, id: string, value: Value): Value {
  if (values.size >= MAX_KNOWN) values.clear();
  values.set(id, value);
  return value;
}
const textOf = (data: webcrypto.BufferSource) => Buffer.from(data as Uint8Array).toString('latin1');

/**
 * Makes signing and checking happen within the turn that asks for it, with the real algorithm; the thread pool would
 * answer in any order. Each signature is computed once, and one that was just made is known to be right.
 */
export function signAtOnce(): void {
  const { subtle } = globalThis.crypto;
  const bytesOf = (data: webcrypto.BufferSource) => Buffer.from(data as Uint8Array);
  jest.spyOn(subtle, 'sign').mockImplementation(async (_algorithm, key, data) => {
    const text = textOf(data);
    const signature = made.get(text) ?? remember(made, text, sign(null, bytesOf(data), KeyObject.from(key)));
    remember(checked, `${signature.toString('latin1')} ${text}`, true);
    return new Uint8Array(signature).buffer;
  });
  jest.spyOn(subtle, 'verify').mockImplementation(async (_algorithm, key, signature, data) => {
    const id = `${textOf(signature)} ${textOf(data)}`;
    return (
      checked.get(id) ?? remember(checked, id, verify(null, bytesOf(data), KeyObject.from(key), bytesOf(signature)))
    );
  });
}

/** The time and chance of one schedule. */
export class VirtualWorld {
  readonly random: Random;

  constructor(seed: number) {
    this.random = new Random(seed);
    // The spies of signAtOnce note each call; 10,000 schedules of them took gigabytes.
    jest.clearAllMocks();
    jest.useFakeTimers({ now: BEGINNING_MS, doNotFake: ['setImmediate', 'clearImmediate', 'queueMicrotask'] });
  }

  /** Resolves after `milliseconds` milliseconds of virtual time. */
  wait(milliseconds: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, milliseconds));
  }

  /** A time in which a message or a disk may be done, mostly short. */
  latencyMs(): number {
    const { random } = this;
    return random.next() < 0.9 ? random.whole(1, 20) : random.whole(20, 3_000);
  }

  /** Runs until `milliseconds` have passed, or `isDone` gives true between two events. */
  async run(milliseconds: number, isDone: () => boolean = () => false): Promise<void> {
    const until = Date.now() + milliseconds;
    let reached = false;
    const end = setTimeout(() => (reached = true), milliseconds);
    await settled();
    while (!reached && Date.now() <= until && !isDone()) {
      jest.advanceTimersToNextTimer();
      await settled();
    }
    clearTimeout(end);
  }

  end(): void {
    jest.clearAllTimers();
    jest.useRealTimers();
  }
}
