/**
 * A file in two generations. A power cut at any moment of a replacement leaves the old content or the new.
 *
 * The new content is written beside the file and flushed before any name changes. Then the present generation becomes
 * `<file>.previous`, and the new one takes its name. Between these two renames the file is missing, and `.previous` has
 * the old content; so a reader tries both.
 */
import { constants } from 'node:fs';
import { mkdir, open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { openRegularFile, readRegularFile } from '../../../core/files/regular-file.ts';
import { isMissingFile } from '../../../core/caught-error.ts';

/** The parts of a file system that are needed. A call that resolves has reached the disk. */
export interface FileSystem {
  /** Reads a whole file. Rejects with code ENOENT where there is none. */
  read(path: string): Promise<Uint8Array>;
  /** Writes and flushes a whole file. When this rejects, the file may be written in part. */
  write(path: string, bytes: Uint8Array): Promise<void>;
  /**
   * Appends to a file and flushes it. Creates a missing file. When this rejects, the bytes may be appended in part.
   */
  append(path: string, bytes: Uint8Array): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** Makes the renames in a folder durable. */
  flushFolder(path: string): Promise<void>;
  createFolder(path: string): Promise<void>;
}

/** The file system of this machine. */
export const nodeFileSystem: FileSystem = {
  read: async (path) => (await readRegularFile(path)).bytes,
  write: (path, bytes) => putDurably(path, constants.O_TRUNC, bytes),
  append: (path, bytes) => putDurably(path, constants.O_APPEND, bytes),
  rename: (from, to) => rename(from, to),
  async flushFolder(path) {
    // Windows cannot open a folder; its file systems journal renames themselves.
    if (process.platform === 'win32') return;
    const handle = await open(path, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
  async createFolder(path) {
    await mkdir(path, { recursive: true });
  },
};

async function putDurably(path: string, how: number, bytes: Uint8Array): Promise<void> {
  const handle = await openRegularFile(path, constants.O_WRONLY | constants.O_CREAT | how, 0o600);
  try {
    await handle.writeFile(bytes);
    await handle.datasync();
  } finally {
    await handle.close();
  }
}

/** The present or the previous content of a file. */
export type Generation = 'current' | 'previous';

/** Reads and replaces a file in two generations. */
export class DurableFile {
  constructor(
    readonly path: string,
    private readonly files: FileSystem,
  ) {}

  /** Reads a generation; null where there is none. Rejects where it exists and cannot be read. */
  async read(generation: Generation): Promise<Uint8Array | null> {
    try {
      return await this.files.read(this.#pathOf(generation));
    } catch (error) {
      if (isMissingFile(error)) return null;
      throw error;
    }
  }

  /**
   * Replaces the content. When this resolves, the new content is on disk; when it rejects, the old or the new one is.
   *
   * @param keepPresent false where the present generation is known to be damaged, so that a good `.previous` is kept
   */
  async replace(bytes: Uint8Array, keepPresent: boolean): Promise<void> {
    const folder = dirname(this.path);
    const temporary = `${this.path}.next`;
    await this.files.createFolder(folder);
    await this.files.write(temporary, bytes);
    if (keepPresent) {
      try {
        await this.files.rename(this.path, this.#pathOf('previous'));
      } catch (error) {
        if (!isMissingFile(error)) throw error;
      }
    }
    await this.files.rename(temporary, this.path);
    await this.files.flushFolder(folder);
  }

  #pathOf(generation: Generation): string {
    return generation === 'current' ? this.path : `${this.path}.previous`;
  }
}
