/**
 * An API key: `ff_api_key_<words of its name>_<256 random bits>`. The partner keeps it, the control plane only its
 * hash. The audit subgraph makes keys, the gateway recognises them.
 */
import { createHash, randomBytes } from 'node:crypto';

const START = 'ff_api_key_';
/** `api_keys.key_prefix` (database.md). */
const PREFIX_LENGTH = 20;
/** The name's part: so long at least that the prefix ends before the random part begins. */
const MIN_SLUG = PREFIX_LENGTH - START.length;
const MAX_SLUG = 40;
/** 32 bytes in base64url. */
const RANDOM_LENGTH = 43;

const FORM = new RegExp(`^${START}[A-Za-z0-9_]{${MIN_SLUG},${MAX_SLUG}}_[A-Za-z0-9_-]{${RANDOM_LENGTH}}$`);

/** `Tier 1, Société A` → `Tier_1_Societe_A`. */
function slugOf(name: string): string {
  const words = name.normalize('NFKD').replace(/\p{M}/gu, '').match(/[A-Za-z0-9]+/g) ?? [];
  return words.join('_').slice(0, MAX_SLUG).padEnd(MIN_SLUG, '_');
}

/** A new key that tells whose it is by its beginning. */
export function newApiKey(name: string): string {
  return `${START}${slugOf(name)}_${randomBytes(32).toString('base64url')}`;
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

/** What of a key may be shown: its first 20 characters, none of them random. */
export function apiKeyPrefix(key: string): string {
  return key.slice(0, PREFIX_LENGTH);
}
