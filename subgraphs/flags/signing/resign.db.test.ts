import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { compactVerify, importJWK, type JWK } from 'jose';
import { ENVIRONMENTS } from '../../../core/model.ts';
import { identityOf } from '../../shared/testing/asking.ts';
import { countSignatures, resignEnvironment } from './resign.ts';
import { createSigner, generateSigningKey, type Signer } from './signing.ts';
import { FlagsUnderTest } from '../testing/flags-under-test.ts';

interface Signed {
  readonly key: string;
  readonly revision: number;
  readonly removed: boolean;
  readonly jws: string;
}

let flags: FlagsUnderTest;
let next: Signer;

beforeAll(async () => {
  flags = await FlagsUnderTest.start();
  next = await createSigner(await generateSigningKey(), flags.signer.publicKeys.keys as never);
}, 120_000);

afterAll(async () => {
  await flags?.remove();
}, 60_000);

/** Gives everything that a vehicle at `since` receives. */
async function delta(since: number): Promise<{ revision: number; flags: Signed[] }> {
  const query =
    'query ($since: Int) { flagSync(environment: STAGING, since: $since) { revision flags { key revision removed jws } } }';
  return (await flags.ok<{ flagSync: { revision: number; flags: Signed[] } }>(query, { since })).flagSync;
}

/** Gives the content of `jws` when one of the keys has signed it, otherwise null. */
async function verified(jws: string, keys: readonly JWK[]): Promise<Record<string, unknown> | null> {
  for (const key of keys) {
    const payload = await compactVerify(jws, await importJWK({ ...key }, 'EdDSA')).then(
      (result) => result.payload,
      () => null,
    );
    if (payload !== null) return JSON.parse(new TextDecoder().decode(payload)) as Record<string, unknown>;
  }
  return null;
}

const resign = (environment: (typeof ENVIRONMENTS)[number]) =>
  resignEnvironment(flags.prisma, next, identityOf(flags.writer, { userAgent: 'fleetflag-admin' }), environment);

test('signing again reaches vehicles that are up to date, changes only the signature, and is in the audit log', async () => {
  const [kept, moved, archived] = [await flags.create(), await flags.create(), await flags.create()];
  await flags.addRule(kept.key, { type: 'VEHICLE_WHITELIST', conditions: { vins: ['KMHK281HGNU000001'] } });
  await flags.move(moved.key, 'PRODUCTION');
  await flags.ok('mutation ($key: String!) { archiveFlag(key: $key) { applied } }', { key: archived.key });
  const [formerKey] = flags.signer.publicKeys.keys;
  const [nextKey] = next.publicKeys.keys;
  expect(next.publicKeys.keys).toEqual([nextKey, formerKey]);

  const before = await delta(1);
  expect(before.flags).toHaveLength(3);
  for (const { jws } of before.flags) {
    // Before: the former key's signature, which is among the served keys.
    expect(await verified(jws, next.publicKeys.keys)).not.toBeNull();
    expect(await verified(jws, [nextKey!])).toBeNull();
  }
  const rowBefore = await flags.prisma.flag.findUniqueOrThrow({ where: { key: kept.key }, include: { rules: true } });

  expect(await resign('staging')).toBe(3);
  const after = await delta(before.revision);
  expect(after.revision).toBe(before.revision + 3);
  expect(after.flags.map(({ key }) => key).sort()).toEqual([kept.key, moved.key, archived.key].sort());
  const former = new Map(before.flags.map((flag) => [flag.key, flag]));
  for (const { key, jws, revision, removed } of after.flags) {
    expect(await verified(jws, [formerKey!])).toBeNull();
    const was = await verified(former.get(key)?.jws ?? '', [formerKey!]);
    const flag = removed ? {} : { flag: { ...(was?.['flag'] as object), revision } };
    expect(await verified(jws, [nextKey!])).toEqual({ ...was, ...flag, revision, removed });
  }

  const rowAfter = await flags.prisma.flag.findUniqueOrThrow({ where: { key: kept.key }, include: { rules: true } });
  expect(rowAfter).toEqual({ ...rowBefore, revision: rowAfter.revision, signedDefinition: rowAfter.signedDefinition });
  const [row] = await flags.prisma.auditLog.findMany({
    where: { flag: { key: kept.key } },
    orderBy: { chainPosition: 'desc' },
    take: 1,
  });
  expect(row).toMatchObject({
    action: 'UPDATE_FLAG',
    userId: flags.writer.userId,
    beforeValue: {
      environment: 'staging',
      removed: false,
      revision: Number(rowBefore.revision),
      signingKey: flags.signer.kid,
    },
    afterValue: { environment: 'staging', removed: false, revision: Number(rowAfter.revision), signingKey: next.kid },
  });

  // The moved flag lives in another environment, which is signed separately.
  const countOf = async (kid: string) =>
    (await countSignatures(flags.prisma))
      .filter((count) => count.kid === kid)
      .map(({ environment, count }) => [environment, count]);
  expect(await countOf(flags.signer.kid)).toEqual([['production', 1]]);
  expect(await countOf(next.kid)).toEqual([['staging', 3]]);
});

test('definitions signed by the current key stay as they are', async () => {
  for (const environment of ENVIRONMENTS) await resign(environment);
  const before = await flags.everything();
  for (const environment of ENVIRONMENTS) expect(await resign(environment)).toBe(0);
  expect(await flags.everything()).toEqual(before);
});

test('when two commands sign at once, with changes in between, each definition is signed again once', async () => {
  const created = [];
  for (let index = 0; index < 5; index += 1) created.push(await flags.create());
  const before = await flags.revision();
  const [one, other] = await Promise.all([
    resign('staging'),
    resign('staging'),
    flags.ok('mutation ($key: String!) { enableFlag(key: $key) { applied } }', { key: created[2]?.key }),
  ]);
  // The flag that was enabled meanwhile has the former key's signature again, unless signing came after it.
  const rest = await resign('staging');
  expect(one + other + rest).toBeGreaterThanOrEqual(5);
  expect(await flags.revision()).toBe(before + one + other + rest + 1);
  expect((await countSignatures(flags.prisma)).map(({ kid }) => kid)).not.toContain(flags.signer.kid);
});
