import { describe, expect, test } from '@jest/globals';
import { createInProcessStore, type KeyValueStore } from '../stores/key-value-store.ts';
import { createReplayGuard } from './replay-guard.ts';

const inHalfAMinute = () => new Date(Date.now() + 30_000);

function logger() {
  const warnings: string[] = [];
  return { warnings, warn: (_fields: object, message: string) => void warnings.push(message) };
}

describe('the replay guard', () => {
  test('accepts a token once, even when it is used twice at the same time', async () => {
    const guard = createReplayGuard('flags', createInProcessStore(), logger());
    expect(await Promise.all([guard.isReplay('a', inHalfAMinute()), guard.isReplay('a', inHalfAMinute())])).toEqual([
      false,
      true,
    ]);
    expect(await guard.isReplay('b', inHalfAMinute())).toBe(false);
  });

  test('is shared by the instances of a subgraph, and not with other subgraphs', async () => {
    const store = createInProcessStore();
    const [one, two, other] = [
      createReplayGuard('flags', store, logger()),
      createReplayGuard('flags', store, logger()),
      createReplayGuard('audit', store, logger()),
    ];
    expect(await Promise.all([one.isReplay('a', inHalfAMinute()), two.isReplay('a', inHalfAMinute())])).toEqual([
      false,
      true,
    ]);
    expect(await other.isReplay('a', inHalfAMinute())).toBe(false);
  });

  test('stores a token for at least as long as it is valid', async () => {
    const kept: number[] = [];
    const guard = createReplayGuard(
      'flags',
      { setIfAbsent: async (_key, _value, seconds) => kept.push(seconds) > 0 },
      logger(),
    );
    await guard.isReplay('a', inHalfAMinute());
    await guard.isReplay('b', new Date(Date.now() - 1_000));
    expect(kept).toEqual([30, 1]);
  });

  test.each<[string, KeyValueStore['setIfAbsent']]>([
    ['fails', () => Promise.reject(new Error('away'))],
    ['does not answer', () => new Promise(() => undefined)],
  ])(
    'decides alone while the store %s, logs that once, and does not call the store for every request',
    async (_what, setIfAbsent) => {
      const log = logger();
      let asked = 0;
      const guard = createReplayGuard('flags', { setIfAbsent: (...args) => ((asked += 1), setIfAbsent(...args)) }, log);
      expect(await guard.isReplay('a', inHalfAMinute())).toBe(false);
      expect(await guard.isReplay('a', inHalfAMinute())).toBe(true);
      expect(await guard.isReplay('b', inHalfAMinute())).toBe(false);
      expect(await guard.isReplay('b', inHalfAMinute())).toBe(true);
      expect([asked, log.warnings.length]).toEqual([1, 1]);
    },
  );
});
