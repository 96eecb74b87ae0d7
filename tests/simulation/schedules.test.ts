/**
 * Sync, store and agent in virtual time: a vehicle's flags are exactly the set of the revision that it reports,
 * whatever the network, the disks, the clocks and the instances do, and it gets in step when the network is whole.
 */
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { rounds } from '../../core/testing/rounds.ts';
import { PinnedKeys } from '../../agent/trust/pinned-keys.ts';
import type { Signer } from '../../subgraphs/flags/signing/signing.ts';
import { runSchedule } from './schedule.ts';
import { preparedSigner } from './simulated-control-plane.ts';
import { signAtOnce } from './virtual-time.ts';

const SCHEDULES = rounds(40, 2_500);
const FIRST_SEED = 1;

let signer: Signer;
let keys: PinnedKeys;

beforeAll(async () => {
  signer = await preparedSigner();
  keys = await PinnedKeys.parse(signer.publicKeys);
  signAtOnce();
});

afterAll(() => {
  jest.restoreAllMocks();
});

test(`no law is broken in any of ${SCHEDULES} schedules`, async () => {
  const totals = { changes: 0, crashes: 0, states: 0, convergedMs: 0 };
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SCHEDULES; seed += 1) {
    const outcome = await runSchedule(seed, signer, keys);
    totals.changes += outcome.changes;
    totals.crashes += outcome.crashes;
    totals.states += outcome.states;
    totals.convergedMs = Math.max(totals.convergedMs, outcome.convergedMs);
    if (process.env['TRANSCRIPT'] !== undefined && seed % 500 === 0)
      process.stdout.write(`${seed} schedules: ${JSON.stringify(totals)}\n`);
  }
  // A run without these would show nothing.
  expect(Math.min(totals.changes, totals.crashes, totals.states)).toBeGreaterThan(SCHEDULES);
}, 3_600_000);

test('a schedule is the same whenever it is repeated', async () => {
  expect(await runSchedule(8, signer, keys)).toEqual(await runSchedule(8, signer, keys));
});

test('a vehicle that leaves out a flag of its set, or goes back, is found', async () => {
  const without = runSchedule(1, signer, keys, {
    state: (state) => ({ ...state, flags: new Map([...state.flags].slice(1)) }),
  });
  await expect(without).rejects.toThrow('reports revision');
  const behind = runSchedule(1, signer, keys, {
    state: (state) => ({ ...state, complete: false, revision: Math.max(0, state.revision - 3) }),
  });
  await expect(behind).rejects.toThrow('after it reported');
});
