import type { EventEmitter } from 'node:events';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import * as ws from 'ws';
import { rounds } from '../../../../core/testing/rounds.ts';
import { FrameFault, FrameReader, NO_STATUS } from './frame-reader.ts';

const MAX_BYTES = 300;

type FrameEvent = readonly [what: string, ...content: unknown[]];

/** Gives the events of our reader for bytes in these pieces, and the close code of the fault that ends them, if any. */
function ours(pieces: readonly Buffer[]): { events: FrameEvent[]; fault: number | null } {
  const events: FrameEvent[] = [];
  const reader = new FrameReader(MAX_BYTES);
  const listener = {
    message: (data: Buffer, isText: boolean) => events.push(['message', data.toString('hex'), isText]),
    ping: (content: Buffer) => events.push(['ping', content.toString('hex')]),
    pong: () => events.push(['pong']),
    closeFrame: (code: number, reason: string) => events.push(['close', code, reason]),
  };
  try {
    // Copies, because the bytes are changed.
    for (const piece of pieces) reader.read(Buffer.from(piece), listener);
    return { events, fault: null };
  } catch (error) {
    if (!(error instanceof FrameFault)) throw error;
    return { events, fault: error.code };
  }
}

/** Gives the same of the reader of `ws`. */
async function theirs(pieces: readonly Buffer[]): Promise<{ events: FrameEvent[]; fault: number | null }> {
  type Receiver = EventEmitter & { write(bytes: Buffer): void; end(): void };
  const { Receiver } = ws as unknown as { Receiver: new (options: object) => Receiver };
  const receiver = new Receiver({ isServer: true, allowSynchronousEvents: true, maxPayload: MAX_BYTES });
  const events: FrameEvent[] = [];
  let fault: number | null = null;
  receiver.on('message', (data: Buffer, isBinary: boolean) =>
    events.push(['message', data.toString('hex'), !isBinary]),
  );
  receiver.on('ping', (content: Buffer) => events.push(['ping', content.toString('hex')]));
  receiver.on('pong', () => events.push(['pong']));
  receiver.on('conclude', (code: number, reason: Buffer) => events.push(['close', code, reason.toString()]));
  receiver.on('error', (error: Error) => {
    const key = Object.getOwnPropertySymbols(error).find(({ description }) => description === 'status-code');
    fault = Number(Reflect.get(error, key ?? ''));
  });
  for (const piece of pieces) if (fault === null) receiver.write(Buffer.from(piece));
  await new Promise((resolve) => setImmediate(resolve));
  return { events, fault };
}

interface Frame {
  readonly first: number;
  readonly content: Buffer;
  readonly mask: Buffer;
  readonly isMasked: boolean;
}

/** Gives the bytes of a frame as a client writes it. */
function bytesOf({ first, content, mask, isMasked }: Frame): Buffer {
  const flag = isMasked ? 0x80 : 0;
  const length = content.length;
  const head =
    length < 126 ? Buffer.from([first, flag | length]) : Buffer.from([first, flag | 126, length >> 8, length & 255]);
  const masked = content.map((byte, index) => byte ^ (isMasked ? mask[index & 3]! : 0));
  return Buffer.concat([head, isMasked ? mask : Buffer.alloc(0), masked]);
}

const FIN = 0x80;
const content = fc.oneof(
  fc.string({ maxLength: 40 }).map((text) => Buffer.from(text)),
  fc.string({ unit: 'grapheme', maxLength: 40 }).map((text) => Buffer.from(text)),
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  fc.integer({ min: 120, max: 320 }).map((length) => Buffer.alloc(length, 'x')),
);
const closing = fc
  .record({ code: fc.integer({ min: 990, max: 5_010 }), reason: fc.string({ maxLength: 20 }) })
  .map(({ code, reason }) => Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason)]));
const mask = fc.uint8Array({ minLength: 4, maxLength: 4 }).map((bytes) => Buffer.from(bytes));
const frame = (first: fc.Arbitrary<number>, of: fc.Arbitrary<Buffer> = content) =>
  fc.record({
    first,
    content: of,
    mask,
    isMasked: fc.oneof({ arbitrary: fc.constant(true), weight: 30 }, { arbitrary: fc.constant(false), weight: 1 }),
  });
const frames = fc.oneof(
  { arbitrary: frame(fc.constantFrom(FIN | 1, FIN | 1, FIN | 2, 1, 0, FIN, FIN | 9, FIN | 10)), weight: 20 },
  { arbitrary: frame(fc.constant(FIN | 8), closing), weight: 1 },
  { arbitrary: frame(fc.integer({ min: 0, max: 255 })), weight: 1 },
);

/** The positions at which bytes are cut into pieces, as shares of their length. */
const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 8 });

function pieces(bytes: Buffer, at: readonly number[]): Buffer[] {
  const places = [0, ...at.map((share) => Math.floor(share * bytes.length)), bytes.length].sort((a, b) => a - b);
  return places.slice(1).map((place, index) => bytes.subarray(places[index], place));
}

describe('what a client sends', () => {
  test('is read as ws reads it, whatever it is and in whatever pieces it comes', async () => {
    let [messages, faults] = [0, 0];
    await fc.assert(
      fc.asyncProperty(fc.array(frames, { minLength: 1, maxLength: 8 }), cuts, async (sent, at) => {
        const expected = await theirs(sent.map(bytesOf));
        // Behind a close frame ws does not read.
        const end = expected.events.findIndex(([what]) => what === 'close');
        const read = ours(pieces(Buffer.concat(sent.map(bytesOf)), at));
        if (end !== -1) expect(read.events.slice(0, end + 1)).toEqual(expected.events);
        else expect(read).toEqual(expected);
        messages += read.events.filter(([what]) => what === 'message').length;
        faults += read.fault === null ? 0 : 1;
      }),
      { numRuns: rounds(400, 20_000) },
    );
    expect(Math.min(messages, faults)).toBeGreaterThan(20);
  });

  const masked = (first: number, bytes: readonly number[]) =>
    bytesOf({ first, content: Buffer.from(bytes), mask: Buffer.alloc(4), isMasked: true });

  test.each<[string, Buffer, number]>([
    ['a close code of one byte', masked(FIN | 8, [3]), 1002],
    ['a close code that nobody may send', masked(FIN | 8, [3, 0xee]), 1002],
    ['a reason to close that is not UTF-8', masked(FIN | 8, [3, 0xe8, 0xff]), 1007],
    ['a message within another', Buffer.concat([masked(1, [0x61]), masked(FIN | 1, [0x61])]), 1002],
    ['a ping of 126 bytes', masked(FIN | 9, Array<number>(126).fill(0)), 1002],
    [
      'more than may be, in fragments',
      Buffer.concat([masked(1, Array<number>(200).fill(97)), masked(0, Array<number>(101).fill(97))]),
      1009,
    ],
    ['more than may be, before it is there', Buffer.from([FIN | 1, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]), 1009],
  ])('is a fault with its code: %s', (_, bytes, code) => {
    expect(ours([bytes]).fault).toBe(code);
  });

  test('may be as large as may be, a byte at a time, with a ping between its fragments', () => {
    const bytes = Buffer.concat([
      masked(1, Array<number>(150).fill(97)),
      masked(FIN | 9, [1]),
      masked(FIN, Array<number>(150).fill(98)),
      masked(FIN | 8, []),
    ]);
    expect(ours(Array.from(bytes, (byte) => Buffer.from([byte])))).toEqual({
      events: [
        ['ping', '01'],
        ['message', Buffer.from('a'.repeat(150) + 'b'.repeat(150)).toString('hex'), true],
        ['close', NO_STATUS, ''],
      ],
      fault: null,
    });
  });
});
