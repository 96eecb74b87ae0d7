import { LRUCache } from 'lru-cache';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { boundedCache } from './bounded-cache.ts';

test('a bounded cache keeps and forgets what a cache with reserved room does', () => {
  const step = fc.oneof(
    fc.record({
      does: fc.constant('set' as const),
      key: fc.nat(9),
      value: fc.nat(),
      ttl: fc.option(fc.integer({ min: 1, max: 5 })),
    }),
    fc.record({ does: fc.constantFrom('get', 'delete', 'wait'), key: fc.nat(9) }),
  );
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 6 }), fc.array(step, { maxLength: 40 }), (max, steps) => {
      let now = 1;
      const time = { perf: { now: () => now }, ttlResolution: 0 };
      const bounded = boundedCache<number, { value: number }>(max, time);
      const reserved = new LRUCache<number, { value: number }>({ max, ...time });
      for (const one of steps) {
        if (one.does === 'wait') now += one.key;
        for (const cache of [bounded, reserved])
          if ('value' in one) cache.set(one.key, { value: one.value }, one.ttl === null ? {} : { ttl: one.ttl });
          else if (one.does === 'get') cache.get(one.key);
          else if (one.does === 'delete') cache.delete(one.key);
        expect([...bounded.entries()]).toEqual([...reserved.entries()]);
        expect(bounded.size).toBe(reserved.size);
      }
    }),
  );
});
