import { createPublicKey, type JsonWebKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { compactVerify } from 'jose';
import { canonicalJson } from '../../json/canonical-json.ts';
import { DEFINITION_JWS_TYPE, STATEMENT_JWS_TYPE } from './definition.ts';
import {
  PROOF_JWS_TYPE,
  isNonce,
  jwsDigest,
  readProof,
  setDigest,
  type ProofPayload,
  type SetMember,
} from './proof.ts';

interface ProofVectors {
  readonly digests: readonly { readonly name: string; readonly jws: string; readonly digest: string }[];
  readonly sets: readonly {
    readonly name: string;
    readonly members: readonly SetMember[];
    readonly canonical: string;
    readonly set: string;
  }[];
  readonly proofs: readonly { readonly name: string; readonly payload: unknown; readonly read: ProofPayload | null }[];
  readonly nonces: readonly { readonly nonce: unknown; readonly valid: boolean }[];
  readonly signed: {
    readonly publicKey: JsonWebKey;
    readonly entries: readonly string[];
    readonly proof: { readonly jws: string; readonly payload: ProofPayload };
    readonly proofForOne: { readonly jws: string; readonly payload: ProofPayload };
  };
}

const vectors = JSON.parse(
  readFileSync(new URL('../../golden/proof-vectors.json', import.meta.url), 'utf8'),
) as ProofVectors;

describe('golden proof vectors', () => {
  it.each(vectors.digests)('give the digest of a definition: $name', ({ jws, digest }) => {
    expect(jwsDigest(jws)).toBe(digest);
  });

  it.each(vectors.sets)('give the digest of a set: $name', ({ members, canonical, set }) => {
    expect(setDigest(members)).toBe(set);
    expect(jwsDigest(canonical)).toBe(set);
  });

  it.each(vectors.proofs)('are read as a proof or refused: $name', ({ payload, read }) => {
    expect(readProof(payload)).toEqual(read);
  });

  it.each(vectors.nonces)('decide whether this has the form of a nonce: $nonce', ({ nonce, valid }) => {
    expect(isNonce(nonce)).toBe(valid);
  });

  it.each(['proof', 'proofForOne'] as const)('verify a signed environment by its %s', async (which) => {
    const { publicKey, entries, [which]: proof } = vectors.signed;
    const key = createPublicKey({ key: publicKey, format: 'jwk' });
    const verified = async (jws: string) => {
      const { payload, protectedHeader } = await compactVerify(jws, key, { algorithms: ['EdDSA'] });
      return {
        type: protectedHeader.typ,
        payload: JSON.parse(Buffer.from(payload).toString()) as Record<string, unknown>,
      };
    };
    const { type, payload } = await verified(proof.jws);
    expect([type, readProof(payload)]).toEqual([PROOF_JWS_TYPE, proof.payload]);
    const members = await Promise.all(
      entries.map(async (jws) => {
        const { type, payload } = await verified(jws);
        expect(type).toBe(DEFINITION_JWS_TYPE);
        return { key: String(payload['key']), revision: Number(payload['revision']), digest: jwsDigest(jws) };
      }),
    );
    expect(setDigest(members)).toBe(proof.payload.set);
  });
});

describe('the set', () => {
  const key = fc.string({ unit: fc.constantFrom('a', 'b', 'Z', '_', '0', '.', '-'), minLength: 1, maxLength: 4 });
  const member = fc.record({ key, revision: fc.nat(), digest: fc.string({ unit: 'grapheme' }).map(jwsDigest) });
  const set = fc.uniqueArray(member, { selector: ({ key }) => key, maxLength: 12 });

  it('is hashed as RFC 8785 writes it', () => {
    fc.assert(
      fc.property(set, (members) => {
        const rows = members
          .map(({ key, revision, digest }) => [key, revision, digest] as const)
          .sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
        expect(setDigest(members)).toBe(jwsDigest(canonicalJson(rows)));
      }),
    );
  });

  it('has the same digest in any order, and another one with any member changed, left out or added', () => {
    fc.assert(
      fc.property(set, member, fc.nat(), (members, other, at) => {
        const digest = setDigest(members);
        expect(setDigest(members.toReversed())).toBe(digest);
        const rest = members.filter(({ key }) => key !== other.key);
        if (rest.length === members.length) expect(setDigest([...rest, other])).not.toBe(digest);
        if (members.length === 0) return;
        const index = at % members.length;
        const changed = (change: (member: SetMember) => SetMember) =>
          members.map((each, i) => (i === index ? change(each) : each));
        expect(setDigest(members.toSpliced(index, 1))).not.toBe(digest);
        expect(setDigest(changed((each) => ({ ...each, revision: each.revision + 1 })))).not.toBe(digest);
        expect(setDigest(changed((each) => ({ ...each, digest: jwsDigest(each.digest) })))).not.toBe(digest);
      }),
    );
  });
});

it('types proofs as neither definitions nor statements, so that one is never taken for the other', () => {
  expect(new Set([PROOF_JWS_TYPE, DEFINITION_JWS_TYPE, STATEMENT_JWS_TYPE]).size).toBe(3);
});

it('reads any JSON as a proof or as none, and never throws', () => {
  fc.assert(
    fc.property(fc.anything(), (payload) => {
      const proof = readProof(payload);
      if (proof !== null) expect(readProof(proof)).toEqual(proof);
    }),
  );
});
