/**
 * The public keys that a vehicle trusts. They are configured as a file, or learnt at the first contact and stored.
 */
import type { webcrypto } from 'node:crypto';
import { get as httpGet } from 'node:http';
import { get as httpsGet } from 'node:https';
import { importJWK } from 'jose';
import type { Route } from '../link/route.ts';
import { membersOf } from '../../core/json/json-value.ts';

const MAX_KEY_SET_BYTES = 65_536;

/** An Ed25519 public key in JWK form (RFC 8037). */
export interface PinnedKey {
  readonly kty: 'OKP';
  readonly crv: 'Ed25519';
  readonly kid: string;
  readonly x: string;
}

/** A set of trusted keys. */
export class PinnedKeys {
  readonly #imported = new Map<string, webcrypto.CryptoKey>();

  private constructor(readonly keys: readonly PinnedKey[]) {}

  /**
   * Reads a JWK set (RFC 7517). Members that are not Ed25519 signature keys are skipped, because a set may have other
   * uses, too. Rejects with an Error where no key is left.
   */
  static async parse(json: unknown): Promise<PinnedKeys> {
    const members = membersOf(json).keys;
    const keys = Array.isArray(members)
      ? members.filter(isEd25519Key).map(({ kid, x }) => ({ kty: 'OKP', crv: 'Ed25519', kid, x }) as const)
      : [];
    if (keys.length === 0) throw new Error('holds no Ed25519 public key with a "kid"');
    const pinned = new PinnedKeys(keys);
    for (const key of keys) {
      const imported = await importJWK({ ...key }, 'EdDSA');
      // Only symmetric keys are imported as bytes, which the type does not say.
      if (!(imported instanceof Uint8Array)) pinned.#imported.set(key.kid, imported);
    }
    return pinned;
  }

  /** Gives the key with this id; undefined where it is not pinned. */
  find(kid: string | undefined): webcrypto.CryptoKey | undefined {
    return kid === undefined ? undefined : this.#imported.get(kid);
  }

  toJSON(): { keys: readonly PinnedKey[] } {
    return { keys: this.keys };
  }
}

function isEd25519Key(value: unknown): value is PinnedKey {
  const { kty, crv, kid, x, use } = membersOf(value);
  return kty === 'OKP' && crv === 'Ed25519' && typeof kid === 'string' && typeof x === 'string' && use !== 'enc';
}

/** Gives the address at which a control plane publishes its keys, from the address of its websocket. */
export function keySetAddress(websocketUrl: string): string {
  const url = new URL('/.well-known/jwks.json', websocketUrl);
  url.protocol = url.protocol === 'wss:' ? 'https:' : 'http:';
  return url.href;
}

/**
 * Fetches the control plane's keys, for trust on first use in development (docs/guides/agent.md). It uses `node:http`,
 * because `fetch` would cost the agent several megabytes. Rejects when the control plane cannot be reached, does not
 * answer with 200, or serves no usable key.
 *
 * @param timeoutMs the milliseconds until the last byte must be here
 */
export async function fetchPinnedKeys(address: string, timeoutMs: number, route: Route): Promise<PinnedKeys> {
  const secure = address.startsWith('https:');
  const signal = AbortSignal.timeout(timeoutMs);
  const body = await new Promise<string>((resolve, reject) => {
    const failed = (error: Error) =>
      reject(signal.aborted ? new Error(`${address} did not answer within ${timeoutMs} ms`) : error);
    const get = secure ? httpsGet : httpGet;
    const request = get(
      address,
      { signal, createConnection: route.connection(secure, signal), headers: { accept: 'application/json' } },
      (response) => {
        if (response.statusCode !== 200) {
          request.destroy();
          reject(new Error(`${address} answered with status ${response.statusCode ?? 'unknown'}`));
          return;
        }
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text += chunk;
          if (text.length > MAX_KEY_SET_BYTES) request.destroy(new Error(`the answer of ${address} is too large`));
        });
        response.on('end', () => resolve(text));
        response.on('error', failed);
      },
    );
    request.on('error', failed);
  });
  return PinnedKeys.parse(JSON.parse(body));
}
