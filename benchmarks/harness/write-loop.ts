/** The floor of a fan-out (peers/write-loop.c), compiled where this machine has a C compiler. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const SOURCE = fileURLToPath(new URL('../peers/write-loop.c', import.meta.url));

/** The measurements of the loop. */
export interface WriteLoopFigures {
  /** Microseconds of CPU for one write. */
  readonly deliveryMicroseconds: number;
  /** Milliseconds until the last reader has its bytes. */
  readonly lastMilliseconds: number;
}

/** Measures writes of `bytes` to `sockets` sockets; gives null where there is no `cc`. */
export async function measureWriteLoop(
  sockets: number,
  bytes: number,
  rounds: number,
): Promise<WriteLoopFigures | null> {
  const folder = await mkdtemp(join(tmpdir(), 'fleetflag-write-loop-'));
  try {
    const program = join(folder, 'write-loop');
    await run('cc', ['-O2', '-o', program, SOURCE]);
    const { stdout } = await run(program, [sockets, bytes, rounds].map(String));
    const [deliveryMicroseconds = NaN, lastMilliseconds = NaN] = stdout.split(' ').map(Number);
    return { deliveryMicroseconds, lastMilliseconds };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
