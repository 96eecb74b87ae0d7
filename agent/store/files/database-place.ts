import { lstatSync, readlinkSync, realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';

const MAX_LINKS = 40;

/**
 * Gives the path of a database without symbolic links, even where the file does not exist yet. Renaming, by which the
 * file is replaced, would otherwise replace a link by a file; and one file under two names would have two locks.
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
    // The first write creates the folder; where it cannot, the store reports that.
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
