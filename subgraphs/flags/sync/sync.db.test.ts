import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { compactVerify, importJWK } from 'jose';
import { DEFINITION_JWS_TYPE, STATEMENT_JWS_TYPE } from '../../../core/wire/vehicle/definition.ts';
import type { SubgraphStream } from '../../../core/wire/subgraph/subgraph.ts';
import { identityOf, refusal } from '../../shared/testing/asking.ts';
import { rounds } from '../../../core/testing/rounds.ts';
import { FlagsUnderTest } from '../testing/flags-under-test.ts';

const VINS = ['KMHK281HGNU000001', 'KMHK281HGNU000002'];
const SYNC =
  'query ($environment: Environment!, $since: Int) { flagSync(environment: $environment, since: $since) { environment revision full statement flags { key revision removed jws } } }';
const CHANGES =
  'subscription ($environment: Environment!) { flagChanges(environment: $environment) { revision previousRevision signed { key revision removed jws } } }';

interface Signed {
  readonly key: string;
  readonly revision: number;
  readonly removed: boolean;
  readonly jws: string;
}
interface Sync {
  readonly environment: string;
  readonly revision: number;
  readonly full: boolean;
  readonly statement: string;
  readonly flags: readonly Signed[];
}

let flags: FlagsUnderTest;
beforeAll(async () => {
  flags = await FlagsUnderTest.start();
});
afterAll(() => flags.remove());

const VEHICLE = (environment: 'staging' | 'development') =>
  ({ kind: 'vehicle', vin: VINS[0] as string, environment }) as const;
const sync = async (since?: number, environment: 'staging' | 'development' = 'staging') =>
  (await flags.ok<{ flagSync: Sync }>(SYNC, { environment: environment.toUpperCase(), since }, VEHICLE(environment)))
    .flagSync;

/** Verifies a signed form with the published key and gives its content. */
async function verified(jws: string): Promise<{ typ: string | undefined; payload: Record<string, unknown> }> {
  const [jwk] = flags.signer.publicKeys.keys;
  if (jwk === undefined) throw new Error('no public key');
  expect(jwk).not.toHaveProperty('d');
  const { payload, protectedHeader } = await compactVerify(jws, await importJWK(jwk, 'EdDSA'), {
    algorithms: ['EdDSA'],
  });
  expect(protectedHeader.kid).toBe(jwk.kid);
  return { typ: protectedHeader.typ, payload: JSON.parse(Buffer.from(payload).toString()) as Record<string, unknown> };
}

const archive = (key: string) => flags.ok('mutation ($key: String!) { archiveFlag(key: $key) { applied } }', { key });

describe('flagSync', () => {
  test('since 0 is everything that lives in the environment, in revision order, and no tombstones', async () => {
    const [gone, stays] = [await flags.create(), await flags.create()];
    await archive(gone.key);
    const last = await flags.create();
    for (const answer of [await sync(0), await sync()]) {
      expect(answer).toMatchObject({ environment: 'STAGING', full: true, revision: await flags.revision() });
      const keys = answer.flags.map(({ key }) => key);
      expect(keys.slice(-2)).toEqual([stays.key, last.key]);
      expect(keys).not.toContain(gone.key);
      expect(answer.flags.every(({ removed }) => !removed)).toBe(true);
      expect(answer.flags.map(({ revision }) => revision)).toEqual(
        answer.flags.map(({ revision }) => revision).sort((a, b) => a - b),
      );
    }
  });

  test('since N is each flag that changed after it, once, and tombstones of those that left', async () => {
    const [a, b, c] = [await flags.create(), await flags.create(), await flags.create()];
    const since = await flags.revision();
    await flags.ok('mutation ($key: String!) { enableFlag(key: $key) { applied } }', { key: b.key });
    await archive(a.key);
    await flags.ok('mutation ($key: String!) { disableFlag(key: $key) { applied } }', { key: b.key });
    await flags.move(c.key, 'PRODUCTION');
    const answer = await sync(since);
    expect(answer).toMatchObject({ full: false, revision: since + 4 });
    expect(answer.flags.map(({ key, revision, removed }) => [key, revision, removed])).toEqual([
      [a.key, since + 2, true],
      [b.key, since + 3, false],
      [c.key, since + 4, true],
    ]);
  });

  test('at the current revision is empty and not full', async () => {
    const revision = await flags.revision();
    expect(await sync(revision)).toMatchObject({ full: false, flags: [], revision });
  });

  test('above the current revision is everything, with the lower revision', async () => {
    const revision = await flags.revision();
    const answer = await sync(revision + 1_000);
    expect(answer).toMatchObject({ full: true, revision });
    expect(answer.flags).toEqual((await sync(0)).flags);
  });

  test('below 0 is refused', async () => {
    expect(refusal(await flags.ask(flags.writer, SYNC, { environment: 'STAGING', since: -1 }))).toEqual({
      code: 'BAD_USER_INPUT',
      field: 'since',
    });
  });

  test('is for vehicles of the environment only', async () => {
    expect(refusal(await flags.ask(VEHICLE('development'), SYNC, { environment: 'STAGING' }))).toEqual({
      code: 'FORBIDDEN',
    });
  });
});

describe('signed forms for vehicles', () => {
  test('verify with the published key and contain digests in place of VINs', async () => {
    const { key } = await flags.create({ enabled: true, name: 'Secret project', description: 'Not for vehicles' });
    const flag = await flags.addRule(key, { type: 'VEHICLE_WHITELIST', conditions: { vins: VINS } });
    const answer = await sync(flag.revision - 1);
    const [signed] = answer.flags;
    const { typ, payload } = await verified(signed?.jws ?? '');
    const ruleId = flag.rules[0]?.id ?? '';
    const digests = VINS.map((vin) =>
      createHash('sha256').update(`${ruleId}:${vin}`).digest().subarray(0, 8).toString('base64url'),
    ).sort();
    expect(typ).toBe(DEFINITION_JWS_TYPE);
    expect(payload).toEqual({
      v: 1,
      environment: 'staging',
      key,
      revision: flag.revision,
      removed: false,
      flag: {
        key,
        environment: 'staging',
        type: 'boolean',
        safetyLevel: 'Non-Critical',
        enabled: true,
        defaultValue: false,
        revision: flag.revision,
        rules: [
          {
            id: ruleId,
            type: 'vehicle_whitelist',
            priority: 100,
            enabled: true,
            conditions: { digests },
            value: null,
            variant: null,
          },
        ],
      },
    });
    const text = JSON.stringify(answer) + JSON.stringify(payload);
    for (const secret of [...VINS, 'Secret project', 'Not for vehicles']) expect(text).not.toContain(secret);
  });

  test('have a type for each kind, so that none passes for another', async () => {
    const { key } = await flags.create();
    await archive(key);
    const answer = await sync((await flags.revision()) - 1);
    const tombstone = await verified(answer.flags[0]?.jws ?? '');
    expect(tombstone).toEqual({
      typ: DEFINITION_JWS_TYPE,
      payload: { v: 1, environment: 'staging', key, revision: answer.revision, removed: true },
    });
    const before = Math.floor(Date.now() / 1000) - 60;
    const { typ, payload } = await verified(answer.statement);
    expect(typ).toBe(STATEMENT_JWS_TYPE);
    expect(payload).toEqual({ v: 1, environment: 'staging', revision: answer.revision, issuedAt: expect.any(Number) });
    expect(payload['issuedAt']).toBeGreaterThan(before);
    expect(payload['issuedAt']).toBeLessThanOrEqual(Date.now() / 1000);
  });

  test('do not verify when a byte has changed', async () => {
    const { key } = await flags.create();
    const jws = (await sync(0)).flags.find((signed) => signed.key === key)?.jws ?? '';
    const [head, payload = '', signature] = jws.split('.');
    const changed = Buffer.from(
      Buffer.from(payload, 'base64url').toString().replace('"enabled":false', '"enabled":true'),
    ).toString('base64url');
    expect(changed).not.toBe(payload);
    await expect(verified([head, changed, signature].join('.'))).rejects.toThrow();
  });
});

/** The signed forms that a vehicle has, by key. */
type State = ReadonlyMap<string, string>;

function applied(state: State, signed: readonly Signed[]): State {
  const next = new Map(state);
  for (const { key, removed, jws } of signed) {
    if (removed) next.delete(key);
    else next.set(key, jws);
  }
  return next;
}

const stateOf = ({ flags: signed }: Sync): State => applied(new Map(), signed);
const sorted = (state: State) => [...state].sort();

const edit = fc.record({
  kind: fc.constantFrom('toggle', 'toggle', 'rule', 'unrule', 'move', 'archive', 'kill'),
  flag: fc.nat({ max: 3 }),
  /** Whether a vehicle stores its state here, to catch up from it later. */
  remember: fc.boolean(),
});

async function apply(kind: string, key: string): Promise<void> {
  const { flag } = await flags.ok<{
    flag: { enabled: boolean; environment: string; archivedAt: string | null; rules: { id: string }[] };
  }>('query ($key: String!) { flag(key: $key) { enabled environment archivedAt rules { id } } }', { key });
  if (flag.archivedAt !== null) return;
  const [rule] = flag.rules;
  if (kind === 'toggle')
    await flags.ok(
      `mutation ($key: String!) { ${flag.enabled ? 'disableFlag' : 'enableFlag'}(key: $key) { applied } }`,
      { key },
    );
  else if (kind === 'rule' && rule === undefined)
    await flags.addRule(key, { type: 'PERCENTAGE_ROLLOUT', conditions: { rollout_percentage: 50 } });
  else if (kind === 'unrule' && rule !== undefined)
    await flags.ok('mutation ($id: ID!) { deleteRule(id: $id) { applied } }', { id: rule.id });
  else if (kind === 'move') await flags.move(key, flag.environment === 'STAGING' ? 'DEVELOPMENT' : 'STAGING');
  else if (kind === 'kill')
    await flags.ok('mutation ($key: String!) { killSwitch(flagKey: $key, reason: "smoke") { applied } }', { key });
  else if (kind === 'archive') await archive(key);
}

/** Reads the stream's events up to `revision`, each of which must follow the one before. */
async function drain(stream: SubgraphStream, since: number, revision: number): Promise<Signed[]> {
  const signed: Signed[] = [];
  for (let at = since; at < revision;) {
    const result = (await stream.next()) as IteratorResult<{
      data: { flagChanges: { revision: number; previousRevision: number; signed: Signed } };
    }>;
    if (result.done === true) throw new Error('the stream has ended');
    const event = result.value.data.flagChanges;
    if (event.revision <= since) continue;
    if (at > since) expect(event.previousRevision).toBe(at);
    else expect(event.previousRevision).toBeLessThanOrEqual(since);
    expect(event.revision).toBeGreaterThan(at);
    at = event.revision;
    signed.push(event.signed);
  }
  return signed;
}

test('after any edits, from any revision, the delta and the stream lead to the same state as a full sync', async () => {
  const ENVIRONMENTS = ['staging', 'development'] as const;
  await fc.assert(
    fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 12 }), async (edits) => {
      const keys = await Promise.all(
        Array.from(
          { length: 4 },
          async (_, index) => (await flags.create({ environment: index % 2 === 0 ? 'STAGING' : 'DEVELOPMENT' })).key,
        ),
      );
      const streams = await Promise.all(
        ENVIRONMENTS.map(async (environment) => {
          const stream = flags.connection.subscribe({
            query: CHANGES,
            variables: { environment: environment.toUpperCase() },
            identity: identityOf(VEHICLE(environment)),
          });
          await stream.established;
          const start = await sync(0, environment);
          return { environment, stream, start };
        }),
      );
      const remembered: { environment: (typeof ENVIRONMENTS)[number]; revision: number; state: State }[] = [];
      for (const { kind, flag, remember } of edits) {
        await apply(kind, keys[flag] as string);
        if (!remember) continue;
        for (const environment of ENVIRONMENTS) {
          const full = await sync(0, environment);
          remembered.push({ environment, revision: full.revision, state: stateOf(full) });
        }
      }
      const starts = streams.map(({ environment, start }) => ({
        environment,
        revision: start.revision,
        state: stateOf(start),
      }));
      for (const { environment, revision, state } of [...remembered, ...starts]) {
        const [full, delta] = [await sync(0, environment), await sync(revision, environment)];
        // Revision 0 is answered with everything, which replaces what the vehicle has.
        expect(sorted(applied(delta.full ? new Map() : state, delta.flags))).toEqual(sorted(stateOf(full)));
      }
      for (const { environment, stream, start } of streams) {
        const full = await sync(0, environment);
        const events = await drain(stream, start.revision, full.revision);
        expect(sorted(applied(stateOf(start), events))).toEqual(sorted(stateOf(full)));
        await stream.return?.();
      }
      for (const key of keys) await apply('archive', key);
    }),
    { numRuns: rounds(6, 30) },
  );
}, 180_000);
