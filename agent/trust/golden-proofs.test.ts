import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import type { ProofPayload } from '../../core/wire/vehicle/proof.ts';
import { isSetOf, withChanges } from '../sync/apply.ts';
import { PinnedKeys } from './pinned-keys.ts';
import { verifyFlag, verifyProof, verifyStatement } from './verification.ts';

interface Signed {
  readonly publicKey: object;
  readonly entries: readonly string[];
  readonly proof: { readonly jws: string; readonly payload: ProofPayload };
  readonly proofForOne: { readonly jws: string; readonly payload: ProofPayload };
}

const { signed } = JSON.parse(
  readFileSync(new URL('../../core/golden/proof-vectors.json', import.meta.url), 'utf8'),
) as { signed: Signed };
const payloadOf = (jws: string) =>
  JSON.parse(Buffer.from(jws.split('.')[1]!, 'base64url').toString()) as { key: string; revision: number };
const keyIdOf = (jws: string) =>
  (JSON.parse(Buffer.from(jws.split('.')[0]!, 'base64url').toString()) as { kid: string }).kid;

test('the golden environment verifies in a vehicle, and is the set that its proof names, whole and in no other way', async () => {
  const keys = await PinnedKeys.parse({ keys: [{ ...signed.publicKey, kid: keyIdOf(signed.proof.jws) }] });
  const { environment, revision, issuedAt, set } = signed.proof.payload;
  const proof = await verifyProof(signed.proof.jws, environment, keys);
  expect(proof).toMatchObject({ revision, issuedAt, set, nonce: null });
  expect(await verifyProof(signed.proofForOne.jws, environment, keys)).toMatchObject({
    nonce: signed.proofForOne.payload.nonce,
  });
  const flags = await Promise.all(
    signed.entries.map((jws) => verifyFlag({ ...payloadOf(jws), removed: false, jws }, environment, keys)),
  );
  expect(isSetOf(proof, withChanges(new Map(), flags, revision))).toBe(true);
  expect(isSetOf(proof, withChanges(new Map(), flags.slice(1), revision))).toBe(false);
  await expect(verifyStatement(signed.proof.jws, environment, keys)).rejects.toMatchObject({ reason: 'wrong-type' });
});
