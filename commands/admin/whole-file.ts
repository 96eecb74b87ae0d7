/** Writing a file whole or not at all: an export that fails on a full disk must not have taken the last one away. */
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
    throw new Error(`${path} exists already; it is replaced with --force.`);
}

/**
 * Writes `chunks` one after the other, and puts the file in its place when it is complete and on the disk.
 *
 * @throws Error when there is a file and it is not to be replaced, also one that came meanwhile
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
    // A file system without links, such as a memory stick's, cannot do it in one step.
    if (!['EPERM', 'ENOTSUP', 'ENOSYS'].includes(errorCode(error) ?? '')) throw error;
    await refuseExisting(path);
    await rename(draft, path);
  }
}
