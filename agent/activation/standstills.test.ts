import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { ChangeOver } from './change-over.ts';
import { MAX_STANDSTILLS } from './standstills.ts';

const PARKED = { ignition: 'off', moving: false } as const;
const DRIVING = { ignition: 'on', moving: false } as const;
const TEN_MINUTES = 600_000;

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

/** Gives a vehicle before its first sync, and the lines of its log. */
function newVehicle() {
  const lines: string[] = [];
  const begun = Date.now();
  const changeOver = new ChangeOver({
    store: { save: async () => true, saveWhole: async () => true },
    flags: {
      state: null,
      drive: null,
      replace: () => undefined,
      driveBeginningNow: jest.fn<never>(),
      contextOf: jest.fn<never>(),
    },
    activated: () => undefined,
    returned: () => undefined,
    keys: () => null,
    now: () => Date.now(),
    ageingClock: {
      seconds: () => 0,
      get runningMs() {
        return Date.now() - begun;
      },
    },
    log: (_level, line) => lines.push(line),
  });
  const standstills = () => lines.filter((line) => line === 'the vehicle is parked').length;
  return { changeOver, lines, standstills };
}

test('a vehicle that is reported to be parked again and again changes over a bounded number of times', async () => {
  const { changeOver, lines, standstills } = newVehicle();
  for (let n = 0; n < 500; n++) {
    await changeOver.report(PARKED);
    await changeOver.report(DRIVING);
    await jest.advanceTimersByTimeAsync(100);
  }
  expect(standstills()).toBe(MAX_STANDSTILLS);
  expect(lines.filter((line) => /too often/.test(line))).toHaveLength(1);
  expect(changeOver.status().parked).toBe(false);
  // It drives when there is room again.
  await jest.advanceTimersByTimeAsync(TEN_MINUTES);
  expect(changeOver.status().parked).toBe(false);
  await changeOver.report(PARKED);
  expect(changeOver.status().parked).toBe(true);
  await changeOver.close();
});

test('a vehicle that stays parked after too many standstills counts as parked when there is room, without a further report', async () => {
  const { changeOver, standstills } = newVehicle();
  for (let n = 0; n < MAX_STANDSTILLS; n++) {
    await changeOver.report(PARKED);
    await changeOver.report(DRIVING);
  }
  await changeOver.report(PARKED);
  expect(changeOver.status()).toMatchObject({ ignition: 'off', moving: false, parked: false, reported: true });
  await jest.advanceTimersByTimeAsync(TEN_MINUTES - 1_000);
  expect(changeOver.status().parked).toBe(false);
  await jest.advanceTimersByTimeAsync(2_000);
  expect(standstills()).toBe(MAX_STANDSTILLS + 1);
  expect(changeOver.status().parked).toBe(true);
  await changeOver.close();
});
