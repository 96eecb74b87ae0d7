import { expect, test } from '@jest/globals';
import { CoalescedRefresh } from './coalesce.ts';

/** Looks that go on until they are let go. */
function heldLooks() {
  const held: { end: () => void; fail: (error: Error) => void }[] = [];
  const looks = new CoalescedRefresh(() => new Promise<void>((end, fail) => held.push({ end, fail })));
  return { looks, held, turn: () => new Promise((resolve) => setImmediate(resolve)) };
}

test('those who ask during a look are answered by one more after it', async () => {
  const { looks, held, turn } = heldLooks();
  let answered = 0;
  const asked = [looks.refresh(), looks.refresh(), looks.refresh()].map((look) => look.then(() => (answered += 1)));
  held[0]?.end();
  await turn();
  expect([held.length, answered]).toEqual([2, 0]);
  held[1]?.end();
  await Promise.all(asked);
  expect(held).toHaveLength(2);
});

test('a look that fails is told, and the next one is made anew', async () => {
  const { looks, held } = heldLooks();
  const first = looks.refresh();
  held[0]?.fail(new Error('away'));
  await expect(first).rejects.toThrow('away');
  const second = looks.refresh();
  held[1]?.end();
  await expect(second).resolves.toBeUndefined();
});

test('closing waits for the look under way and begins no other', async () => {
  const { looks, held, turn } = heldLooks();
  const [first, second] = [looks.refresh(), looks.refresh()];
  let closed = false;
  const closing = looks.close().then(() => (closed = true));
  await turn();
  expect(closed).toBe(false);
  held[0]?.end();
  await Promise.all([first, second, closing]);
  expect(held).toHaveLength(1);
});
