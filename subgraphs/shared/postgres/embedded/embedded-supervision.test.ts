import { expect, test } from '@jest/globals';
import { eventually } from '../../../../core/testing/eventually.ts';
import { Supervision } from './embedded-supervision.ts';

test('a server that dies is restarted, as often as needed, and each time is reported', async () => {
  const alive = new Set([1]);
  const lines: string[] = [];
  let starts = 0;
  const restart = async () => {
    starts += 1;
    if (starts === 1) throw new Error('The disk is full');
    alive.add(starts);
    return starts;
  };
  const supervision = new Supervision(1, {
    isAlive: (server) => alive.has(server),
    restart,
    log: (line) => lines.push(line),
  });
  alive.clear();
  await eventually(() => lines.includes('PostgreSQL answers again'));
  expect(await supervision.end()).toBe(2);
  expect(lines).toEqual([
    'PostgreSQL has died; restarting it',
    'Cannot restart PostgreSQL; retrying in 0.5 s: The disk is full',
    'PostgreSQL answers again',
  ]);
  // A supervision that has ended restarts nothing.
  alive.clear();
  await supervision.end();
  expect(starts).toBe(2);
});

test('ending waits for a restart in progress, and gives the resulting server', async () => {
  let started: (server: number) => void = () => undefined;
  let begun = false;
  const restart = () => ((begun = true), new Promise<number>((resolve) => (started = resolve)));
  const supervision = new Supervision(1, { isAlive: () => false, restart, log: () => undefined });
  await eventually(() => begun);
  const ended = supervision.end();
  started(2);
  expect(await ended).toBe(2);
});
