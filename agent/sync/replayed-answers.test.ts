/** A session on a clock of the test: a network that replays answers for long, and is honest afterwards. */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { emptyState, type VehicleState } from '../state.ts';
import { TestControlPlane } from '../testing/control-plane.ts';
import type { SyncMessage } from '../testing/wire-messages.ts';
import { eventually } from '../../core/testing/eventually.ts';
import { AgeingClock } from '../trust/ageing-clock.ts';
import { Freshness } from '../trust/freshness.ts';
import { PinnedKeys } from '../trust/pinned-keys.ts';
import { Backoff } from '../../core/async/backoff.ts';
import type { LinkEnding } from '../link/gateway-link.ts';
import { SyncHistory } from './sync-history.ts';
import { SyncSession } from './sync-session.ts';

const NEVER_MS = 1_000_000_000;
const MINUTE_MS = 60_000;

let plane: TestControlPlane;
let now: number;
let state: VehicleState;
let session: SyncSession;
let over: Promise<void>;
let cut: () => void;
let refusals: string[];
/** The arguments of the session's calls of `touched`, in their order. */
let touched: boolean[];
let onSync: (answer: SyncMessage) => SyncMessage;

beforeEach(async () => {
  plane = await TestControlPlane.silent();
  now = Date.UTC(2026, 5, 15);
  plane.now = () => now;
  state = emptyState({ vin: 'KMHL14JA5PA000001', environment: 'production' });
  [refusals, touched] = [[], []];
  onSync = (answer) => answer;
  await plane.put('a');
  await plane.put('b');
});

afterEach(async () => {
  cut();
  await over;
});

async function begin(): Promise<void> {
  const patient = () => new Backoff({ baseMs: NEVER_MS, capMs: NEVER_MS, random: () => 0.5 });
  const running = () => now;
  const ageingClock = new AgeingClock(() => now, running);
  session = new SyncSession({
    link: {
      ended: new Promise<LinkEnding>((resolve) => (cut = () => resolve({ code: 1006, reason: '' }))),
      subscribe: () => undefined,
      request: async (_query: string, { since, nonce }: Record<string, unknown>) => ({
        flagSync: onSync(await plane.sync(since as number, (nonce as string | undefined) ?? null)),
      }),
    },
    keys: await PinnedKeys.parse(plane.keySet),
    log: () => undefined,
    now: () => now,
    ageingClock,
    freshness: new Freshness({
      clock: ageingClock,
      random: () => 0.5,
      unanswered: patient(),
      reassignments: patient(),
      assignmentSpreadMs: 0,
    }),
    history: new SyncHistory({ backoff: patient(), newLinkMs: MINUTE_MS, belowMs: NEVER_MS, runningMs: running }),
    state: () => state,
    commit: async (next) => void (state = next),
    refuse: ({ reason }) => void refusals.push(reason),
    synced: () => undefined,
    touched: (inTouch) => void touched.push(inTouch),
    resyncDelayMs: () => NEVER_MS,
    random: () => 0.5,
    aheadMs: NEVER_MS,
    staleCheckMs: NEVER_MS,
    backoff: patient(),
    staleBackoff: patient(),
  });
  [refusals, touched] = [[], []];
  over = session.run();
  await eventually(
    () => plane.syncs.length === 1 && (touched.length > 0 || refusals.length > 0),
    'everything was asked for',
  );
}

/** Takes `jws` as it comes with a heartbeat, and waits until that is done. */
async function prove(jws: string): Promise<void> {
  const { length } = touched;
  session.prove(jws, now);
  await eventually(() => touched.length > length, 'it is taken');
}

test('an old proof that comes again and again is counted, and not called in touch, until a true one comes', async () => {
  await begin();
  const old = await plane.proof();
  await prove(old);
  expect([touched, refusals]).toEqual([[true, true], []]);
  // The change is kept from the vehicle, and so is every later proof.
  await plane.put('a', { enabled: false });
  for (let minute = 0; minute < 3; minute++) {
    now += MINUTE_MS;
    await prove(old);
  }
  expect(touched.slice(2)).toEqual([true, false, false]);
  expect(refusals).toEqual(['no-fresh-proof', 'no-fresh-proof']);
  const { revision, flags } = state;
  expect([revision, flags.get('a')?.cachedAt]).toEqual([2, Math.floor(now / 1000) - 180]);
});

test('a control plane that cannot prove anything new for a while is in touch again with its first present proof', async () => {
  await begin();
  const old = await plane.proof();
  now += 5 * MINUTE_MS;
  await prove(old);
  await prove(await plane.proof());
  expect([touched, refusals]).toEqual([[true, false, true], ['no-fresh-proof']]);
});

test('a vehicle that holds nothing starts a full sync at once when a proof shows that there are flags', async () => {
  await begin();
  cut();
  await over;
  // Its file has lost the flags, but not the partition.
  state = { ...state, flags: new Map(), complete: false, revision: 0 };
  onSync = (answer) => ({ ...answer, flags: answer.flags.slice(1) });
  plane.syncs.length = 0;
  await begin();
  expect(refusals).toEqual(['incomplete']);
  onSync = (answer) => answer;
  now += MINUTE_MS;
  session.prove(await plane.proof(), now);
  await eventually(() => state.complete, 'it holds all of it');
  expect([plane.syncs, state.flags.size]).toEqual([[0, 0], 2]);
});

test('such a full sync starts at most once a minute for the same set', () => {
  const history = new SyncHistory({
    backoff: new Backoff({ baseMs: NEVER_MS, capMs: NEVER_MS, random: () => 0 }),
    newLinkMs: MINUTE_MS,
    belowMs: NEVER_MS,
    runningMs: () => now,
  });
  history.waitFor('one', true);
  expect(history.mayRetryAtOnce('one')).toBe(false);
  expect([history.mayRetryAtOnce('two'), history.mayRetryAtOnce('two')]).toEqual([true, false]);
  now += MINUTE_MS;
  expect([history.mayRetryAtOnce('one'), history.mayRetryAtOnce('one'), history.mayRetryAtOnce('two')]).toEqual([
    true,
    false,
    true,
  ]);
});
