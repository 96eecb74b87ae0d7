import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { readAnswerInputs } from '../../../../core/wire/subgraph/answer-inputs.ts';
import { refusal, user } from '../../../shared/testing/asking.ts';
import { FlagsUnderTest } from '../../testing/flags-under-test.ts';

const VIN = 'KMHK281HGNU000001';
const SEARCH =
  'query ($filter: FlagFilter, $first: Int, $after: String) { flags(filter: $filter, first: $first, after: $after) { totalCount nodes { key } pageInfo { hasNextPage hasPreviousPage endCursor } } }';
const EVALUATE =
  'query ($key: String!, $context: EvaluationContext!) { evaluateFlag(key: $key, context: $context) { flagKey value variant reason ruleId revision } }';

interface Page {
  readonly totalCount: number;
  readonly nodes: readonly { key: string }[];
  readonly pageInfo: {
    readonly hasNextPage: boolean;
    readonly hasPreviousPage: boolean;
    readonly endCursor: string | null;
  };
}
interface Evaluated {
  readonly value: unknown;
  readonly variant: string;
  readonly reason: string;
}

let flags: FlagsUnderTest;
beforeAll(async () => {
  flags = await FlagsUnderTest.start();
});
afterAll(() => flags.remove());

const READER = user('READ');
const search = async (filter: object | null = null, page: { first?: number; after?: string | null } = {}) =>
  (await flags.ok<{ flags: Page }>(SEARCH, { filter, ...page }, READER)).flags;
const keys = (page: Page) => page.nodes.map(({ key }) => key);
const evaluate = async (key: string, context: object) =>
  (await flags.ok<{ evaluateFlag: Evaluated }>(EVALUATE, { key, context }, READER)).evaluateFlag;

describe('the list of flags', () => {
  test('finds words of name and description, as a search engine would', async () => {
    const lane = await flags.create({ name: 'Lane keeping assistant', description: 'Steers within the markings' });
    const park = await flags.create({ name: 'Parking assistant', description: null });
    const find = async (text: string) => keys(await search({ search: text })).sort();
    expect(await find('assistant')).toEqual([lane.key, park.key].sort());
    expect(await find('lanes')).toEqual([lane.key]);
    expect(await find('steering')).toEqual([lane.key]);
    expect(await find('assistant -parking')).toEqual([lane.key]);
    expect(await find('"keeping assistant"')).toEqual([lane.key]);
    expect(await find('nothing of the kind')).toEqual([]);
  });

  test('finds parts of words and of keys in any language, when every term matches', async () => {
    const { key } = await flags.create({
      key: 'adas_steer_v2.5-beta',
      name: '차선을 따라 조향합니다',
      description: 'What the (quiet) Motor\ndoes at 100%_full',
    });
    const find = async (text: string) => keys(await search({ search: text }));
    for (const text of [
      key,
      'ADAS_STEER',
      'das_ste',
      'v2',
      'v2.5',
      'beta',
      '조향',
      '조',
      '향합니',
      'what',
      'qui',
      'does',
      '100%',
      'moto full 차선',
      'at',
      '(quiet',
      'what the',
    ])
      expect([text, await find(text)]).toEqual([text, [key]]);
    // Every term must match, there are no wildcards, a short term matches only where a word begins, and operators
    // search whole words.
    for (const text of ['조향 kona', 'v_5', 'a%s', 'ee', '향', '향조', '조조', '"qui"', 'moto -beta', 'moto or qui'])
      expect([text, await find(text)]).toEqual([text, []]);
  });

  test('finds any two adjacent characters of a Korean, Chinese or Japanese word, and no others', async () => {
    const names = ['자동조향 2단계', '하하호호 차선', '车道保持辅助', 'レーンキープ車線', 'ADAS자동차v2'];
    const made = new Map(
      await Promise.all(
        names.map(async (name) => [(await flags.create({ name, description: null })).key, name] as const),
      ),
    );
    const pairs = new Set(
      names
        .flatMap((name) => name.split(' '))
        .flatMap((word) => Array.from(word, (character, at) => character + (word[at + 1] ?? '')))
        .filter((pair) => /^[^\x00-\x7f]{2}$/.test(pair)),
    );
    expect(pairs).toContain('조향');
    for (const pair of [...pairs, '호하', '향자', '동동', '保車'])
      expect([pair, keys(await search({ search: pair })).map((key) => made.get(key))]).toEqual([
        pair,
        names.filter((name) => name.includes(pair)).reverse(),
      ]);
  });

  test.each(["'; DROP TABLE flags; --", '"', '&|!():*', '\\', '%', '🚗'])(
    'reads %j as words and not as operators',
    async (text) => {
      await expect(search({ search: text })).resolves.toMatchObject({ nodes: [] });
    },
  );

  test('accepts any number of hyphens, and refuses more than 200 characters', async () => {
    for (const text of ['-'.repeat(33), '- '.repeat(100), `${'-'.repeat(33)}x`, '!'.repeat(200), 'or '.repeat(66)])
      await expect(search({ search: text })).resolves.toMatchObject({ nodes: [] });
    expect(refusal(await flags.ask(READER, SEARCH, { filter: { search: 'word '.repeat(30_000) } }))).toEqual({
      code: 'BAD_USER_INPUT',
      field: 'filter.search',
    });
  });

  test('refuses a search that the database cannot process, and finds no flag by such a key', async () => {
    expect(refusal(await flags.ask(READER, SEARCH, { filter: { search: 'a\0b' } }))).toEqual({
      code: 'BAD_USER_INPUT',
      field: 'filter.search',
    });
    expect(await flags.ask(READER, 'query ($key: String!) { flag(key: $key) { key } }', { key: 'a\0b' })).toEqual({
      data: { flag: null },
      errors: [],
    });
  });

  test('filters by environment, state and safety level, all at once', async () => {
    const wanted = await flags.create({ environment: 'PRODUCTION', enabled: true, safetyLevel: 'ASIL_B' });
    await flags.create({ environment: 'PRODUCTION', enabled: false, safetyLevel: 'ASIL_B' });
    await flags.create({ environment: 'PRODUCTION', enabled: true, safetyLevel: 'SAFETY_RELEVANT' });
    await flags.create({ environment: 'STAGING', enabled: true, safetyLevel: 'ASIL_B' });
    expect(await search({ environment: 'PRODUCTION', enabled: true, safetyLevel: 'ASIL_B' })).toMatchObject({
      totalCount: 1,
      nodes: [{ key: wanted.key }],
    });
  });

  test('leaves archived flags out unless they are requested', async () => {
    const { key } = await flags.create({ name: 'Retired wonder' });
    await flags.ok('mutation ($key: String!) { archiveFlag(key: $key) { applied } }', { key });
    expect(keys(await search({ search: 'wonder' }))).toEqual([]);
    expect(keys(await search({ search: 'wonder', archived: true }))).toEqual([key]);
  });

  test('pages newest first, and new flags neither repeat nor hide any', async () => {
    const created: string[] = [];
    for (let index = 0; index < 7; index++) created.unshift((await flags.create({ name: 'Paged' })).key);
    const filter = { search: 'paged' };
    const first = await search(filter, { first: 3 });
    expect(first).toMatchObject({ totalCount: 7, pageInfo: { hasNextPage: true, hasPreviousPage: false } });
    await flags.create({ name: 'Paged' });
    const second = await search(filter, { first: 3, after: first.pageInfo.endCursor });
    expect(second).toMatchObject({ totalCount: 8, pageInfo: { hasNextPage: true, hasPreviousPage: true } });
    // The flag that the cursor names may even stop matching the filter.
    await flags.ok('mutation ($key: String!) { archiveFlag(key: $key) { applied } }', { key: keys(second).at(-1) });
    const third = await search(filter, { first: 3, after: second.pageInfo.endCursor });
    expect(third.pageInfo.hasNextPage).toBe(false);
    expect([first, second, third].flatMap(keys)).toEqual(created);
  });

  test('pages flags with the same creation time without repeating or losing any', async () => {
    const created = await Promise.all(Array.from({ length: 5 }, () => flags.create({ name: 'Simultaneous' })));
    await flags.prisma.flag.updateMany({ where: { name: 'Simultaneous' }, data: { createdAt: new Date(0) } });
    const seen: string[] = [];
    let after: string | null = null;
    do {
      const page: Page = await search({ search: 'simultaneous' }, { first: 2, after });
      seen.push(...keys(page));
      after = page.pageInfo.hasNextPage ? page.pageInfo.endCursor : null;
    } while (after !== null);
    expect(seen).toHaveLength(5);
    expect(seen.sort()).toEqual(created.map(({ key }) => key).sort());
  });

  test.each<[object, string]>([
    [{ first: 0 }, 'first'],
    [{ first: 101 }, 'first'],
    [{ after: 'not-a-cursor' }, 'after'],
  ])('refuses the page %j', async (page, field) => {
    expect(refusal(await flags.ask(READER, SEARCH, { ...page }))).toEqual({ code: 'BAD_USER_INPUT', field });
  });
});

describe('the states by which a gateway knows whether a stored answer is still current', () => {
  const ASK = 'query ($vins: [ID!]! = [], $keys: [String!]! = []) { answerInputs(vins: $vins, keys: $keys) }';
  const states = async (variables: Record<string, unknown> = {}) => {
    const { data } = await flags.ask({ kind: 'gateway' }, ASK, variables);
    const inputs = readAnswerInputs(data['answerInputs']);
    if (inputs === null) throw new Error('no inputs');
    return inputs;
  };

  test('are given only to gateways, and change with every change in their environment', async () => {
    const before = await states();
    expect([...before.environments.keys()].sort()).toEqual(['development', 'production', 'staging']);
    expect(Math.abs(before.second - Date.now() / 1_000)).toBeLessThan(60);
    const { revision } = await flags.create({ environment: 'STAGING' });
    const after = await states();
    expect(after.environments.get('staging')).toMatch(new RegExp(`^${revision}@\\d+(\\.\\d+)?$`));
    expect(before.environments.get('staging')).not.toBe(after.environments.get('staging'));
    expect(before.environments.get('production')).toBe(after.environments.get('production'));
    expect(refusal(await flags.ask(READER, ASK))).toEqual({ code: 'FORBIDDEN' });
  });

  test('are the registered facts of vehicles, and which flags and drafts have a key', async () => {
    const { prisma } = flags.database.database;
    const vin = 'KMHK281HGNU000777';
    const asked = { vins: [vin, 'KMHK281HGNU000778', 'no VIN'], keys: ['stated', 'drafted', '\u0000'] };
    const none = await states(asked);
    expect([none.vehicles.size, none.flags.size]).toEqual([0, 0]);
    await prisma.vehicle.create({ data: { vin, model: 'EV9', swVersion: '2.5.0', region: 'EU', status: 'offline' } });
    const { id } = await flags.create({ key: 'stated' });
    await flags.ask(
      flags.writer,
      'mutation { createFlag(input: { key: "drafted", name: "D", type: BOOLEAN, defaultValue: false, safetyLevel: ASIL_D, environment: STAGING }) { applied } }',
    );
    const some = await states(asked);
    expect(some.vehicles).toEqual(new Map([[vin, '["EV9", "2.5.0", "EU"]']]));
    expect(some.flags.get('stated')).toBe(id);
    expect(some.flags.get('drafted')).toMatch(/^[0-9a-f-]{36} draft$/);
    await prisma.vehicle.update({ where: { vin }, data: { swVersion: '2.6.0' } });
    expect((await states(asked)).vehicles.get(vin)).toContain('2.6.0');
  });

  test('are of no more than a thousand names', async () => {
    const vins = Array.from({ length: 1_001 }, () => 'KMHK281HGNU000777');
    expect(refusal(await flags.ask({ kind: 'gateway' }, ASK, { vins }))).toEqual({
      code: 'BAD_USER_INPUT',
      field: 'vins',
    });
  });
});

describe('evaluating a flag', () => {
  const target = async (conditions: object) => {
    const { key } = await flags.create({ enabled: true });
    await flags.addRule(key, { type: 'VEHICLE_TARGET', conditions });
    return key;
  };

  test("completes the context with the vehicle's registered facts", async () => {
    await flags.prisma.vehicle.create({
      data: { vin: VIN, model: 'Ioniq 6', swVersion: '2.5.1', region: 'EU', status: 'offline' },
    });
    const key = await target({ models: ['Ioniq 6'], sw_version: '>=2.5.0', regions: ['EU'] });
    expect(await evaluate(key, { vin: VIN })).toMatchObject({ flagKey: key, value: true, reason: 'TARGETING_MATCH' });
    expect(await evaluate(key, { vin: VIN, swVersion: '2.4.0' })).toMatchObject({ value: false, reason: 'DEFAULT' });
    expect(await evaluate(key, { vin: VIN, model: 'Kona' })).toMatchObject({ value: false, reason: 'DEFAULT' });
    expect(await evaluate(key, { vin: 'KMHK281HGNU999999' })).toMatchObject({ value: false, reason: 'DEFAULT' });
    expect(await evaluate(key, { vin: '', model: ' Ioniq 6', swVersion: '2.5', region: 'EU\n' })).toMatchObject({
      value: true,
      reason: 'TARGETING_MATCH',
    });
  });

  test('refuses a context whose VIN is invalid', async () => {
    const key = await target({ regions: ['EU'] });
    const all =
      'query ($context: EvaluationContext!) { evaluateFlags(environment: STAGING, context: $context) { value } }';
    for (const vin of [VIN.toLowerCase(), 'kmhk', `${VIN} `, 'a\0b', 'KMHK281HGNU00000O', '\ud83d']) {
      expect(refusal(await flags.ask(READER, EVALUATE, { key, context: { vin } }))).toEqual({
        code: 'BAD_USER_INPUT',
        field: 'context.vin',
      });
      expect(refusal(await flags.ask(READER, all, { context: { vin } }))).toEqual({
        code: 'BAD_USER_INPUT',
        field: 'context.vin',
      });
    }
  });

  test("uses the flag's current state, even when the flag had the same revision before", async () => {
    const evaluated = async (key: string) => (await evaluate(key, {})).value;
    const at = (name: string, revision: bigint) =>
      flags.prisma.environment.update({ where: { name }, data: { revision } });
    await at('development', 1_000n);
    const { key, revision } = await flags.create({ environment: 'DEVELOPMENT', type: 'STRING', defaultValue: 'old' });
    expect(revision).toBe(1_001);
    expect(await evaluated(key)).toBe('old');
    await at('production', 999n);
    await flags.move(key, 'PRODUCTION');
    const { updateFlag } = await flags.ok<{ updateFlag: { flag: { revision: number } } }>(
      'mutation ($key: String!) { updateFlag(key: $key, input: { defaultValue: "new" }) { flag { revision } } }',
      { key },
    );
    expect(updateFlag.flag.revision).toBe(1_001);
    expect(await evaluated(key)).toBe('new');
  });

  test('finds no archived flag and no unknown one', async () => {
    const { key } = await flags.create();
    await flags.ok('mutation ($key: String!) { archiveFlag(key: $key) { applied } }', { key });
    for (const unknown of [key, 'never'])
      expect(refusal(await flags.ask(READER, EVALUATE, { key: unknown, context: {} }))).toEqual({
        code: 'NOT_FOUND',
        field: 'key',
      });
  });

  test('accepts only an object as attributes', async () => {
    const { key } = await flags.create();
    expect(refusal(await flags.ask(READER, EVALUATE, { key, context: { attributes: [1] } }))).toEqual({
      code: 'BAD_USER_INPUT',
      field: 'context.attributes',
    });
  });

  test('gives a vehicle all flags of its environment, by key', async () => {
    const query =
      'query ($refs: [_Any!]!) { _entities(representations: $refs) { ... on Vehicle { evaluations(environment: STAGING) { flagKey reason } } } }';
    const { _entities } = await flags.ok<{ _entities: { evaluations: { flagKey: string }[] }[] }>(
      query,
      { refs: [{ __typename: 'Vehicle', vin: VIN, model: 'Ioniq 6', swVersion: '2.5.1', region: 'EU' }] },
      READER,
    );
    const listed = _entities[0]?.evaluations.map(({ flagKey }) => flagKey) ?? [];
    const live = await flags.prisma.flag.findMany({ where: { environment: 'staging', archivedAt: null } });
    expect(listed).toEqual(live.map(({ key }) => key).sort());
    expect(listed.length).toBeGreaterThan(0);
  });

  test('have the partition of their model in an environment, which may be that of all others', async () => {
    await flags.create({ scope: ['Partitioned'] });
    const vins = { named: 'KMHK281HGNU000901', other: 'KMHK281HGNU000902', unknown: 'KMHK281HGNU000903' };
    await flags.prisma.vehicle.createMany({
      data: [
        { vin: vins.named, model: 'Partitioned', swVersion: '1', region: 'EU', status: 'offline' },
        { vin: vins.other, model: 'Another', swVersion: '1', region: 'EU', status: 'offline' },
      ],
    });
    const query =
      'query ($refs: [_Any!]!) { _entities(representations: $refs) { ... on Vehicle { own: partition staging: partition(environment: STAGING) development: partition(environment: DEVELOPMENT) } } }';
    const refs = [
      { __typename: 'Vehicle', vin: vins.named, environment: 'STAGING' },
      { __typename: 'Vehicle', vin: vins.other, environment: 'STAGING' },
      { __typename: 'Vehicle', vin: vins.named, environment: null },
      { __typename: 'Vehicle', vin: vins.unknown, environment: 'STAGING' },
    ];
    expect((await flags.ok<{ _entities: unknown }>(query, { refs }))._entities).toEqual([
      { own: 'Partitioned', staging: 'Partitioned', development: '*' },
      { own: '*', staging: '*', development: '*' },
      { own: null, staging: 'Partitioned', development: '*' },
      // Which model it will have is not known, and here that makes a difference.
      { own: null, staging: null, development: expect.anything() },
    ]);
  });
});
