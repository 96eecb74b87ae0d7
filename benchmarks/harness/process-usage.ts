/** CPU and memory of a process and all its descendants, as Linux counts them in /proc. */
import { readFile, readdir } from 'node:fs/promises';

/** Linux counts CPU time in ticks of a hundredth of a second on all its platforms. */
const TICKS_PER_SECOND = 100;

export interface Usage {
  readonly cpuSeconds: number;
  /** Resident bytes, each shared page counted in part (proportional set size). */
  readonly residentBytes: number;
}

interface Process {
  readonly parent: number;
  readonly cpuSeconds: number;
}

async function readProcess(pid: number): Promise<Process | null> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null);
  if (text === null) return null;
  // The name of the program, in parentheses, may hold blanks.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { parent: Number(fields[1]), cpuSeconds: (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND };
}

/** Gives the process ids of `roots` and of all their descendants, with their CPU seconds. */
async function familyOf(roots: readonly number[]): Promise<Map<number, Process>> {
  const pids = (await readdir('/proc')).map(Number).filter((pid) => pid > 0);
  const all = new Map<number, Process>();
  for (const [index, read] of (await Promise.all(pids.map(readProcess))).entries())
    if (read !== null) all.set(pids[index] ?? 0, read);
  const isOfFamily = (pid: number): boolean => {
    if (roots.includes(pid)) return true;
    const parent = all.get(pid)?.parent ?? 0;
    return parent > 1 && isOfFamily(parent);
  };
  return new Map([...all].filter(([pid]) => isOfFamily(pid)));
}

/** Reads the CPU seconds that the processes `roots` and their descendants have used. */
export async function cpuSecondsOf(roots: readonly number[]): Promise<number> {
  return [...(await familyOf(roots)).values()].reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0);
}

/** Reads the resident bytes of one process. */
export async function residentBytesOf(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => '');
  return Number(/^Pss:\s+(\d+) kB/m.exec(text)?.[1] ?? NaN) * 1024;
}

/** Reads CPU and memory of the processes `roots` and their descendants. */
export async function usageOf(roots: readonly number[]): Promise<Usage> {
  const family = await familyOf(roots);
  const resident = await Promise.all([...family.keys()].map(residentBytesOf));
  return {
    cpuSeconds: [...family.values()].reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0),
    residentBytes: resident.reduce((sum, bytes) => sum + (Number.isFinite(bytes) ? bytes : 0), 0),
  };
}
