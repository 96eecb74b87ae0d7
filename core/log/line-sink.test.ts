import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { LineSink, type LineFiles, type LineStream } from './line-sink.ts';

/** A pipe whose reader takes bytes only when the test calls `read`. */
class Pipe implements LineStream {
  writableLength = 0;
  readonly waiting: { text: string; written: (error?: Error | null) => void }[] = [];
  fail: (error: Error) => void = () => undefined;
  on(_event: 'error', listener: (error: Error) => void): void {
    this.fail = listener;
  }
  write(text: string, written: (error?: Error | null) => void): void {
    this.writableLength += text.length;
    this.waiting.push({ text, written });
  }
  read(error: Error | null = null): string {
    const { text, written } = this.waiting.shift()!;
    this.writableLength -= text.length;
    written(error);
    return text;
  }
}

const stat = (kind: 'pipe' | 'socket' | 'file') => () => ({
  isFIFO: () => kind === 'pipe',
  isSocket: () => kind === 'socket',
});
const noWrite = () => {
  throw new Error('a pipe is not written as a file');
};
const pipes = (kind: 'pipe' | 'socket' = 'pipe'): LineFiles => ({ fstatSync: stat(kind), writeSync: noWrite });

test.each(['pipe', 'socket'] as const)(
  'a %s takes lines until too much waits for its reader, and again when that has been read',
  (kind) => {
    const pipe = new Pipe();
    const sink = new LineSink(2, pipe, pipes(kind), 10);
    const answers: boolean[] = [];
    const write = (text: string) => sink.write(text, (handedOn) => answers.push(handedOn));
    expect([write('0123456789\n'), write('lost\n'), sink.lost, sink.takeUnreported(), sink.takeUnreported()]).toEqual([
      true,
      false,
      1,
      1,
      0,
    ]);
    expect([pipe.read(), write('again\n'), answers]).toEqual(['0123456789\n', true, [false, true]]);
  },
);

test('a pipe whose reader has gone loses the line that fails and every later one, and never blocks', () => {
  const pipe = new Pipe();
  const sink = new LineSink(1, pipe, pipes(), 1_000);
  const answers: boolean[] = [];
  expect(sink.write('one\n', (handedOn) => answers.push(handedOn))).toBe(true);
  pipe.fail(new Error('EPIPE'));
  pipe.read(new Error('EPIPE'));
  expect([sink.write('two\n'), sink.lost, answers, pipe.waiting]).toEqual([false, 2, [false], []]);
});

test('a terminal is written as a stream, whatever its descriptor is', () => {
  const terminal = Object.assign(new Pipe(), { isTTY: true });
  expect(new LineSink(2, terminal, { fstatSync: stat('file'), writeSync: noWrite }, 10).write('shown\n')).toBe(true);
  expect(terminal.read()).toBe('shown\n');
});

test('a descriptor that is closed loses its lines', () => {
  const closed = () => {
    throw new Error('EBADF');
  };
  const sink = new LineSink(2, new Pipe(), { fstatSync: closed, writeSync: closed }, 10);
  expect([sink.write('x\n'), sink.lost]).toEqual([false, 1]);
});

test('on a disk that fills up and empties, every line is whole and on a line of its own, or counted as lost', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ text: fc.stringMatching(/^[a-zé]{1,8}$/), room: fc.nat(12) }), { maxLength: 20 }),
      (steps) => {
        let room = 0;
        const parts: Uint8Array[] = [];
        const writeSync = (_descriptor: number, bytes: Uint8Array) => {
          if (room === 0) throw new Error('ENOSPC');
          const part = bytes.slice(0, room);
          room -= part.length;
          parts.push(part);
          return part.length;
        };
        const sink = new LineSink(2, new Pipe(), { fstatSync: stat('file'), writeSync }, 0);
        const kept = steps.filter((step) => {
          room = step.room;
          return sink.write(`${step.text}\n`);
        });
        const lines = Buffer.concat(parts).toString().split('\n');
        expect(sink.lost).toBe(steps.length - kept.length);
        expect(kept.map(({ text }) => text).filter((text) => !lines.includes(text))).toEqual([]);
      },
    ),
  );
});
