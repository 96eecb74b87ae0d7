/**
 * API keys, of the form `ff_<256 random bits>`. The partner keeps the key; the control plane keeps only its hash. The
 * audit subgraph creates keys and the gateway recognises them.
 */
import { createHash, randomBytes } from 'node:crypto';
import type { ApiKeyRole } from '../access/caller.ts';

/** The part of a valid key that gateways receive. */
export interface ApiKeyCredential {
  readonly id: string;
  readonly role: ApiKeyRole;
  readonly rateLimitPerMin: number;
  readonly expiresAt: Date | null;
}

const START = 'ff_';
/** 32 bytes in base64url. */
const RANDOM_LENGTH = 43;
/**
 * The length of `api_keys.key_prefix`. Its twelve random characters (72 bits) distinguish keys; the other 184 bits are
 * never shown.
 */
const PREFIX_LENGTH = START.length + 12;

/** Older keys have `api_key_<words of their name>_` in front of the random part; their prefix was its beginning. */
const FORM = new RegExp(`^${START}(?:api_key_[A-Za-z0-9_]{9,40}_)?[A-Za-z0-9_-]{${RANDOM_LENGTH}}$`);

/** Makes a new key from 256 random bits. */
export function newApiKey(): string {
  return `${START}${randomBytes(32).toString('base64url')}`;
}

/** Says whether a text begins as keys do; it may be a key that was cut off. */
export function looksLikeApiKey(text: string): boolean {
  return text.startsWith(START);
}

/** Says whether a text has the form of a key. Any other text need not be looked up. */
export function isApiKey(text: string): boolean {
  return FORM.test(text);
}

/**
 * Gives the SHA-256 of a key in hexadecimal. A fast hash is enough: unlike a password, 256 random bits cannot be
 * guessed.
 */
export function apiKeyHash(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}

/** Gives the beginning of a key, which may be shown so that people can distinguish keys. */
export function apiKeyPrefix(key: string): string {
  return key.slice(0, PREFIX_LENGTH);
}
