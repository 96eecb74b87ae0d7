/** CPU and memory of a process and all its descendants, as Linux counts them in /proc. */
import { readFile, readdir } from 'node:fs/promises';

/** Linux counts CPU time in ticks of a hundredth of a second on all its platforms. */
const TICKS_PER_SECOND = 100;

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

/** The memory of a process. */
export interface ProcessMemory {
  /** The program and its first arguments. */
  readonly command: string;
  /** Bytes, with those that are mapped from files and shared with other processes. */
  readonly residentBytes: number;
  /** Bytes that are this process's alone. */
  readonly privateBytes: number;
}

async function memoryOf(pid: number): Promise<ProcessMemory> {
  const [status, line] = await Promise.all(
    ['status', 'cmdline'].map((name) => readFile(`/proc/${pid}/${name}`, 'utf8').catch(() => '')),
  );
  const kilobytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status ?? '')?.[1] ?? NaN);
  const words = (line ?? '').split('\0').map((word) => word.split('/').at(-1) ?? '');
  return {
    command: words
      .filter((word) => word !== '')
      .slice(0, 4)
      .join(' '),
    residentBytes: kilobytes('VmRSS') * 1024,
    privateBytes: kilobytes('RssAnon') * 1024,
  };
}

/** Reads the memory of the processes `roots` and of the Node processes below them. */
export async function processesOf(roots: readonly number[]): Promise<readonly ProcessMemory[]> {
  const all = await Promise.all([...(await familyOf(roots)).keys()].map(memoryOf));
  return all.filter(({ command }) => command.startsWith('node '));
}

/** The CPU that the gateways of a control plane have used, and the memory that they hold. */
export interface GatewayUsage {
  readonly cpuMs: number;
  /** Resident bytes. */
  readonly bytes: number;
}

/** Reads the usage of the process of a gateway and of its workers, without the servers that it has started. */
export async function gatewayUsage(pid: number): Promise<GatewayUsage> {
  const family = await familyOf([pid]);
  const members = await Promise.all(
    [...family].map(async ([member, { cpuSeconds }]) => ({ cpuSeconds, ...(await memoryOf(member)) })),
  );
  const nodes = members.filter(({ command }) => command.startsWith('node '));
  return {
    cpuMs: nodes.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0) * 1_000,
    bytes: nodes.reduce((sum, { residentBytes }) => sum + residentBytes, 0),
  };
}
