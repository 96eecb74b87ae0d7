import type { EventEmitter } from 'node:events';
import { describe, expect, test } from '@jest/globals';
import * as ws from 'ws';
import { NO_STATUS } from './frame-reader.ts';
import { EMPTY_PING, closeFrame, pongFrame, textFrames } from './server-frames.ts';

/** Gives the events of a client of `ws` that reads these bytes. */
function read(bytes: Buffer): unknown[][] {
  type Receiver = EventEmitter & { write(bytes: Buffer): void };
  const { Receiver } = ws as unknown as { Receiver: new (options: object) => Receiver };
  const receiver = new Receiver({ isServer: false, allowSynchronousEvents: true });
  const events: unknown[][] = [];
  for (const event of ['message', 'ping', 'pong', 'conclude', 'error'])
    receiver.on(event, (...args: unknown[]) =>
      events.push([event, ...args.map((arg) => (Buffer.isBuffer(arg) ? arg.toString() : arg))]),
    );
  receiver.write(bytes);
  return events;
}

describe('what a client reads', () => {
  test.each(['', 'x'.repeat(125), 'x'.repeat(126), 'ä'.repeat(40_000)])('are texts of any length (%#)', (text) => {
    expect(read(textFrames(text, '{}'))).toEqual([
      ['message', text, false],
      ['message', '{}', false],
    ]);
  });

  test('are pings and pongs', () => {
    expect(read(Buffer.concat([EMPTY_PING, pongFrame(Buffer.from('abc'))]))).toEqual([
      ['ping', ''],
      ['pong', 'abc'],
    ]);
  });

  test.each<[number, string, string]>([
    [1013, 'Too slow', 'Too slow'],
    [4403, '', ''],
    [4409, 'x'.repeat(200), 'x'.repeat(123)],
    // The 62nd would be half in.
    [4409, 'ä'.repeat(62), 'ä'.repeat(61)],
  ])('is why it ends: %i', (code, reason, expected) => {
    expect(read(closeFrame(code, reason))).toEqual([['conclude', code, expected]]);
  });

  test('is that it ends, without a code', () => {
    expect(read(closeFrame(NO_STATUS, 'x'))).toEqual([['conclude', 1005, '']]);
  });
});
