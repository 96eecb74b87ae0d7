/**
 * "vehicle_whitelist: exact VINs. No context VIN: does not match." (design.md)
 *
 * The form that is written and stored is `{"vins": […]}`; vehicles get `{"digests": […]}` (whitelist-digest.ts).
 */
import { badInput } from '../../errors.ts';
import { VIN_PATTERN } from '../../model.ts';
import { readList, readObject, readRequired, type Matcher } from './condition-fields.ts';
import { isJsonObject } from '../../json/json-value.ts';

const MAX_VINS = 10_000;

/** The form of a digest: 8 bytes in base64url. The last of its 11 characters carries four bits. */
const DIGEST_PATTERN = /^[A-Za-z0-9_-]{10}[AEIMQUYcgkosw048]$/;

/** A whitelist as clients write it. */
export interface WrittenWhitelist {
  readonly form: 'vins';
  readonly vins: ReadonlySet<string>;
}
/** A whitelist as vehicles get it in a signed definition. */
export interface SignedWhitelist {
  readonly form: 'digests';
  readonly digests: ReadonlySet<string>;
}

function readVin(value: unknown, path: string): string {
  if (typeof value !== 'string' || !VIN_PATTERN.test(value)) {
    throw badInput(path, 'A VIN must have 17 characters: digits and capital letters except I, O and Q.');
  }
  return value;
}

function readDigest(value: unknown, path: string): string {
  if (typeof value !== 'string' || !DIGEST_PATTERN.test(value))
    throw badInput(path, 'A digest must have 11 characters of base64url.');
  return value;
}

/**
 * Parses a whitelist as clients write it.
 *
 * @param conditions `{"vins": […]}`: 1 to 10,000 valid VINs, none twice
 * @throws BAD_USER_INPUT at the path of the first fault, LIMIT_EXCEEDED (10,000)
 */
export function parseWrittenWhitelist(conditions: unknown, path: string): WrittenWhitelist {
  const object = readObject(conditions, path, ['vins']);
  return {
    form: 'vins',
    vins: readRequired(object, 'vins', path, (value, at) => readList(value, at, readVin, MAX_VINS)),
  };
}

/**
 * Parses a whitelist of either form: `{"vins": […]}` or `{"digests": […]}`. A list of digests may be empty; it lists no
 * vehicle.
 *
 * @throws BAD_USER_INPUT at the path of the first fault, LIMIT_EXCEEDED (10,000)
 */
export function parseWhitelist(conditions: unknown, path: string): WrittenWhitelist | SignedWhitelist {
  if (!isJsonObject(conditions) || !Object.hasOwn(conditions, 'digests'))
    return parseWrittenWhitelist(conditions, path);
  const object = readObject(conditions, path, ['digests']);
  const empty = Array.isArray(object['digests']) && object['digests'].length === 0;
  return {
    form: 'digests',
    digests: empty
      ? new Set()
      : readRequired(object, 'digests', path, (value, at) => readList(value, at, readDigest, MAX_VINS)),
  };
}

/**
 * Compiles a whitelist to a matcher.
 *
 * @param digestOf gives the digest of a VIN under this rule's id
 */
export function compileWhitelist(
  whitelist: WrittenWhitelist | SignedWhitelist,
  digestOf: (vin: string) => string,
): Matcher {
  if (whitelist.form === 'vins') {
    const vins: ReadonlySet<unknown> = whitelist.vins;
    return (context) => vins.has(context.vin);
  }
  const { digests } = whitelist;
  // An agent evaluates for one VIN, so remembering one answer saves the SHA-256 of every further evaluation.
  let lastVin = '';
  let lastListed = false;
  return ({ vin }) => {
    if (typeof vin !== 'string' || vin === '') return false;
    if (vin !== lastVin) {
      lastListed = digests.has(digestOf(vin));
      lastVin = vin;
    }
    return lastListed;
  };
}
