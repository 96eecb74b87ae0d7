/** The nemesis: faults of every part, injected and ended in an order that a seed gives. */
import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from 'pg';
import { FLAGS_CHANGED } from '../../subgraphs/flags/changes/announcement.ts';
import type { SeverableProxy } from '../../subgraphs/shared/testing/severable-proxy.ts';
import { postmasterOf } from '../harness/killable-stores.ts';
import { eventually } from '../harness/process.ts';
import type { RealAgent } from './agents.ts';
import type { Cluster, Instance } from './cluster.ts';
import type { LeanFleet } from './fleet.ts';
import type { Random } from '../../tests/testing/random.ts';
import type { Recorder } from './recorder.ts';

/** Ends a fault. */
type Undo = () => Promise<void> | void;

interface Fault {
  /** The fault's kind, for the figures. */
  readonly kind: string;
  /** The part that it strikes. A part has one fault at a time. */
  readonly part: string;
  readonly weight: number;
  readonly begin: () => Promise<Undo> | Undo;
}

/** The parts of a run at which faults are injected. */
export interface FaultScene {
  readonly cluster: Cluster;
  readonly fleet: LeanFleet;
  readonly agents: readonly RealAgent[];
  readonly recorder: Recorder;
  readonly random: Random;
  /** Whether no announcement of a change ever arrives. */
  readonly losesAnnouncements: boolean;
}

const DAY_MS = 86_400_000;
/** The offsets to which clocks are set. */
const CLOCK_OFFSETS_MS = [-3_650 * DAY_MS, -30 * DAY_MS, -2 * DAY_MS, -3_600_000, 3_600_000, 2 * DAY_MS, 400 * DAY_MS];

/** Connects to the server itself, past all relays, as soon as it answers. */
function connected({ postgres }: Cluster): Promise<Client> {
  return eventually(async () => {
    const client = new Client({ connectionString: postgres.directUrl });
    client.on('error', () => undefined);
    return client.connect().then(
      () => client,
      () => null,
    );
  }, 'PostgreSQL answers');
}

/** Runs statements on the server itself. */
export async function onPostgres<Result>(cluster: Cluster, run: (client: Client) => Promise<Result>): Promise<Result> {
  const client = await connected(cluster);
  try {
    return await run(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  return text.split(' ').map(Number).filter(Boolean);
}

function signal(pids: readonly number[], name: NodeJS.Signals): void {
  for (const pid of pids)
    try {
      process.kill(pid, name);
    } catch {
      // It has ended by itself.
    }
}

/** The milliseconds that a process may take to start on a busy machine, with every store back. */
const RESTART_MS = 300_000;

const started = (instance: Instance) =>
  instance.start().then(
    () => true,
    () => false,
  );

function processFaults(instance: Instance): Fault[] {
  const part = instance.name;
  const restart = (name: NodeJS.Signals) => async () => {
    await instance.stop(name);
    // A store that it needs may still be away.
    return async () => void (await eventually(() => started(instance), `${part} starts again`, RESTART_MS));
  };
  return [
    { kind: 'kill -9', part, weight: 3, begin: restart('SIGKILL') },
    { kind: 'orderly restart', part, weight: 1, begin: restart('SIGTERM') },
    {
      kind: 'SIGSTOP',
      part,
      weight: 4,
      begin: () => {
        instance.signal('SIGSTOP');
        return () => instance.signal('SIGCONT');
      },
    },
  ];
}

function networkFaults(name: string, link: SeverableProxy, random: Random): Fault[] {
  const restored = () => link.restore();
  const fault = (kind: string, weight: number, begin: () => void): Fault => ({
    kind,
    part: name,
    weight,
    begin: () => {
      begin();
      return restored;
    },
  });
  return [
    fault('network cut', 2, () => link.sever()),
    fault('network silent', 2, () => link.hold()),
    fault('network silent one way', 1, () => link.hold(random.pick(['to-server', 'to-client']))),
    fault('network slow', 1, () => link.delay(random.whole(50, 800))),
  ];
}

function postgresFaults({ cluster, random }: FaultScene): Fault[] {
  const part = 'PostgreSQL';
  const { postgres } = cluster;
  return [
    {
      kind: 'database crash',
      part,
      weight: 8,
      begin: async () => {
        signal([await postmasterOf(postgres.dataDir)], 'SIGQUIT');
        return () => undefined;
      },
    },
    {
      kind: 'database session killed',
      part,
      weight: 6,
      begin: async () => {
        const pid = await onPostgres(cluster, async (client) => {
          const { rows } = await client.query<{ pid: number }>(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
          );
          return rows.length === 0 ? null : random.pick(rows).pid;
        });
        // The server ends all sessions then, and recovers.
        if (pid !== null) signal([pid], 'SIGKILL');
        return () => undefined;
      },
    },
    {
      kind: 'database stopped',
      part,
      weight: 6,
      begin: async () => {
        const postmaster = await postmasterOf(postgres.dataDir);
        const pids = [postmaster, ...(await childrenOf(postmaster))];
        signal(pids, 'SIGSTOP');
        return () => signal(pids.reverse(), 'SIGCONT');
      },
    },
    {
      kind: 'sessions terminated',
      part,
      weight: 6,
      begin: async () => {
        await onPostgres(cluster, (client) =>
          client.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()'),
        );
        return () => undefined;
      },
    },
    {
      kind: 'lock held',
      part,
      weight: 6,
      begin: async () => {
        const client = await connected(cluster);
        await client.query("BEGIN; SELECT 1 FROM environments WHERE name = 'production' FOR UPDATE");
        return () => client.end().catch(() => undefined);
      },
    },
    ...(postgres.fillDisk === null
      ? []
      : [{ kind: 'database disk full', part, weight: 4, begin: postgres.fillDisk } satisfies Fault]),
  ];
}

/** Another channel of the same length, which nobody listens to. */
const NOWHERE = FLAGS_CHANGED.replace(/.$/, '!');

/** Loses every announcement of a change from now on, until the returned function is called. */
function loseAnnouncements({ instances }: Cluster): () => void {
  const links = instances.flatMap(({ links: { redis: link } }) => link ?? []);
  for (const link of links)
    link.rewrite = (bytes, direction) =>
      direction === 'to-server' && bytes.includes('publish') && bytes.includes(FLAGS_CHANGED)
        ? Buffer.from(bytes.toString('latin1').replaceAll(FLAGS_CHANGED, NOWHERE), 'latin1')
        : bytes;
  return () => {
    for (const link of links) link.rewrite = (bytes) => bytes;
  };
}

function redisFaults({ cluster, losesAnnouncements }: FaultScene): Fault[] {
  const part = 'Redis';
  const { redis } = cluster;
  return [
    {
      kind: 'Redis kill -9',
      part,
      weight: 6,
      begin: async () => {
        await redis.kill();
        return () => redis.startAgain();
      },
    },
    {
      kind: 'Redis stopped',
      part,
      weight: 6,
      begin: () => {
        signal([redis.pid], 'SIGSTOP');
        return () => signal([redis.pid], 'SIGCONT');
      },
    },
    {
      kind: 'Redis emptied',
      part,
      weight: 3,
      begin: async () => {
        await redis.run((client) => client.flushall());
        return () => undefined;
      },
    },
    ...(losesAnnouncements
      ? []
      : [{ kind: 'announcements lost', part, weight: 12, begin: () => loseAnnouncements(cluster) } satisfies Fault]),
  ];
}

function metricsFaults({ cluster: { clickhouse } }: FaultScene): Fault[] {
  const part = 'ClickHouse';
  return [
    {
      kind: 'metrics store kill -9',
      part,
      weight: 3,
      begin: async () => {
        await clickhouse.kill();
        return () => clickhouse.startAgain();
      },
    },
    {
      kind: 'metrics store stopped',
      part,
      weight: 3,
      begin: () => {
        signal([clickhouse.pid], 'SIGSTOP');
        return () => signal([clickhouse.pid], 'SIGCONT');
      },
    },
  ];
}

function vehicleFaults({ fleet, agents, random }: FaultScene): Fault[] {
  return [
    {
      kind: 'clocks of vehicles wrong',
      part: 'clocks',
      weight: 14,
      begin: () => {
        const vins = fleet.vins.filter(() => random.next() < 0.2);
        fleet.setClocks(vins, random.pick(CLOCK_OFFSETS_MS));
        return () => fleet.setClocks(vins, 0);
      },
    },
    ...agents.flatMap((agent): Fault[] => [
      {
        kind: 'agent kill -9',
        part: agent.vin,
        weight: 5,
        begin: async () => {
          await agent.process.stop('SIGKILL').catch(() => undefined);
          return () => agent.start();
        },
      },
      {
        kind: 'agent stopped',
        part: agent.vin,
        weight: 3,
        begin: () => {
          agent.process.child.kill('SIGSTOP');
          return () => void agent.process.child.kill('SIGCONT');
        },
      },
      {
        kind: 'clock of an agent wrong',
        part: agent.vin,
        weight: 4,
        begin: () => {
          const seconds = random.pick(CLOCK_OFFSETS_MS) / 1_000;
          agent.setClock(`${seconds < 0 ? '' : '+'}${seconds}s`);
          return () => agent.setClock('+0s');
        },
      },
      ...(agent.hasDisk
        ? [{ kind: 'disk of an agent full', part: agent.vin, weight: 4, begin: () => agent.fillDisk() } satisfies Fault]
        : []),
    ]),
  ];
}

/** Injects and ends faults; see the top of this file. */
export class Nemesis {
  /** The faults that were injected, by kind. */
  readonly counts = new Map<string, number>();
  readonly #faults: readonly Fault[];
  /** Processes that have ended by themselves. */
  readonly #ended = new Set<object>();

  constructor(private readonly scene: FaultScene) {
    const { cluster, random } = scene;
    if (scene.losesAnnouncements) loseAnnouncements(cluster);
    this.#faults = [
      ...cluster.instances.flatMap(processFaults),
      ...[...cluster.links].flatMap(([name, link]) => networkFaults(name, link, random)),
      ...postgresFaults(scene),
      ...redisFaults(scene),
      ...metricsFaults(scene),
      ...vehicleFaults(scene),
    ];
  }

  /** The number of faults that were injected. */
  get injected(): number {
    return [...this.counts.values()].reduce((sum, count) => sum + count, 0);
  }

  /** Injects 1 to `most` faults at once, keeps them for a while, and ends them all. */
  async round(most: number): Promise<void> {
    const { random } = this.scene;
    const number = random.whole(1, most);
    const chosen: Fault[] = [];
    while (chosen.length < number) {
      const fault = random.weighted(this.#faults);
      if (chosen.every(({ part }) => part !== fault.part)) chosen.push(fault);
    }
    const ends = await Promise.all(chosen.map((fault) => this.#begin(fault)));
    await pause(random.whole(200, random.next() < 0.15 ? 5_000 : 1_500));
    await Promise.all(ends.map((end) => end()));
    const { cluster, recorder } = this.scene;
    for (const { name, process: running } of cluster.instances)
      if (!running.running && !this.#ended.has(running)) {
        this.#ended.add(running);
        recorder.note({ kind: 'unforeseen', part: name, detail: 'it has ended by itself' });
      }
  }

  async #begin(fault: Fault): Promise<() => Promise<void>> {
    const { recorder } = this.scene;
    const name = `${fault.kind}: ${fault.part}`;
    recorder.note({ kind: 'fault', phase: 'begin', name });
    const undo = await fault.begin();
    this.counts.set(fault.kind, (this.counts.get(fault.kind) ?? 0) + 1);
    return async () => {
      await undo();
      recorder.note({ kind: 'fault', phase: 'end', name });
    };
  }
}
