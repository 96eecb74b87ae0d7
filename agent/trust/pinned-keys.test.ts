import { createServer, type RequestListener, type Server } from 'node:http';
import { afterEach, expect, test } from '@jest/globals';
import { createSigningKey } from '../testing/signing.ts';
import { Route } from '../link/route.ts';
import { PinnedKeys, fetchPinnedKeys, keySetAddress } from './pinned-keys.ts';
import { boundAddress } from '../../core/wire/network/http-server.ts';

const DIRECT = new Route({ ca: null, proxy: null });

let server: Server | undefined;

afterEach(async () => {
  server?.closeAllConnections();
  await new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)));
  server = undefined;
});

async function serve(listener: RequestListener): Promise<string> {
  server = createServer(listener);
  await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${boundAddress(server).port}/.well-known/jwks.json`;
}

test('the keys are published beside the websocket', () => {
  expect(keySetAddress('ws://gateway:4000/graphql?a=b')).toBe('http://gateway:4000/.well-known/jwks.json');
  expect(keySetAddress('wss://gateway/graphql')).toBe('https://gateway/.well-known/jwks.json');
});

test('keys of other kinds and private parts are left out', async () => {
  const { publicJwk } = await createSigningKey();
  const keys = await PinnedKeys.parse({
    keys: [
      { kty: 'RSA', kid: 'rsa' },
      { ...publicJwk, d: 'private' },
      { ...publicJwk, kid: undefined },
    ],
  });
  expect(JSON.parse(JSON.stringify(keys))).toEqual({
    keys: [{ kty: 'OKP', crv: 'Ed25519', kid: publicJwk.kid, x: publicJwk.x }],
  });
  expect(keys.find(publicJwk.kid)).toBeDefined();
  expect(keys.find('rsa')).toBeUndefined();
  expect(keys.find(undefined)).toBeUndefined();
});

test.each([null, 5, {}, { keys: 'x' }, { keys: [null] }])('%j is refused as a key set', async (json) => {
  await expect(PinnedKeys.parse(json)).rejects.toThrow('no Ed25519 public key');
});

test('a served key set is fetched', async () => {
  const { publicJwk } = await createSigningKey();
  const address = await serve((_request, response) => response.end(JSON.stringify({ keys: [publicJwk] })));
  expect((await fetchPinnedKeys(address, 5000, DIRECT)).keys).toHaveLength(1);
});

test('an error status, a too long answer and a timeout are failures', async () => {
  const answers: Record<string, RequestListener> = {
    '/status': (_request, response) => response.writeHead(503).end(),
    '/long': (_request, response) => response.end(`{"keys":["${'x'.repeat(100_000)}"]}`),
    '/silence': () => undefined,
  };
  const base = new URL(await serve((request, response) => answers[request.url!]!(request, response)));
  await expect(fetchPinnedKeys(new URL('/status', base).href, 5000, DIRECT)).rejects.toThrow(
    'answered with status 503',
  );
  await expect(fetchPinnedKeys(new URL('/long', base).href, 5000, DIRECT)).rejects.toThrow('too large');
  await expect(fetchPinnedKeys(new URL('/silence', base).href, 20, DIRECT)).rejects.toThrow('within 20 ms');
});
