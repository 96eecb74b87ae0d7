/** The answers of the control plane while PostgreSQL is down, and after it is back. */
import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { ERROR_CATALOGUE } from '../core/errors.ts';
import { readApiSchema } from '../gateway/composition/supergraph.ts';
import { openDatabase } from '../subgraphs/shared/postgres/database.ts';
import { eventually } from '../core/testing/eventually.ts';
import type { SeverableProxy } from '../subgraphs/shared/testing/severable-proxy.ts';
import { proxyDatabase } from '../subgraphs/shared/testing/watched-database.ts';
import { EveryCaller, CALLERS_PASSWORD, SAMPLE_VIN } from './testing/every-caller.ts';
import { sampleOperation, type SampleOperation, type Samples } from './testing/sample-operation.ts';

const FLAG = 'lane_keep';
const SAMPLES: Samples = {
  key: FLAG,
  flagKey: FLAG,
  vin: SAMPLE_VIN,
  environment: 'PRODUCTION',
  conditions: { rollout_percentage: 5 },
  from: '2040-01-01T00:00:00Z',
  to: '2040-01-02T00:00:00Z',
  email: 'somebody@example.com',
  password: CALLERS_PASSWORD,
  current: CALLERS_PASSWORD,
  new: CALLERS_PASSWORD,
  defaultValue: false,
  manifest: {
    format: 'apollo-persisted-query-manifest',
    version: 1,
    operations: [{ id: 'm', name: 'M', type: 'query', body: 'query M { fleet { total } }' }],
  },
};

interface Answer {
  readonly data?: Record<string, unknown> | null;
  readonly errors?: readonly { readonly message: string; readonly extensions: { readonly code: string } }[];
}

let every: EveryCaller;
let proxy: SeverableProxy;
const rejections: unknown[] = [];
const note = (reason: unknown) => void rejections.push(reason);

beforeAll(async () => {
  process.on('unhandledRejection', note);
  every = await EveryCaller.start(async (url, lifecycle) => {
    const through = await proxyDatabase(url);
    proxy = through.proxy;
    lifecycle.onClose(() => proxy.close());
    const database = await openDatabase({ url: through.url, maxConnections: 5 });
    lifecycle.onClose(() => database.close());
    return database;
  });
  const input = {
    key: FLAG,
    name: FLAG,
    type: 'BOOLEAN',
    defaultValue: false,
    safetyLevel: 'NON_CRITICAL',
    environment: 'PRODUCTION',
  };
  expect(
    (await ask('mutation ($input: CreateFlagInput!) { createFlag(input: $input) { applied } }', { input })).errors,
  ).toBeUndefined();
});
afterAll(async () => {
  await every.close();
  process.off('unhandledRejection', note);
});
afterEach(() => {
  proxy.restore();
  rejections.length = 0;
});

async function ask(query: string, variables: object = {}): Promise<Answer> {
  const { headers } = await every.as('ADMIN');
  const response = await fetch(every.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ query, variables }),
  });
  return (await response.json()) as Answer;
}

const codesOf = ({ errors = [] }: Answer) => errors.map(({ extensions }) => extensions.code);

/** Each query and mutation of the public schema. */
function operations(bare: boolean): { name: string; operation: SampleOperation }[] {
  const schema = readApiSchema();
  return [schema.getQueryType(), schema.getMutationType()].flatMap((type) =>
    Object.values(type?.getFields() ?? {}).map((field) => ({
      name: field.name,
      operation: sampleOperation(type?.name.toLowerCase() ?? '', [field], SAMPLES, bare),
    })),
  );
}

describe('while the database is down', () => {
  test.each([
    ['with all its fields', false],
    ['with none of its fields, so that what is loaded for them is awaited by nobody', true],
  ])(
    'every operation is answered, %s, by data or a code that says so, and leaves nothing floating',
    async (_how, bare) => {
      proxy.sever();
      const answers = operations(bare).map(async ({ name, operation }) => {
        const answer = await ask(operation.query, operation.variables);
        const codes = codesOf(answer);
        const known = codes.every((code) => code !== 'INTERNAL_SERVER_ERROR' && Object.hasOwn(ERROR_CATALOGUE, code));
        return known && (answer.data != null || codes.length > 0) ? [] : { name, answer };
      });
      expect((await Promise.all(answers)).flat()).toEqual([]);
      // A rejection counts as unhandled at the end of the turn in which nobody has handled it.
      await nextTurn();
      expect(rejections).toEqual([]);
    },
  );

  test('flags are read and evaluated as they were last read, and nothing is changed', async () => {
    const rule =
      'mutation { createRule(flagKey: "lane_keep", input: { type: VEHICLE_TARGET, conditions: { regions: ["EU"] } }) { flag { revision } } }';
    expect((await ask(rule)).errors).toBeUndefined();
    const known = '{ flag(key: "lane_keep") { key enabled killed revision rules { type conditions } } }';
    const before = await ask(known);
    // The control plane remembers the flag a second after its change at the latest.
    await eventually(async () => {
      proxy.sever();
      const { data } = await ask(known);
      proxy.restore();
      const isRemembered = JSON.stringify(data) === JSON.stringify(before.data);
      // The flag is read while the database answers.
      // oxlint-disable-next-line fleetflag/no-fixed-wait -- the pace of the attempts, and no proof of anything
      if (!isRemembered) await delay(500);
      return isRemembered;
    });
    proxy.sever();
    expect(
      await ask('{ flags(filter: { environment: PRODUCTION }) { totalCount nodes { key rules { type } } } }'),
    ).toEqual({ data: { flags: { totalCount: 1, nodes: [{ key: FLAG, rules: [{ type: 'VEHICLE_TARGET' }] }] } } });
    expect(
      await ask('{ flags(filter: { environment: STAGING, enabled: false }) { totalCount nodes { key } } }'),
    ).toEqual({ data: { flags: { totalCount: 0, nodes: [] } } });
    expect(await ask('{ evaluateFlag(key: "lane_keep", context: { region: "EU" }) { value reason } }')).toEqual({
      data: { evaluateFlag: { value: false, reason: 'DISABLED' } },
    });
    expect(
      await ask('{ evaluateFlags(environment: PRODUCTION, context: { region: "EU" }) { flagKey reason } }'),
    ).toMatchObject({ data: { evaluateFlags: [{ flagKey: FLAG, reason: 'DISABLED' }] } });
    for (const query of [
      rule,
      'mutation { killSwitch(flagKey: "lane_keep", reason: "Fault") { applied } }',
      '{ flags(filter: { search: "lane" }) { totalCount } }',
      '{ flag(key: "unknown_one") { key } }',
      '{ flags(filter: { archived: true }) { totalCount } }',
    ]) {
      expect({ query, codes: codesOf(await ask(query)) }).toEqual({ query, codes: ['SERVICE_UNAVAILABLE'] });
    }
    proxy.restore();
    await eventually(async () => (await ask('{ auditLogs { nodes { action } } }')).errors === undefined);
    expect(await ask(known)).toEqual(before);
  });

  test('callers can read their own kind and role, and everything is answered again when the database is back', async () => {
    proxy.sever();
    expect(await ask('{ me { kind role } }')).toEqual({ data: { me: { kind: 'USER', role: 'ADMIN' } } });
    expect(codesOf(await ask('{ me { user { name } } }'))).toEqual(['SERVICE_UNAVAILABLE']);
    proxy.restore();
    await eventually(async () => (await ask('{ me { user { name } } }')).errors === undefined);
    for (const query of [
      '{ fleet { total } }',
      '{ auditLogs { nodes { action } } }',
      '{ experiments { nodes { id } } }',
      '{ flags { nodes { key } } }',
      '{ changeRequests { id } }',
    ]) {
      expect({ query, errors: (await ask(query)).errors }).toEqual({ query, errors: undefined });
    }
  });
});
