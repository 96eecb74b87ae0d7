/**
 * Reading of regular files alone. A named pipe at a file's path holds up whoever opens it, in a thread that nothing
 * can call back, so that not even the end of the process comes; a device may never end.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync, type Stats } from 'node:fs';
import { open, stat, type FileHandle } from 'node:fs/promises';

/** Opens a pipe at once, too. Windows has no such flag, and no such pipes. */
const AT_ONCE = constants.O_NONBLOCK ?? 0;

/** Says what stands at `path` instead of a regular file; null for a regular file, and where nothing can be found. */
export async function fileKindFault(path: string): Promise<string | null> {
  const found = await stat(path).catch(() => null);
  return found === null ? null : kindFault(path, found);
}

/** The bytes and the permissions of a regular file. Rejects for anything else, without waiting for it. */
export async function readRegularFile(path: string): Promise<{ readonly bytes: Buffer; readonly mode: number }> {
  const file = await openRegularFile(path, constants.O_RDONLY);
  try {
    return { bytes: await file.readFile(), mode: (await file.stat()).mode };
  } finally {
    await file.close();
  }
}

/** As `readRegularFile`, at once. @throws Error for what is no regular file, or cannot be read */
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

/** What stands at a path is a folder, a pipe, a socket or a device; the message names both. */
export class NotRegularFile extends Error {}

/**
 * Opens a regular file. Rejects for anything else, without waiting for it.
 *
 * @param flags as `open(2)` takes them
 * @param mode the permissions of a file that is made
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
