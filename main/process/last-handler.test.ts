import { EventEmitter } from 'node:events';
import { beforeEach, expect, test } from '@jest/globals';
import { LastHandler } from './last-handler.ts';

let emitter: EventEmitter;
let handler: LastHandler;
let logged: { level: string; fields: object; message: string }[];
let ends: number;

beforeEach(() => {
  emitter = new EventEmitter();
  logged = [];
  ends = 0;
  const log = (level: string) => (fields: object, message: string) => void logged.push({ level, fields, message });
  handler = new LastHandler({ log: { fatal: log('fatal'), error: log('error') }, end: () => (ends += 1) });
  handler.listen(emitter);
});

test('an unhandled rejection is logged with its cause and counted, and the process continues', () => {
  const error = new Error('The database is away');
  emitter.emit('unhandledRejection', error);
  emitter.emit('unhandledRejection', undefined);
  expect(logged).toMatchObject([
    { level: 'error', fields: { err: error, count: 1 } },
    { level: 'error', fields: { err: { message: 'undefined' }, count: 2 } },
  ]);
  expect(handler.counts).toEqual({ unhandledRejection: 2, uncaughtException: 0 });
  expect(ends).toBe(0);
});

test('an uncaught exception is logged, and ends the process once', () => {
  emitter.emit('uncaughtException', new TypeError('x is not a function'));
  emitter.emit('uncaughtException', new TypeError('x is not a function'));
  expect(logged.map(({ level }) => level)).toEqual(['fatal', 'fatal']);
  expect(handler.counts.uncaughtException).toBe(2);
  expect(ends).toBe(1);
});

test('a pipe whose reader has closed does not end the process', () => {
  emitter.emit('uncaughtException', Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
  expect(handler.counts.uncaughtException).toBe(1);
  expect(ends).toBe(0);
});
