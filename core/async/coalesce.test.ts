import { expect, test } from '@jest/globals';
import { CoalescedRefresh } from './coalesce.ts';

/** Refreshes that go on until they are ended. */
function heldRefreshes() {
  const held: { end: () => void; fail: (error: Error) => void }[] = [];
  const refreshes = new CoalescedRefresh(() => new Promise<void>((end, fail) => held.push({ end, fail })));
  return { refreshes, held, turn: () => new Promise((resolve) => setImmediate(resolve)) };
}

test('calls during a refresh share one more refresh after it', async () => {
  const { refreshes, held, turn } = heldRefreshes();
  let answered = 0;
  const asked = [refreshes.refresh(), refreshes.refresh(), refreshes.refresh()].map((refresh) =>
    refresh.then(() => (answered += 1)),
  );
  held[0]?.end();
  await turn();
  expect([held.length, answered]).toEqual([2, 0]);
  held[1]?.end();
  await Promise.all(asked);
  expect(held).toHaveLength(2);
});

test('a failed refresh rejects its calls, and the next call starts a new one', async () => {
  const { refreshes, held } = heldRefreshes();
  const first = refreshes.refresh();
  held[0]?.fail(new Error('away'));
  await expect(first).rejects.toThrow('away');
  const second = refreshes.refresh();
  held[1]?.end();
  await expect(second).resolves.toBeUndefined();
});

test('closing waits for the running refresh and begins no other', async () => {
  const { refreshes, held, turn } = heldRefreshes();
  const [first, second] = [refreshes.refresh(), refreshes.refresh()];
  let closed = false;
  const closing = refreshes.close().then(() => (closed = true));
  await turn();
  expect(closed).toBe(false);
  held[0]?.end();
  await Promise.all([first, second, closing]);
  expect(held).toHaveLength(1);
});

test('closing is no failure where the refresh under way fails', async () => {
  const { refreshes, held } = heldRefreshes();
  const failing = expect(refreshes.refresh()).rejects.toThrow('away');
  const closed = refreshes.close();
  held[0]?.fail(new Error('away'));
  await expect(closed).resolves.toBeUndefined();
  await failing;
});
