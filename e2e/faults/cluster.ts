/**
 * A control plane of many processes for runs with faults: two gateways and two instances of each subgraph, on a
 * PostgreSQL server, a Redis server and a metrics server of its own. Every connection between two parts passes a relay,
 * so that it can be cut, held and slowed down.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { SUBGRAPH_NAMES, type SubgraphName } from '../../core/wire/subgraph/subgraph.ts';
import { openProxy, type SeverableProxy } from '../../subgraphs/shared/testing/severable-proxy.ts';
import { ADMIN } from '../harness/deployment.ts';
import { KillableClickHouse, KillablePostgres } from '../harness/killable-stores.ts';
import { ProjectProcess, eventually } from '../harness/process.ts';
import { freePort } from '../../core/testing/free-port.ts';

const READY = /FleetFlag(?: \w+)? ready at http:\/\/localhost:(\d+)/;
const COUNT = 2;
/** The megabytes of the database's disk, which a fault fills up. */
const DATABASE_DISK_MB = 600;
const LOCAL = '127.0.0.1';

/** A Redis server whose data outlive it. */
class KillableRedis {
  #child!: ChildProcess;

  private constructor(
    private readonly folder: string,
    readonly port: number,
  ) {}

  static async start(folder: string): Promise<KillableRedis> {
    await mkdir(folder, { recursive: true });
    const redis = new KillableRedis(folder, await freePort());
    await redis.startAgain();
    return redis;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async startAgain(): Promise<void> {
    const options = ['--port', String(this.port), '--bind', LOCAL, '--dir', this.folder, '--save', ''];
    this.#child = spawn('redis-server', [...options, '--appendonly', 'yes', '--appendfsync', 'everysec'], {
      stdio: 'ignore',
    });
    await eventually(() => this.run((client) => client.ping()).catch(() => null), 'Redis answers');
  }

  /** Runs commands over a connection of their own, past all relays. */
  async run<Result>(commands: (client: Redis) => Promise<Result>): Promise<Result> {
    const client = new Redis({ port: this.port, host: LOCAL, lazyConnect: true, retryStrategy: () => null });
    client.on('error', () => undefined);
    try {
      await client.connect();
      return await commands(client);
    } finally {
      client.disconnect();
    }
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }
}

/** One process of a role, with the relays through which it reaches the stores. */
export class Instance {
  process!: ProjectProcess;
  port = 0;
  /** The number of starts. */
  starts = 0;
  /** Whether the relay before its role leads to it. */
  isInTurn = true;
  /** The output of the processes before this one. */
  #former = '';
  #isStarted = false;

  constructor(
    readonly role: SubgraphName | 'gateway',
    readonly name: string,
    /** The relays to its stores, by the store's name. */
    readonly links: Readonly<Record<string, SeverableProxy>>,
    private readonly environment: () => Readonly<Record<string, string>>,
    private readonly root: string | undefined,
  ) {}

  async start(): Promise<void> {
    this.starts += 1;
    this.#former = this.output;
    this.#isStarted = true;
    this.process = new ProjectProcess(
      ['service', this.role],
      { ...this.environment(), PORT: String(this.port) },
      this.root,
    );
    const [, port] = await this.process.printed(READY);
    this.port = Number(port);
  }

  /** The output of all its processes. */
  get output(): string {
    return this.#isStarted ? `${this.#former}${this.process.stdout}${this.process.stderr}` : '';
  }

  /** Ends the process by a signal, and as an orchestrator does by SIGKILL where that takes more than 30 s. */
  async stop(signal: NodeJS.Signals): Promise<void> {
    const late = setTimeout(() => this.signal('SIGKILL'), 30_000);
    await this.process.stop(signal).catch(() => undefined);
    clearTimeout(late);
  }

  signal(signal: NodeJS.Signals): void {
    this.process.child.kill(signal);
  }
}

/** The settings of a run's control plane. */
export interface ClusterOptions {
  /** Further settings of all processes. */
  readonly environment?: Readonly<Record<string, string>>;
  /**
   * Whether gateways reach the instances of subgraphs past the relays: a connection to one that is down is then
   * refused, and not taken and broken off.
   */
  readonly isDirect?: boolean;
}

export class Cluster {
  readonly instances: Instance[] = [];
  /**
   * The relays before each instance of a subgraph, and the one before the gateways, from which each connection goes to
   * one of them.
   */
  readonly #fronts = new Map<string, SeverableProxy>();

  private constructor(
    readonly postgres: KillablePostgres,
    readonly redis: KillableRedis,
    readonly clickhouse: KillableClickHouse,
    readonly secret: string,
    private readonly options: ClusterOptions,
  ) {}

  /**
   * @param folder for the data of the run
   * @param root the folder of the sources whose build is run; by default that of this project
   */
  static async start(folder: string, root?: string, options: ClusterOptions = {}): Promise<Cluster> {
    const [postgres, redis, clickhouse] = await Promise.all([
      KillablePostgres.start(DATABASE_DISK_MB),
      KillableRedis.start(join(folder, 'redis')),
      KillableClickHouse.start(),
    ]);
    const cluster = new Cluster(postgres, redis, clickhouse, randomBytes(32).toString('base64url'), options);
    try {
      cluster.#fronts.set('gateway', await openProxy(cluster.#turns('gateway')));
      for (const role of [...SUBGRAPH_NAMES, 'gateway'] as const)
        for (let index = 1; index <= COUNT; index += 1) {
          const name = `${role} ${index}`;
          const instance = await cluster.#instance(role, name, join(folder, 'data'), root);
          cluster.instances.push(instance);
          if (role !== 'gateway')
            cluster.#fronts.set(name, await openProxy(() => [{ host: LOCAL, port: instance.port }]));
        }
      // The first instance applies the migrations.
      const [first, ...others] = cluster.instances;
      await first!.start();
      await Promise.all(others.filter(({ role }) => role !== 'gateway').map((instance) => instance.start()));
      await Promise.all(others.filter(({ role }) => role === 'gateway').map((instance) => instance.start()));
      return cluster;
    } catch (error) {
      await cluster.remove();
      throw error;
    }
  }

  /** The instances of a role in turns, as a load balancer picks them. */
  #turns(role: string): () => { host: string; port: number }[] {
    let turn = 0;
    return () => {
      const inTurn = this.of(role).filter(({ isInTurn }) => isInTurn);
      const targets = inTurn.map(({ port }) => ({ host: LOCAL, port }));
      turn += 1;
      return targets.map((_, index) => targets[(index + turn) % targets.length]!);
    };
  }

  of(role: string): Instance[] {
    return this.instances.filter((instance) => instance.role === role);
  }

  async #instance(
    role: SubgraphName | 'gateway',
    name: string,
    dataDir: string,
    root: string | undefined,
  ): Promise<Instance> {
    const links: Record<string, SeverableProxy> = {
      redis: await openProxy({ host: LOCAL, port: this.redis.port }),
    };
    if (role !== 'gateway') links['postgres'] = await openProxy({ host: LOCAL, port: this.postgres.proxy.port });
    if (role === 'experiments')
      links['clickhouse'] = await openProxy(() => [{ host: LOCAL, port: Number(new URL(this.clickhouse.url).port) }]);
    const environment = () => {
      const database = new URL(this.postgres.url);
      database.port = String(links['postgres']?.port ?? this.postgres.proxy.port);
      return {
        DATABASE_URL: database.href,
        REDIS_URL: `redis://${LOCAL}:${links['redis']!.port}`,
        CLICKHOUSE_URL: links['clickhouse'] ? `http://${LOCAL}:${links['clickhouse'].port}` : this.clickhouse.url,
        FLEETFLAG_DATA_DIR: dataDir,
        FLEETFLAG_ADMIN_PASSWORD: ADMIN.password,
        FLEETFLAG_INTERNAL_SECRET: this.secret,
        ...Object.fromEntries(
          SUBGRAPH_NAMES.map((subgraph) => [
            `FLEETFLAG_${subgraph.toUpperCase()}_URL`,
            this.of(subgraph)
              .map(({ name, port }) => (this.options.isDirect === true ? port : (this.#fronts.get(name)?.port ?? 0)))
              .map((port) => `http://${LOCAL}:${port}`)
              .join(','),
          ]),
        ),
        ...this.options.environment,
      };
    };
    return new Instance(role, name, links, environment, root);
  }

  /** The address of a gateway through the relay before all gateways. */
  get url(): string {
    return `http://${LOCAL}:${this.#fronts.get('gateway')!.port}`;
  }

  /** The gateways' own addresses. */
  get gatewayUrls(): string[] {
    return this.of('gateway').map(({ port }) => `http://${LOCAL}:${port}`);
  }

  /** The relays by name. */
  get links(): Map<string, SeverableProxy> {
    const links = new Map<string, SeverableProxy>();
    for (const [name, proxy] of this.#fronts) links.set(`the way to ${name}`, proxy);
    for (const { name, links: own } of this.instances)
      for (const [store, proxy] of Object.entries(own)) links.set(`${name} to ${store}`, proxy);
    return links;
  }

  async remove(): Promise<void> {
    for (const proxy of this.links.values()) proxy.restore();
    await Promise.all(
      this.instances.map(async (instance) => {
        if (instance.starts === 0) return;
        instance.signal('SIGCONT');
        await instance.stop('SIGKILL');
      }),
    );
    for (const proxy of this.links.values()) await proxy.close();
    await this.redis.kill();
    await this.clickhouse.remove();
    await this.postgres.remove();
  }
}
