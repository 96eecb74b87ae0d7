/** Reads the signing keys, each of which is the text of a key or the path of a file with one. */
import { NotRegularFile, readRegularFileSync } from '../../core/files/regular-file.ts';
import { emptySecretFault, openSecretFault } from '../../core/credentials/secret-file.ts';
import type { SettingsReader } from './settings-reader.ts';

const SIGNING_KEY = 'FLEETFLAG_SIGNING_KEY';
const PREVIOUS_KEYS = 'FLEETFLAG_PREVIOUS_SIGNING_KEYS';

const isKeyText = (value: string) => /^\s*(\{|-----BEGIN)/.test(value);

/** Reads the text of the signing key; null where none is set. */
export function readSigningKey(settings: SettingsReader): string | null {
  const key = settings.text(SIGNING_KEY);
  if (key === null || isKeyText(key)) return key;
  return readKeyFile(settings, SIGNING_KEY, key, 'a JWK, nor a PEM, nor the path of a file');
}

/** Reads the texts of the previous signing keys. */
export function readPreviousSigningKeys(settings: SettingsReader): string[] {
  const value = settings.text(PREVIOUS_KEYS) ?? '';
  // A key contains commas itself.
  if (isKeyText(value)) return [value];
  return settings
    .list(PREVIOUS_KEYS)
    .flatMap((item) =>
      isKeyText(item)
        ? [item]
        : (readKeyFile(settings, PREVIOUS_KEYS, item, 'a JWK, nor a JWK set, nor PEMs, nor paths of files') ?? []),
    );
}

/**
 * Reads a key file; gives null and records a fault when that fails. A value that names no file may be a mistyped key,
 * so the message does not repeat it.
 */
function readKeyFile(
  { faults, warnings }: SettingsReader,
  name: string,
  path: string,
  expected: string,
): string | null {
  let text;
  try {
    const { bytes, mode } = readRegularFileSync(path);
    text = bytes.toString();
    // A warning, not a refusal: container platforms mount secrets with such modes, in a protected place.
    const open = /PRIVATE KEY|"d"/.test(text) ? openSecretFault(path, mode) : null;
    if (open !== null) warnings.push(`${name}: ${open}`);
  } catch (error) {
    if (error instanceof NotRegularFile) faults.push(`${name} names no key file: ${error.message}.`);
    else faults.push(`${name} is neither ${expected} that can be read.`);
    return null;
  }
  const empty = emptySecretFault(path, text);
  if (empty !== null) faults.push(`${name}: ${empty}.`);
  return text;
}
