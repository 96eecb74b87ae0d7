import type { EventEmitter } from 'node:events';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import * as ws from 'ws';
import { FrameBatch, encodeId, sharedFrames } from './next-frames.ts';
import { rounds } from '../../core/testing/rounds.ts';

/** Reads frames as a client's `ws` does. */
function decode(bytes: Buffer): Promise<{ id: string; type: string; payload: unknown }[]> {
  const Receiver = (ws as unknown as { Receiver: new (options: object) => EventEmitter & { end(bytes: Buffer): void } })
    .Receiver;
  const receiver = new Receiver({ isServer: false, allowSynchronousEvents: true });
  const messages: { id: string; type: string; payload: unknown }[] = [];
  return new Promise((resolve, reject) => {
    receiver.on('message', (data: Buffer, isBinary: boolean) => {
      expect(isBinary).toBe(false);
      messages.push(JSON.parse(data.toString()) as (typeof messages)[number]);
    });
    receiver.on('error', reject);
    receiver.on('finish', () => resolve(messages));
    receiver.end(bytes);
  });
}

function payloadOf(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

const anyId = fc.oneof(
  fc.uuid(),
  fc.string({ minLength: 1 }),
  fc.string({ minLength: 1, unit: 'binary' }),
  fc.constant('"\\\n\u{1F697}'),
  fc.constant('\ud800'),
);

describe('the frames of next messages', () => {
  test('are read by a client as the ids and payloads that were written, whatever these are', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.jsonValue(), { minLength: 1, maxLength: 4 }),
        fc.array(anyId, { minLength: 1, maxLength: 5 }),
        async (values, ids) => {
          const batch = new FrameBatch(values.map(payloadOf));
          for (const id of ids) {
            const expected = values.map((value) => ({
              id,
              type: 'next',
              payload: JSON.parse(JSON.stringify(value)) as unknown,
            }));
            expect(await decode(Buffer.from(batch.framesFor(encodeId(id))))).toEqual(expected);
          }
        },
      ),
      { numRuns: rounds(100, 300) },
    );
  });

  test.each([124, 125, 126, 127, 65_534, 65_535, 65_536, 65_537])(
    'have the right length form for a message of %i bytes',
    async (length) => {
      const overhead = '{"id":"i","type":"next","payload":""}'.length;
      const text = 'x'.repeat(length - overhead);
      const frame = new FrameBatch([payloadOf(text)]).framesFor(encodeId('i'));
      expect(frame.length - length).toBe(length < 126 ? 2 : length < 65_536 ? 4 : 10);
      expect(await decode(frame)).toEqual([{ id: 'i', type: 'next', payload: text }]);
    },
  );

  test('are one and the same bytes for equal ids, and are patched in place for others of the same length', () => {
    const batch = new FrameBatch([payloadOf({ data: 1 })]);
    const first = batch.framesFor(encodeId('aaaa'));
    expect(batch.framesFor(encodeId('aaaa'))).toBe(first);
    expect(batch.framesFor(encodeId('bbbb'))).toBe(first);
    expect(first.toString('latin1')).toContain('"id":"bbbb"');
  });

  test('are followed by the end of the operation where there will be no other', async () => {
    const batch = new FrameBatch([payloadOf({ data: 1 })], true);
    for (const id of ['a', 'b', 'longer'])
      expect(await decode(Buffer.from(batch.framesFor(encodeId(id))))).toEqual([
        { id, type: 'next', payload: { data: 1 } },
        { id, type: 'complete' },
      ]);
    expect(batch.count).toBe(1);
  });

  test('of a result that many get are built once for a length of id, and held for few lengths', async () => {
    const result = payloadOf({ data: 1 });
    const built = sharedFrames(result).framesFor(encodeId('aaaa'));
    expect(sharedFrames(result).framesFor(encodeId('bbbb'))).toBe(built);
    for (let length = 1; length <= 256; length++) {
      const id = 'x'.repeat(length);
      const frames = Buffer.from(sharedFrames(result).framesFor(encodeId(id)));
      expect(sharedFrames(result).copies).toBeLessThanOrEqual(3);
      if (length % 64 === 0) expect((await decode(frames)).map((message) => message.id)).toEqual([id, id]);
    }
  });

  test('do not change once they are kept', () => {
    const batch = new FrameBatch([payloadOf({ data: 1 })]);
    const kept = batch.framesFor(encodeId('aaaa'));
    batch.keep();
    expect(batch.framesFor(encodeId('aaaa'))).toBe(kept);
    const other = batch.framesFor(encodeId('bbbb'));
    expect(other).not.toBe(kept);
    expect(kept.toString('latin1')).toContain('"id":"aaaa"');
    expect(other.toString('latin1')).toContain('"id":"bbbb"');
    // No socket keeps the copy yet, so it may be patched again.
    expect(batch.framesFor(encodeId('cccc'))).toBe(other);
  });
});
