import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { createSigner, generateSigningKey } from './signing.ts';

const SECRET_PART = 'Zm9vYmFy';

describe('the signing key', () => {
  test('is taken as PEM or as JWK, with one key id for both', async () => {
    const { privateKey } = generateKeyPairSync('ed25519');
    const pem = await createSigner(privateKey.export({ type: 'pkcs8', format: 'pem' }) as string);
    const jwk = await createSigner(`  ${JSON.stringify(privateKey.export({ format: 'jwk' }))}\n`);
    expect(jwk.publicKeys).toEqual(pem.publicKeys);
    expect(pem.publicKeys.keys).toEqual([
      { kty: 'OKP', crv: 'Ed25519', x: expect.any(String), kid: expect.any(String), alg: 'EdDSA', use: 'sig' },
    ]);
  });

  test('is new each time that one is generated', async () => {
    const [one, other] = await Promise.all([
      createSigner(await generateSigningKey()),
      createSigner(await generateSigningKey()),
    ]);
    expect(one.publicKeys.keys[0]?.kid).not.toBe(other.publicKeys.keys[0]?.kid);
  });

  test.each<[string, () => string]>([
    ['half of a JWK', () => `{"kty":"OKP","d":"${SECRET_PART}`],
    ['a JWK with a slip of the pen', () => `{"d":"${SECRET_PART}"x}`],
    [
      'a JWK without a private part',
      () => JSON.stringify(generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' })),
    ],
    [
      'a key of another kind',
      () =>
        generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
          type: 'pkcs8',
          format: 'pem',
        }) as string,
    ],
    ['no key at all', () => SECRET_PART],
  ])('is refused when it is %s, and neither the message nor its cause contains any of it', async (_what, key) => {
    const refused = await createSigner(key()).then(
      () => null,
      (error: Error) => error,
    );
    expect(refused?.message).toContain('FLEETFLAG_SIGNING_KEY');
    expect(`${refused?.message} ${String(refused?.cause)}`).not.toContain(SECRET_PART);
  });
});
