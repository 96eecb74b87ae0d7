import { randomUUID } from 'node:crypto';
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { processIdentity } from './process-identity.ts';
import { errorCode } from '../../../../core/caught-error.ts';
import { membersOf, parseJson } from '../../../../core/json/json-value.ts';

/** A lock that a living process holds. It counts as released when that process has died. */
export interface OwnerLock {
  release(): void;
}

/**
 * Takes the lock file `path` for this process. Takes over a lock whose owner has died, however it died.
 *
 * @param describe gives the error message for the process id of a living owner
 * @throws Error with that message
 */
export function takeOwnerLock(path: string, describe: (pid: number) => string): OwnerLock {
  const content = JSON.stringify({ pid: process.pid, identity: processIdentity(process.pid), token: randomUUID() });
  const draft = `${path}.${process.pid}.${randomUUID()}`;
  writeFileSync(draft, content, { mode: 0o600 });
  try {
    // A hard link appears with its content or not at all, and never replaces another file.
    while (!tryLink(draft, path)) {
      const held = readOrNull(path);
      if (held === null) continue;
      const owner = livingOwner(held);
      if (owner !== null) throw new Error(describe(owner));
      setAside(path, held);
    }
  } finally {
    rmSync(draft, { force: true });
  }
  return {
    release: () => {
      if (readOrNull(path) === content) rmSync(path, { force: true });
    },
  };
}

/** Removes a dead owner's lock. If another process has replaced it meanwhile, that process's lock is put back. */
function setAside(path: string, expected: string): void {
  const aside = `${path}.${process.pid}.${randomUUID()}`;
  try {
    renameSync(path, aside);
  } catch {
    return;
  }
  if (readOrNull(aside) !== expected) tryLink(aside, path);
  rmSync(aside, { force: true });
}

function livingOwner(content: string): number | null {
  try {
    const { pid, identity } = membersOf(parseJson(content));
    return typeof pid === 'number' && processIdentity(pid) === identity ? pid : null;
  } catch {
    return null;
  }
}

function tryLink(existing: string, path: string): boolean {
  try {
    linkSync(existing, path);
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  }
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
