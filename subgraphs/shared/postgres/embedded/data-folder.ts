/** The data folder of a control plane that runs its own database. */
import { mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { errorCode, errorMessage } from '../../../../core/caught-error.ts';

/**
 * Creates the folder if it is missing.
 *
 * @throws Error that names the folder, when a file is in its place or above it, or when permission is missing
 */
export function makeDataFolder(dataDir: string): void {
  try {
    mkdirSync(dataDir, { recursive: true });
  } catch (error) {
    const code = errorCode(error);
    const reason =
      code === 'EEXIST'
        ? 'it is not a folder'
        : code === 'ENOTDIR'
          ? 'a parent of it is not a folder'
          : errorMessage(error);
    throw new Error(
      `The data folder ${resolve(dataDir)} cannot be used: ${reason}. Move it away, or set FLEETFLAG_DATA_DIR to another folder.`,
      { cause: error },
    );
  }
}
