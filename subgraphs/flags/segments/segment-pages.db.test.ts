/**
 * Segments as clients see them: a person the flags of a segment in pages, a vehicle its content in place of its key.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { identityOf, refusal } from '../../shared/testing/asking.ts';
import { FlagsUnderTest } from '../testing/flags-under-test.ts';

const COUNT = 230;
const SAVE =
  'mutation ($conditions: JSON!, $first: Int, $after: String) { saveSegment(key: "many", name: "Many", conditions: $conditions) { revision flagCount flags(first: $first, after: $after) { key revision } } }';
const FLAGS =
  'query ($first: Int, $after: String) { segment(key: "many") { flagCount flags(first: $first, after: $after) { key } } }';

interface Keyed {
  readonly key: string;
}

let flags: FlagsUnderTest;
const keys = Array.from({ length: COUNT }, (_, index) => `flag_${String(index).padStart(3, '0')}`);
beforeAll(async () => {
  flags = await FlagsUnderTest.start();
  await flags.ok(SAVE, { conditions: { regions: ['EU'] } });
  for (let from = 0; from < COUNT; from += 50) {
    const some = keys.slice(from, from + 50);
    // No partition holds more than 100 flags.
    for (const [index, key] of some.entries()) if (index === 0) await flags.create({ key, scope: [`Model ${from}`] });
    await flags.prisma.$executeRaw`
      INSERT INTO flags (key, name, type, default_value, safety_level, environment, revision, signed_definition, scope)
      SELECT given, given, type, default_value, safety_level, environment, revision, replace(signed_definition, key, given), scope
      FROM flags, unnest(${some.slice(1)}::text[]) AS given WHERE key = ${some[0]}`;
  }
  await flags.prisma.$executeRaw`
    INSERT INTO rules (flag_id, type, priority, enabled, conditions, value)
    SELECT id, 'vehicle_target', 100, true, '{"segment": "many"}', '{"value": true}' FROM flags WHERE key LIKE 'flag_%'`;
});
afterAll(() => flags.remove());

const page = async (variables: Record<string, unknown> = {}) => {
  const { segment } = await flags.ok<{ segment: { flagCount: number; flags: readonly Keyed[] } }>(FLAGS, variables);
  expect(segment.flagCount).toBe(COUNT);
  return segment.flags.map(({ key }) => key);
};

test('those of a segment follow each other by key, and a page that is too large is refused', async () => {
  expect(await page()).toEqual(keys.slice(0, 20));
  const all: string[] = [];
  for (let next = await page({ first: 100 }); next.length > 0; next = await page({ first: 100, after: all.at(-1) }))
    all.push(...next);
  expect(all).toEqual(keys);
  expect(await page({ after: 'zz\u0000' })).toEqual([]);
  for (const first of [0, 101])
    expect(refusal(await flags.ask(flags.writer, FLAGS, { first }))).toMatchObject({
      ...{ code: 'BAD_USER_INPUT', field: 'first' },
    });
});

test('those of its change are at most 200, with their number, and the others are in pages', async () => {
  interface Saved {
    readonly saveSegment: {
      readonly revision: number;
      readonly flagCount: number;
      readonly flags: readonly (Keyed & { readonly revision: number })[];
    };
  }
  const { saveSegment: saved } = await flags.ok<Saved>(SAVE, { conditions: { regions: ['KR'] } });
  expect([saved.flagCount, saved.flags.map(({ key }) => key)]).toEqual([COUNT, keys.slice(0, 200)]);
  expect(saved.revision - (saved.flags[0]?.revision ?? 0)).toBe(COUNT - 1);
  const variables = { conditions: { regions: ['US'] }, first: 100, after: keys[199] };
  const { saveSegment: again } = await flags.ok<Saved>(SAVE, variables);
  expect([again.flagCount, again.flags.map(({ key }) => key)]).toEqual([COUNT, keys.slice(200)]);
});

test('a vehicle sees what a segment says, with digests of its VINs, and not its key', async () => {
  const vin = 'KMHK281HGNU000001';
  const conditions = { regions: ['EU'], vins: [vin] };
  await flags.ok(
    'mutation ($conditions: JSON!) { saveSegment(key: "secret_fleet", name: "Secret", conditions: $conditions) { applied } }',
    { conditions },
  );
  const { key } = await flags.create({ environment: 'PRODUCTION' });
  const news = flags.connection.subscribe({
    query: 'subscription { flagChanges(environment: PRODUCTION) { flag { rules { type conditions } } } }',
    variables: {},
    identity: identityOf({ kind: 'vehicle', vin, environment: 'production', partition: '*' }),
  });
  await news.established;
  const ruled = { type: 'PERCENTAGE_ROLLOUT', conditions: { rollout_percentage: 5, segment: 'secret_fleet' } };
  await flags.addRule(key, ruled);
  const seen: string[] = [];
  // The flag's creation may still be on its way.
  while (!(seen.at(-1) ?? '').includes('rollout_percentage')) seen.push(JSON.stringify((await news.next()).value));
  const audience = { regions: ['EU'], digests: [expect.stringMatching(/^[\w-]{11}$/)] };
  expect(JSON.parse(seen.at(-1) ?? '')).toMatchObject({
    data: { flagChanges: { flag: { rules: [{ type: 'PERCENTAGE_ROLLOUT', conditions: { audience } }] } } },
  });
  expect(seen.join()).not.toMatch(/secret_fleet|KMHK/);
  await news.return?.();
});
