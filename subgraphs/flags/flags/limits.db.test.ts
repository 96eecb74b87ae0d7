import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { rounds } from '../../../core/testing/rounds.ts';
import { refusal } from '../../shared/testing/asking.ts';
import { MAX_DEFINITION_BYTES, MAX_FLAGS } from './limits.ts';
import { FlagsUnderTest, type FlagJson } from '../testing/flags-under-test.ts';

const CREATE = 'mutation ($input: CreateFlagInput!) { createFlag(input: $input) { flag { key } } }';
const ENABLE = 'mutation ($key: String!) { enableFlag(key: $key) { flag { key enabled } } }';
const RULE =
  'mutation ($key: String!, $input: RuleInput!) { createRule(flagKey: $key, input: $input) { flag { key } } }';
const MOVE = 'mutation ($key: String!) { updateFlag(key: $key, input: { environment: PRODUCTION }) { flag { key } } }';

const LIMIT_OF_FLAGS = { code: 'LIMIT_EXCEEDED', limit: MAX_FLAGS };
const LIMIT_OF_BYTES = { code: 'LIMIT_EXCEEDED', limit: MAX_DEFINITION_BYTES };

let flags: FlagsUnderTest;
beforeAll(async () => {
  flags = await FlagsUnderTest.start();
});
afterAll(() => flags.remove());

const asked = async (query: string, variables: Record<string, unknown>) => {
  const { errors } = await flags.ask(flags.writer, query, variables);
  return errors[0]?.extensions ?? null;
};

/**
 * Puts `count` flags into production, every second one enabled, without the service, because only the next one is under
 * test.
 */
async function fill(count: number): Promise<void> {
  await flags.prisma.$executeRaw`
    INSERT INTO flags (key, name, type, default_value, enabled, safety_level, environment, revision, signed_definition)
    SELECT ${flags.newKey()} || '_' || n, 'Filled', 'boolean', '{"value": false}', n % 2 = 0, 'Non-Critical', 'production', 0, 'a.b.c' FROM generate_series(1, ${count}::int) n`;
}

const load = async () => {
  const [row] = await flags.prisma.$queryRaw<{ flags: bigint; bytes: bigint }[]>`
    SELECT count(*) AS flags, sum(octet_length(signed_definition))::bigint AS bytes FROM flags WHERE environment = 'production' AND archived_at IS NULL`;
  return { flags: Number(row?.flags), bytes: Number(row?.bytes) };
};

beforeEach(async () => {
  await flags.prisma.flag.updateMany({ where: { environment: 'production' }, data: { archivedAt: new Date() } });
});

const inProduction = (over: Record<string, unknown> = {}) => flags.create({ environment: 'PRODUCTION', ...over });

describe('100 flags in an environment, switched on or not', () => {
  test('are allowed, and the 101st is refused whichever way it comes, leaving nothing behind', async () => {
    const staged = [await flags.create({ enabled: true }), await flags.create()];
    await fill(MAX_FLAGS - 2);
    const { key } = await inProduction({ enabled: true });
    await inProduction();
    const before = await flags.everything();
    for (const { key } of staged) expect(await asked(MOVE, { key })).toMatchObject(LIMIT_OF_FLAGS);
    const input = {
      key: flags.newKey(),
      name: 'One more',
      type: 'BOOLEAN',
      defaultValue: false,
      safetyLevel: 'NON_CRITICAL',
      environment: 'PRODUCTION',
    };
    for (const enabled of [true, false])
      expect(await asked(CREATE, { input: { ...input, enabled } })).toMatchObject(LIMIT_OF_FLAGS);
    expect(await flags.everything()).toEqual(before);

    expect(await asked('mutation ($key: String!) { disableFlag(key: $key) { applied } }', { key })).toBeNull();
    expect(await asked(CREATE, { input })).toMatchObject(LIMIT_OF_FLAGS);
    expect(await asked('mutation ($key: String!) { archiveFlag(key: $key) { applied } }', { key })).toBeNull();
    expect(await asked(CREATE, { input })).toBeNull();
    expect((await load()).flags).toBe(MAX_FLAGS);
  });

  test('that are exceeded already do not stop changes that add none: edits, enabling, kill switches, other environments', async () => {
    const [on, off] = [await inProduction({ enabled: true }), await inProduction()];
    await fill(MAX_FLAGS);
    expect((await load()).flags).toBe(MAX_FLAGS + 2);
    expect(
      await asked(RULE, { key: on.key, input: { type: 'PERCENTAGE_ROLLOUT', conditions: { rollout_percentage: 5 } } }),
    ).toBeNull();
    expect(await asked(ENABLE, { key: off.key })).toBeNull();
    expect(
      await asked('mutation ($key: String!) { killSwitch(flagKey: $key, reason: "smoke") { applied } }', {
        key: on.key,
      }),
    ).toBeNull();
    expect(
      await asked('mutation ($key: String!) { releaseKillSwitch(flagKey: $key, reason: "no smoke") { applied } }', {
        key: on.key,
      }),
    ).toBeNull();
    expect(await asked('mutation ($key: String!) { archiveFlag(key: $key) { applied } }', { key: on.key })).toBeNull();
    await flags.create({ enabled: true });
  });

  test('hold when two requests add the 100th at once: one succeeds, one is refused', async () => {
    const pair = [await flags.create(), await flags.create()];
    await fill(MAX_FLAGS - 1);
    const answers = await Promise.all(pair.map(({ key }) => flags.ask(flags.writer, MOVE, { key })));
    expect(answers.map((answer) => refusal(answer)?.code ?? 'passed').sort()).toEqual(['LIMIT_EXCEEDED', 'passed']);
    expect((await load()).flags).toBe(MAX_FLAGS);
  });
});

describe('1.5 MB of signed definitions in an environment', () => {
  /** Gives a whitelist of `count` vehicles, starting with number `first`. */
  const whitelist = (count: number, first = 0) => ({
    vins: Array.from({ length: count }, (_, index) => `KMHK281HG${String(first + index).padStart(8, '0')}`),
  });

  /**
   * Creates four flags with the largest whitelists that fit. Each refused whitelist is tried again at half its length.
   */
  async function fillWithWhitelists(): Promise<{ full: FlagJson; refusals: number }> {
    const pool: FlagJson[] = [];
    for (let index = 0; index < 4; index++) pool.push(await inProduction());
    let refusals = 0;
    // In `npm test` one flag takes most of the room, and the service has only the rest to fill: it compiles and signs a
    // flag's earlier rules again with each further one.
    await fill(1);
    await flags.prisma.$executeRaw`
      UPDATE flags SET signed_definition = repeat('a', ${rounds(MAX_DEFINITION_BYTES - 100_000, 0)}::int) WHERE environment = 'production' AND name = 'Filled' AND archived_at IS NULL`;
    for (let count = 10_000, priority = 0; count > 0; priority++) {
      const refused = await asked(RULE, {
        key: pool[priority % 4]?.key,
        input: { type: 'VEHICLE_WHITELIST', priority, conditions: whitelist(count) },
      });
      if (refused === null) continue;
      expect(refused).toMatchObject(LIMIT_OF_BYTES);
      refusals++;
      count = Math.floor(count / 2);
    }
    return { full: pool[0] as FlagJson, refusals };
  }

  test('can be filled to the last vehicle; growth is then refused, and other changes pass', async () => {
    const staged = await flags.create();
    const { full, refusals } = await fillWithWhitelists();
    expect(refusals).toBeGreaterThan(5);
    const { bytes } = await load();
    expect(bytes).toBeLessThanOrEqual(MAX_DEFINITION_BYTES);
    expect(bytes).toBeGreaterThan(MAX_DEFINITION_BYTES - 500);
    // Filled to the last byte, so that even one more is too many.
    await flags.prisma
      .$executeRaw`UPDATE flags SET signed_definition = signed_definition || repeat(' ', ${MAX_DEFINITION_BYTES - bytes}::int)
      WHERE id = (SELECT id FROM flags WHERE environment = 'production' AND archived_at IS NULL AND key <> ${full.key} LIMIT 1)`;
    expect((await load()).bytes).toBe(MAX_DEFINITION_BYTES);

    const before = await flags.everything();
    const input = {
      key: flags.newKey(),
      name: 'One more',
      type: 'BOOLEAN',
      defaultValue: false,
      safetyLevel: 'NON_CRITICAL',
      environment: 'PRODUCTION',
    };
    expect(await asked(CREATE, { input })).toMatchObject(LIMIT_OF_BYTES);
    expect(await asked(MOVE, { key: staged.key })).toMatchObject(LIMIT_OF_BYTES);
    expect(
      await asked(RULE, {
        key: full.key,
        input: { type: 'PERCENTAGE_ROLLOUT', conditions: { rollout_percentage: 5 } },
      }),
    ).toMatchObject(LIMIT_OF_BYTES);
    expect(await flags.everything()).toEqual(before);

    await flags.prisma.environment.update({ where: { name: 'production' }, data: { revision: 999_999n } });
    expect(await asked(ENABLE, { key: full.key })).toBeNull();
    expect((await load()).bytes).toBeGreaterThan(MAX_DEFINITION_BYTES);
    expect(
      await asked('mutation ($key: String!) { disableFlag(key: $key) { applied } }', { key: full.key }),
    ).toBeNull();
    expect(
      await asked('mutation ($key: String!) { killSwitch(flagKey: $key, reason: "smoke") { applied } }', {
        key: full.key,
      }),
    ).toBeNull();
    expect(
      await asked('mutation ($key: String!) { releaseKillSwitch(flagKey: $key, reason: "no smoke") { applied } }', {
        key: full.key,
      }),
    ).toBeNull();
    expect(
      await asked('mutation ($key: String!) { updateFlag(key: $key, input: { name: "Renamed" }) { applied } }', {
        key: full.key,
      }),
    ).toBeNull();
    expect(
      await asked('mutation ($key: String!) { archiveFlag(key: $key) { applied } }', { key: full.key }),
    ).toBeNull();
    // Hundreds of changes, each as large as a vehicle can take.
  }, 180_000);
});
