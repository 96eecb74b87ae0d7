/**
 * An API key: `ff_<256 random bits>`. The partner keeps it, the control plane only its hash. The audit subgraph makes
 * keys, the gateway recognises them.
 */
import { createHash, randomBytes } from 'node:crypto';

const START = 'ff_';
/** 32 bytes in base64url. */
const RANDOM_LENGTH = 43;
/** `api_keys.key_prefix`: twelve random characters, 72 bits, tell keys apart and leave 184 that nobody is shown. */
const PREFIX_LENGTH = START.length + 12;

/** Keys from before have words of their name in front, whose beginning was their prefix. */
const FORM = new RegExp(`^${START}(?:api_key_[A-Za-z0-9_]{9,40}_)?[A-Za-z0-9_-]{${RANDOM_LENGTH}}$`);

/** A new key. */
export function newApiKey(): string {
  return `${START}${randomBytes(32).toString('base64url')}`;
}

/** Whether a text begins as keys do: perhaps it is one that was cut off. */
export function looksLikeApiKey(text: string): boolean {
  return text.startsWith(START);
}

/** Whether a text has the form of a key: what has not is known to nobody. */
export function isApiKey(text: string): boolean {
  return FORM.test(text);
}

/** SHA-256 in hexadecimal. A plain hash serves: 256 random bits cannot be guessed, as a password can. */
export function apiKeyHash(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}

/** What of a new key may be shown, so that people tell it from others. */
export function apiKeyPrefix(key: string): string {
  return key.slice(0, PREFIX_LENGTH);
}
