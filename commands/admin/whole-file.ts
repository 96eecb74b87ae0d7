/** Atomic writing of files: an export that fails on a full disk must not destroy the previous one. */
import { link, open, rename, rm, stat } from 'node:fs/promises';
import { errorCode } from '../../core/caught-error.ts';

/** Throws an Error when there is something at `path`. */
export async function refuseExisting(path: string): Promise<void> {
  if (
    await stat(path).then(
      () => true,
      () => false,
    )
  )
    throw new Error(`${path} exists already; add --force to replace it.`);
}

/**
 * Writes `chunks` one after another, and moves the file to its place when it is complete and synced to disk.
 *
 * @throws Error when a file exists that must not be replaced, even one created meanwhile
 */
export async function writeWhole(
  path: string,
  chunks: Iterable<string> | AsyncIterable<string>,
  { replace }: { replace: boolean },
): Promise<void> {
  if (!replace) await refuseExisting(path);
  const draft = `${path}.${process.pid}.draft`;
  const file = await open(draft, 'wx', 0o600);
  try {
    for await (const chunk of chunks) await file.writeFile(chunk);
    await file.sync();
    if (replace) await rename(draft, path);
    else await putInPlace(draft, path);
  } finally {
    await file.close();
    await rm(draft, { force: true });
  }
}

/** Gives the draft its name, unless that is taken. */
async function putInPlace(draft: string, path: string): Promise<void> {
  try {
    await link(draft, path);
  } catch (error) {
    // A file system without links, such as a memory stick's, cannot do this in one step.
    if (!['EPERM', 'ENOTSUP', 'ENOSYS'].includes(errorCode(error) ?? '')) throw error;
    await refuseExisting(path);
    await rename(draft, path);
  }
}
