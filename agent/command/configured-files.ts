/** Reads the files of keys and authorities that the agent's settings name. */
import { X509Certificate } from 'node:crypto';
import { emptySecretFault } from '../../core/credentials/secret-file.ts';
import { describeError } from '../log.ts';
import { readRegularFile } from '../../core/files/regular-file.ts';
import { PinnedKeys } from '../trust/pinned-keys.ts';

/**
 * Reads the keys of a JWK set. Gives null where no file is given, or where the file has a fault, which is added to
 * `faults`. A file that every user can change adds a warning.
 */
export async function readKeys(
  path: string | undefined,
  faults: string[],
  warnings: string[],
): Promise<PinnedKeys | null> {
  if (path === undefined) return null;
  try {
    const { bytes, mode } = await readRegularFile(path);
    const text = bytes.toString('utf8');
    const empty = emptySecretFault(path, text);
    if (empty !== null) throw new Error(empty);
    // Everybody may read public keys, but a user who can change them decides whom the vehicle trusts.
    if ((mode & 0o002) !== 0)
      warnings.push(`--keys ${path} can be changed by every user of this machine; run: chmod 644 ${path}`);
    return await PinnedKeys.parse(JSON.parse(text));
  } catch (error) {
    faults.push(`--keys ${path} cannot be read as a JWK set: ${describeError(error)}`);
    return null;
  }
}

/**
 * Reads the certificates of a PEM file. Gives null where no file is given, or where the file has a fault, which is
 * added to `faults`. Their dates are not checked, because the clock of a starting vehicle may be years off.
 */
export async function readAuthorities(path: string | undefined, faults: string[]): Promise<string | null> {
  if (path === undefined) return null;
  try {
    const text = (await readRegularFile(path)).bytes.toString('utf8');
    const certificates = text.match(/-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----/gs) ?? [];
    if (certificates.length === 0) throw new Error('no "-----BEGIN CERTIFICATE-----" found');
    for (const certificate of certificates) void new X509Certificate(certificate);
    return certificates.join('\n');
  } catch (error) {
    faults.push(`--ca ${path} cannot be read as PEM certificates: ${describeError(error)}`);
    return null;
  }
}
