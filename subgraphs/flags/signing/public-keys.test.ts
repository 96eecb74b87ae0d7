import { generateKeyPairSync } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { readPublicKeys, signingKeyId } from './public-keys.ts';
import { createSigner, generateSigningKey } from './signing.ts';

const pair = generateKeyPairSync('ed25519');
const other = generateKeyPairSync('ed25519');
const pem = (key: typeof pair) => key.publicKey.export({ type: 'spki', format: 'pem' }) as string;
const privatePem = (key: typeof pair) => key.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;

test('one key has one id in every form, and its private half is never read', async () => {
  const [expected] = (await createSigner(privatePem(pair))).publicKeys.keys;
  const jwk = pair.privateKey.export({ format: 'jwk' });
  for (const text of [
    pem(pair),
    privatePem(pair),
    JSON.stringify(jwk),
    JSON.stringify({ keys: [{ ...jwk, kid: 'a name of its own' }] }),
  ]) {
    expect(await readPublicKeys(text)).toEqual([expected]);
  }
});

test('a set and a file of PEMs may hold several keys', async () => {
  const set = { keys: [pair, other].map((key) => key.publicKey.export({ format: 'jwk' })) };
  const read = await readPublicKeys(JSON.stringify(set));
  expect(read).toHaveLength(2);
  expect(await readPublicKeys(`${pem(pair)}\n${privatePem(other)}`)).toEqual(read);
});

test.each([
  ['half of a JWK', '{"kty":"OKP","d":"Zm9vYmFy'],
  [
    'a key of another kind',
    generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ type: 'spki', format: 'pem' }) as string,
  ],
  ['no key at all', 'Zm9vYmFy'],
  ['an empty set', '{"keys":[]}'],
])('%s is refused without being repeated', async (_what, text) => {
  const refused = await readPublicKeys(text).then(
    () => null,
    (error: Error) => error,
  );
  expect(refused).toBeInstanceOf(Error);
  expect(`${refused?.message} ${String(refused?.cause)}`).not.toContain('Zm9vYmFy');
});

test('a signer serves its own key first, then each other one once', async () => {
  const others = [...(await readPublicKeys(pem(other))), ...(await readPublicKeys(pem(pair)))];
  const signer = await createSigner(privatePem(pair), others);
  expect(signer.publicKeys.keys.map(({ kid }) => kid)).toEqual([signer.kid, others[0]?.kid]);
});

test('a signature names its key, and an invalid one names none', async () => {
  const signer = await createSigner(await generateSigningKey());
  expect(signingKeyId(await signer.statement('staging', 1, 1))).toBe(signer.kid);
  expect(signingKeyId('')).toBeNull();
  expect(signingKeyId('x.y.z')).toBeNull();
});
