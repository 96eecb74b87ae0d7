/** Finds faults of a file that holds a secret. Pure: the caller has read the file. */

/** The permission bits by which users other than the owner and the group read or write. */
const OTHERS_READ_OR_WRITE = 0o006;

/** Says that the file is empty; null where it is not. Anybody can guess an empty secret. */
export function emptySecretFault(path: string, text: string): string | null {
  return text.trim() === '' ? `${path} is empty` : null;
}

/**
 * Says that every user of the machine can read or change the file, and how to mend that; null where they cannot.
 *
 * @param mode the file's mode, as `stat` gives it
 */
export function openSecretFault(path: string, mode: number): string | null {
  if ((mode & OTHERS_READ_OR_WRITE) === 0) return null;
  return `${path} can be read or changed by every user of this machine (mode ${(mode & 0o777).toString(8)}); run: chmod 600 ${path}`;
}
