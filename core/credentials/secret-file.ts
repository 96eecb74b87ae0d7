/** What is wrong with a file that holds a secret. Pure: whoever has read the file asks. */

/** Permission bits of everybody who is neither the owner nor in the group. */
const OTHERS_READ_OR_WRITE = 0o006;

/** Says that the file is empty; null where it is not. An empty secret is one that everybody knows. */
export function emptySecretFault(path: string, text: string): string | null {
  return text.trim() === '' ? `${path} is empty` : null;
}

/**
 * Says that everybody on the machine can read or change the file, and how that is mended; null where they cannot.
 * @param mode as `stat` gives it
 */
export function openSecretFault(path: string, mode: number): string | null {
  if ((mode & OTHERS_READ_OR_WRITE) === 0) return null;
  return `${path} can be read or changed by every user of this machine (mode ${(mode & 0o777).toString(8)}); run: chmod 600 ${path}`;
}
