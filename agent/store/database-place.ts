import { lstatSync, readlinkSync, realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';

const MAX_LINKS = 40;

/**
 * The path of a database without symbolic links, also where the file is not there yet. The file is replaced by
 * renaming, which would put a file in the place of a link; and one file under two names would have two locks.
 */
export function databasePlace(path: string, links = 0): string {
  const folder = realFolder(dirname(resolve(path)));
  const place = join(folder, basename(path));
  if (links >= MAX_LINKS || !isLink(place)) return place;
  return databasePlace(resolve(folder, readlinkSync(place)), links + 1);
}

function realFolder(folder: string): string {
  try {
    return realpathSync(folder);
  } catch {
    // It is made with the first write, or cannot be: the store says so then.
    return folder;
  }
}

function isLink(path: string): boolean {
  try {
    return lstatSync(path).isSymbolicLink();
  } catch {
    return false;
  }
}
