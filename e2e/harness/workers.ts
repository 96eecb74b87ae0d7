/** The worker processes of a gateway, as Linux shows them. */
import { readFile, readdir, readlink } from 'node:fs/promises';

/** The state of an established connection in `/proc/net/tcp`. */
const ESTABLISHED = '01';

/** Gives the process ids of the workers of the primary process `pid`, in order. */
export async function workersOf(pid: number): Promise<number[]> {
  const children = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).split(' ').map(Number);
  const commands = await Promise.all(
    children.map((child) => readFile(`/proc/${child}/cmdline`, 'utf8').catch(() => '')),
  );
  return children.filter((child, index) => child > 0 && commands[index]?.includes('dist/') === true);
}

/** Gives the clients' ports of the connections to `port` that the process `pid` holds. */
export async function clientPortsOf(pid: number, port: number): Promise<number[]> {
  const fds = await readdir(`/proc/${pid}/fd`);
  const links = await Promise.all(fds.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')));
  const inodes = new Set(links.flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []));
  const portIn = (address = '') => parseInt(address.split(':')[1] ?? '', 16);
  return (await readFile('/proc/net/tcp', 'utf8'))
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(
      ([, local, , state, , , , , , inode = '']) =>
        portIn(local) === port && state === ESTABLISHED && inodes.has(inode),
    )
    .map(([, , remote]) => portIn(remote));
}
