/**
 * Opens and reads regular files, and refuses everything else. Opening a named pipe blocks a thread that nothing can
 * interrupt, so that not even the process can exit; reading a device may never end.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync, type Stats } from 'node:fs';
import { open, stat, type FileHandle } from 'node:fs/promises';

/** The flag with which opening a pipe does not block. Windows has neither this flag nor such pipes. */
const AT_ONCE = constants.O_NONBLOCK | 0;

/** Says what is at `path` instead of a regular file; null for a regular file, and where nothing can be found. */
export async function fileKindFault(path: string): Promise<string | null> {
  const found = await stat(path).catch(() => null);
  return found === null ? null : kindFault(path, found);
}

/** Reads the bytes and the mode of a regular file. Rejects with NotRegularFile for anything else, without blocking. */
export async function readRegularFile(path: string): Promise<{ readonly bytes: Buffer; readonly mode: number }> {
  const file = await openRegularFile(path, constants.O_RDONLY);
  try {
    return { bytes: await file.readFile(), mode: (await file.stat()).mode };
  } finally {
    await file.close();
  }
}

/**
 * Reads a regular file like `readRegularFile`, but synchronously.
 *
 * @throws NotRegularFile for anything else, Error for a file that cannot be read
 */
export function readRegularFileSync(path: string): { readonly bytes: Buffer; readonly mode: number } {
  const file = openSync(path, constants.O_RDONLY | AT_ONCE);
  try {
    const found = fstatSync(file);
    const fault = kindFault(path, found);
    if (fault !== null) throw new NotRegularFile(fault);
    return { bytes: readFileSync(file), mode: found.mode };
  } finally {
    closeSync(file);
  }
}

/** The refusal of a path with a folder, pipe, socket or device; the message names the path and the kind. */
export class NotRegularFile extends Error {}

/**
 * Opens a regular file. Rejects with NotRegularFile for anything else, without blocking.
 *
 * @param flags the flags of `open(2)`
 * @param mode the permissions of the file if it is created
 */
export async function openRegularFile(path: string, flags: number, mode?: number): Promise<FileHandle> {
  const file = await open(path, flags | AT_ONCE, mode);
  try {
    const fault = kindFault(path, await file.stat());
    if (fault !== null) throw new NotRegularFile(fault);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

function kindFault(path: string, found: Stats): string | null {
  if (found.isFile()) return null;
  const kind = found.isDirectory()
    ? 'a folder'
    : found.isFIFO()
      ? 'a named pipe'
      : found.isSocket()
        ? 'a socket'
        : 'a device';
  return `${path} is ${kind}, not a regular file`;
}
