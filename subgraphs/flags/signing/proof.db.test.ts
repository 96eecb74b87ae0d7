import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { compactVerify, importJWK } from 'jose';
import type { Caller } from '../../../core/access/caller.ts';
import { PROOF_JWS_TYPE, readProof, type ProofPayload } from '../../../core/wire/vehicle/proof.ts';
import type { SubgraphStream } from '../../../core/wire/subgraph/subgraph.ts';
import { identityOf, refusal, user } from '../../shared/testing/asking.ts';
import { rounds } from '../../../core/testing/rounds.ts';
import { NONCE_LIMITS } from '../sync/nonce-admission.ts';
import { backUp } from '../testing/backup.ts';
import { FlagsUnderTest } from '../testing/flags-under-test.ts';
import { liveSet } from '../testing/live-set.ts';

const SYNC =
  'query ($environment: Environment!, $since: Int, $nonce: String) { flagSync(environment: $environment, since: $since, nonce: $nonce) { revision full proof flags { key } } }';
const PROOF = 'query ($environment: Environment!) { flagProof(environment: $environment) }';
const CHANGES =
  'subscription ($environment: Environment!) { flagChanges(environment: $environment) { revision proof } }';
const NONCE = 'AAECAwQFBgcICQoLDA0ODw';

type Environment = 'staging' | 'development';
interface Sync {
  readonly revision: number;
  readonly full: boolean;
  readonly proof: string;
  readonly flags: readonly { readonly key: string }[];
}

let flags: FlagsUnderTest;
beforeAll(async () => {
  flags = await FlagsUnderTest.start();
});
afterAll(() => flags.remove());

const vehicle = (environment: Environment = 'staging', n = 1): Caller => ({
  kind: 'vehicle',
  vin: `KMHK281HGNU${String(n).padStart(6, '0')}`,
  environment,
});
const asked = (environment: Environment, variables: object = {}) => ({
  environment: environment.toUpperCase(),
  ...variables,
});
const sync = async (environment: Environment, variables: object = {}) =>
  (await flags.ok<{ flagSync: Sync }>(SYNC, asked(environment, variables), vehicle(environment))).flagSync;

const archive = (key: string) => flags.ok('mutation ($key: String!) { archiveFlag(key: $key) { applied } }', { key });

/** Verifies a proof with the published key and gives its content. */
async function verified(jws: string): Promise<ProofPayload> {
  const [jwk] = flags.signer.publicKeys.keys;
  if (jwk === undefined) throw new Error('no public key');
  const { payload, protectedHeader } = await compactVerify(jws, await importJWK(jwk, 'EdDSA'), {
    algorithms: ['EdDSA'],
  });
  expect(protectedHeader).toEqual({ alg: 'EdDSA', kid: jwk.kid, typ: PROOF_JWS_TYPE });
  const said: unknown = JSON.parse(Buffer.from(payload).toString());
  const proof = readProof(said);
  expect(said).toEqual(proof);
  if (proof === null) throw new Error('not a proof');
  return proof;
}

describe('a proof', () => {
  test('describes what lives in the environment now, even when that is nothing', async () => {
    expect(await verified((await sync('development')).proof)).toEqual({
      v: 2,
      environment: 'development',
      partition: null,
      ...(await liveSet(flags.prisma, 'development')),
      issuedAt: expect.any(Number),
    });
    const { key } = await flags.create();
    await flags.create();
    await archive(key);
    const live = await liveSet(flags.prisma, 'staging');
    const before = Math.floor(Date.now() / 1_000);
    for (const jws of [
      (await sync('staging')).proof,
      (await sync('staging', { since: live.revision })).proof,
      (await flags.ok<{ flagProof: string }>(PROOF, asked('staging'), vehicle())).flagProof,
    ]) {
      const { issuedAt, ...said } = await verified(jws);
      expect(said).toEqual({ v: 2, environment: 'staging', partition: null, ...live });
      expect(issuedAt).toBeGreaterThanOrEqual(before - 1);
      expect(issuedAt).toBeLessThanOrEqual(Date.now() / 1_000);
    }
  });

  test('is for callers who may sync the environment', async () => {
    expect(refusal(await flags.ask(vehicle('development'), PROOF, asked('staging')))).toEqual({ code: 'FORBIDDEN' });
    expect(refusal(await flags.ask({ kind: 'anonymous' }, PROOF, asked('staging')))).toEqual({
      code: 'UNAUTHENTICATED',
    });
    expect((await flags.ask(user('READ'), PROOF, asked('staging'))).errors).toEqual([]);
  });

  test('for a vehicle that sends a nonce contains it, and is signed for that vehicle alone', async () => {
    const { key } = await flags.create();
    const { revision, set } = await liveSet(flags.prisma, 'staging');
    const answers = await Promise.all([
      sync('staging', { nonce: NONCE, since: revision - 1 }),
      sync('staging', { nonce: NONCE.toLowerCase() }),
      sync('staging'),
    ]);
    const proofs = await Promise.all(answers.map(({ proof }) => verified(proof)));
    expect(proofs.map(({ nonce }) => nonce)).toEqual([NONCE, NONCE.toLowerCase(), undefined]);
    for (const proof of proofs) expect(proof).toMatchObject({ revision, set });
    expect(answers[0]).toMatchObject({ full: false, flags: [{ key }] });
  });

  test.each(['', 'short', `${NONCE}A`, `${NONCE.slice(1)}=`, `${NONCE.slice(1)}\n`, 'é'.repeat(22)])(
    'for %j is refused: it is not a valid nonce',
    async (nonce) => {
      expect(refusal(await flags.ask(vehicle(), SYNC, asked('staging', { nonce })))).toEqual({
        code: 'BAD_USER_INPUT',
        field: 'nonce',
      });
    },
  );

  test('for one caller after another is refused with a time to wait, and others are not', async () => {
    const ask = (n: number) => flags.ask(vehicle('staging', n), SYNC, asked('staging', { nonce: NONCE }));
    for (let times = 0; times < NONCE_LIMITS.perCaller; times++) expect((await ask(7)).errors).toEqual([]);
    const [error] = (await ask(7)).errors;
    expect(error?.extensions).toMatchObject({ code: 'RATE_LIMITED', retryAfter: expect.any(Number) });
    expect((await ask(8)).errors).toEqual([]);
    // Syncs without a nonce still succeed.
    expect((await flags.ask(vehicle('staging', 7), SYNC, asked('staging'))).errors).toEqual([]);
  });
});

const edit = fc.record({
  kind: fc.constantFrom('toggle', 'rule', 'move', 'archive', 'restore', 'kill', 'create'),
  flag: fc.nat({ max: 3 }),
  ask: fc.boolean(),
});

test('after any change, move, archiving or restore, each sync and each event proves what lived there at its revision', async () => {
  const ENVIRONMENTS = ['staging', 'development'] as const;
  /**
   * The sets of each environment at each revision: more than one when a backup was restored. An event may come after
   * the next round has begun, so all rounds share them.
   */
  const history = new Map<string, Set<string>>();
  await fc.assert(
    fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 10, size: 'max' }), async (edits) => {
      const note = async () => {
        for (const environment of ENVIRONMENTS) {
          const { revision, set } = await liveSet(flags.prisma, environment);
          const id = `${environment}:${revision}`;
          history.set(id, (history.get(id) ?? new Set()).add(set));
        }
      };
      const check = async (jws: string) => {
        const { environment, revision, set } = await verified(jws);
        expect([...(history.get(`${environment}:${revision}`) ?? [])]).toContain(set);
        return revision;
      };
      await note();
      const streams: SubgraphStream[] = ENVIRONMENTS.map((environment) =>
        flags.connection.subscribe({
          query: CHANGES,
          variables: asked(environment),
          identity: identityOf(vehicle(environment)),
        }),
      );
      for (const { established } of streams) await established;
      const keys: string[] = [];
      const create = async () =>
        keys.push((await flags.create({ environment: keys.length % 2 === 0 ? 'STAGING' : 'DEVELOPMENT' })).key);
      for (let n = 0; n < 4; n++) {
        await create();
        await note();
      }
      let restore = await backUp(flags.prisma);
      for (const { kind, flag, ask } of edits) {
        const key = keys.at(flag - 4) as string;
        const before = await flags.prisma.flag.findUniqueOrThrow({ where: { key } });
        if (kind === 'create') await create();
        else if (kind === 'restore') await restore();
        else if (before.archivedAt === null) {
          if (kind === 'toggle')
            await flags.ok(
              `mutation ($key: String!) { ${before.enabled ? 'disableFlag' : 'enableFlag'}(key: $key) { applied } }`,
              { key },
            );
          else if (kind === 'rule')
            await flags.addRule(key, {
              type: 'VEHICLE_TARGET',
              conditions: { regions: ['EU'] },
              priority: 1_000 - Number(before.revision),
            });
          else if (kind === 'kill')
            await flags.ok('mutation ($key: String!) { killSwitch(flagKey: $key, reason: "smoke") { applied } }', {
              key,
            });
          else if (kind === 'move') await flags.move(key, before.environment === 'staging' ? 'DEVELOPMENT' : 'STAGING');
          else {
            await archive(key);
            if (ask) restore = await backUp(flags.prisma);
          }
        }
        await note();
        if (!ask) continue;
        for (const environment of ENVIRONMENTS) {
          const live = await liveSet(flags.prisma, environment);
          expect(await verified((await sync(environment)).proof)).toMatchObject(live);
          expect(
            await verified((await sync(environment, { since: Math.max(0, live.revision - 2) })).proof),
          ).toMatchObject(live);
        }
      }
      for (const [index, environment] of ENVIRONMENTS.entries()) {
        // Ends the stream: an event at a revision higher than all before.
        const { revision } = await liveSet(flags.prisma, environment);
        await flags.prisma.environment.update({ where: { name: environment }, data: { revision: revision + 1_000 } });
        // The feed may read what was announced before only now.
        await note();
        await flags.create({ environment: environment.toUpperCase() });
        await note();
        for (let at = 0; at <= revision + 1_000;) {
          const { value } = (await streams[index]?.next()) as {
            value: { data: { flagChanges: { revision: number; proof: string } } };
          };
          const event = value.data.flagChanges;
          at = event.revision;
          expect(await check(event.proof)).toBeGreaterThanOrEqual(at);
        }
        await streams[index]?.return?.();
      }
      for (const { key } of await flags.prisma.flag.findMany({ where: { archivedAt: null } })) {
        await archive(key);
        await note();
      }
    }),
    { numRuns: rounds(5, 20) },
  );
  // A changed flag is announced at most every 0.1 s, and each round waits for all of its events.
}, 180_000);
