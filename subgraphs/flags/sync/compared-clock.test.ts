import { expect, test } from '@jest/globals';
import { ComparedClock } from './compared-clock.ts';

const DAY = 86_400_000;

test("a clock that differs from the database's by more than seconds is logged, once an hour, and again when it is right", () => {
  const logged: string[] = [];
  const logger = {
    warn: ({ seconds }: { seconds: number }) => void logged.push(`warn ${seconds}`),
    info: () => void logged.push('info'),
  } as never;
  let [now, running] = [1e12, 0];
  const clock = new ComparedClock(
    logger,
    () => now,
    () => running,
  );
  const database = 1e12;
  const look = (ownTime: number, minutes: number) => {
    now = database + ownTime;
    running += minutes * 60_000;
    clock.compare(database);
  };
  for (const difference of [0, 9_000, -9_000]) look(difference, 1);
  expect(logged).toEqual([]);
  for (let minute = 0; minute < 70; minute++) look(2 * DAY, 1);
  expect(logged).toEqual(['warn 172800', 'warn 172800']);
  look(0, 1);
  look(-DAY, 1);
  look(-DAY, 1);
  expect(logged.slice(2)).toEqual(['info', 'warn -86400']);
});
