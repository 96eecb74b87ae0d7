/**
 * Sends one message to a receiver: one POST, no redirect, to an address that the policy allows at the moment of the
 * connection. The answer is its status alone; its body is never read. Source: Standard Webhooks 1.0.0, "Delivery
 * success and failure", "Request timeouts".
 */
import { Resolver } from 'node:dns/promises';
import { request as requestHttp, type IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { isLoopback } from '../../../../core/wire/network/loopback.ts';
import type { AddressPolicy } from './address-policy.ts';

/** A message as it is sent. */
export interface WebhookMessage {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The outcome of an attempt. */
export type SendResult =
  | { readonly isDelivered: true; readonly status: number }
  | {
      readonly isDelivered: false;
      /** The HTTP status; null: there was no answer. */
      readonly status: number | null;
      /** A sentence of at most 300 characters, without anything that the receiver has sent. */
      readonly fault: string;
      /** The milliseconds after which the receiver wants another attempt; null where it named none. */
      readonly retryAfterMs: number | null;
    };

/** Gives all addresses of a name. Rejects where it has none, and when the attempt is aborted. */
export type ResolveName = (name: string, aborted: AbortSignal) => Promise<readonly string[]>;

/** The policy and the limits of an attempt. */
export interface SendOptions {
  readonly policy: AddressPolicy;
  /** Milliseconds for the whole attempt. */
  readonly timeoutMs: number;
  /** Ends the attempt early. */
  readonly ended: AbortSignal;
  readonly resolve?: ResolveName;
}

/** The most bytes of an answer's headers. */
const MAX_HEADER_BYTES = 16_384;

/** Reports that no address of a receiver is one to which webhooks may be sent. */
class RefusedAddress extends Error {
  override readonly name = 'RefusedAddress';
}

/**
 * Asks the name servers. `dns.lookup` would ask the system instead, on threads that all file access shares: four names
 * whose servers do not answer would stop everything.
 */
const resolveName: ResolveName = async (name, aborted) => {
  if (isLoopback(name)) return ['127.0.0.1', '::1'];
  const resolver = new Resolver();
  const cancel = () => resolver.cancel();
  aborted.addEventListener('abort', cancel);
  try {
    const found = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)]);
    const addresses = found.flatMap((one) => (one.status === 'fulfilled' ? one.value : []));
    if (addresses.length > 0) return addresses;
    const [failed] = found;
    throw failed.status === 'rejected' ? failed.reason : new Error(`${name} has no address`);
  } finally {
    aborted.removeEventListener('abort', cancel);
  }
};

/** Says why there was no answer, by the code of the error. Messages of errors may repeat what a receiver has sent. */
function faultOf(error: unknown, timeoutMs: number, isLate: boolean): string {
  if (error instanceof RefusedAddress)
    return 'The receiver is at an address to which webhooks may not be sent (FLEETFLAG_WEBHOOK_ALLOW_PRIVATE).';
  if (isLate) return `The receiver did not answer within ${timeoutMs / 1_000} s.`;
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown';
  return `The connection to the receiver failed (${/^[\w-]{1,60}$/.test(code) ? code : 'unknown'}).`;
}

/** Reads the header `retry-after` (RFC 9110): seconds or a date. Gives milliseconds; null where there is none. */
function retryAfterOf({ headers }: IncomingMessage): number | null {
  const text = headers['retry-after'];
  if (text === undefined) return null;
  const waitMs = /^\d{1,9}$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - Date.now();
  return Number.isNaN(waitMs) ? null : Math.max(0, waitMs);
}

/** Makes the lookup of a connection, which gives only addresses to which it may be opened. */
const lookupBy =
  (policy: AddressPolicy, isHttps: boolean, resolve: ResolveName, aborted: AbortSignal): LookupFunction =>
  (name, { all }, callback) => {
    resolve(name, aborted).then(
      (addresses) => {
        const allowed = addresses.filter((address) => policy.allows(address, isHttps));
        const [first] = allowed;
        if (first === undefined) return callback(new RefusedAddress(`${name} may not be reached`), []);
        if (all === true)
          return callback(
            null,
            allowed.map((address) => ({ address, family: isIP(address) })),
          );
        return callback(null, first, isIP(first));
      },
      (error: unknown) => callback(error instanceof Error ? error : new Error('no address'), []),
    );
  };

/** Sends a message. Resolves in any case, at the latest after `timeoutMs`. */
export async function sendWebhook(
  { url: text, headers, body }: WebhookMessage,
  { policy, timeoutMs, ended, resolve = resolveName }: SendOptions,
): Promise<SendResult> {
  const url = new URL(text);
  const isHttps = url.protocol === 'https:';
  // AbortSignal.any would not do: `ended` lives as long as the process, and would keep a reference to each attempt.
  const attempt = new AbortController();
  const { signal } = attempt;
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    attempt.abort();
  }, timeoutMs);
  const end = () => attempt.abort();
  ended.addEventListener('abort', end);
  if (ended.aborted) end();
  try {
    const host = url.hostname.replace(/^\[|\]$/g, '');
    // A connection to an address resolves no name, so its lookup would not check the address.
    if (isIP(host) !== 0 && !policy.allows(host, isHttps)) throw new RefusedAddress(`${host} may not be reached`);
    const answer = await new Promise<IncomingMessage>((resolveAnswer, reject) => {
      const sent = (isHttps ? requestHttps : requestHttp)(
        url,
        {
          method: 'POST',
          headers: { ...headers, 'content-length': Buffer.byteLength(body) },
          // Each message gets a connection of its own, for which the address is checked.
          agent: false,
          lookup: lookupBy(policy, isHttps, resolve, signal),
          maxHeaderSize: MAX_HEADER_BYTES,
          signal,
        },
        resolveAnswer,
      );
      sent.on('error', reject);
      // Without a handler, an answer of 101 would close the connection and report nothing.
      sent.on('upgrade', (answered, socket) => {
        socket.destroy();
        resolveAnswer(answered);
      });
      sent.on('close', () => reject(new Error('The connection was closed before an answer')));
      sent.end(body);
    });
    const { statusCode: status = 0 } = answer;
    const retryAfterMs = retryAfterOf(answer);
    answer.on('error', () => undefined);
    answer.destroy();
    if (status >= 200 && status <= 299) return { isDelivered: true, status };
    const fault = `The receiver answered ${status}${status >= 300 && status <= 399 ? '; redirects are not followed' : ''}.`;
    return { isDelivered: false, status, fault, retryAfterMs };
  } catch (error) {
    return { isDelivered: false, status: null, fault: faultOf(error, timeoutMs, isLate), retryAfterMs: null };
  } finally {
    clearTimeout(timer);
    ended.removeEventListener('abort', end);
  }
}
