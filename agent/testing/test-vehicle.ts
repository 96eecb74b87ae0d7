/**
 * A test vehicle in a folder of its own: token, keys, database, and the agents that run on them.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SignJWT } from 'jose';
import { madeOrRemoved } from '../../core/testing/made-or-removed.ts';
import type { FleetFlagAgentOptions } from '../assembly/agent-options.ts';
import { FleetFlagAgent } from '../assembly/fleet-flag-agent.ts';
import { PinnedKeys } from '../trust/pinned-keys.ts';
import { TEST_VIN, type TestControlPlane } from './control-plane.ts';

/** Timings that are short enough for tests. Tests wait for conditions, never for one of these. */
export const TEST_TIMINGS = {
  backoffMs: 10,
  backoffCapMs: 50,
  storeRetryMs: 20,
  aheadMs: 10,
  belowMs: 20,
  rareBackoffMs: 20,
  rareBackoffCapMs: 100,
  staleCheckMs: 10,
  assignmentSpreadMs: 10,
};

/** Makes a token like a vehicle's. Its signature is not genuine, because the agent only reads the claims. */
export function vehicleToken(vin = TEST_VIN, environment = 'production', salt = ''): Promise<string> {
  return new SignJWT({ env: environment, jti: salt })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(vin)
    .setIssuer('fleetflag')
    .setAudience('fleetflag-gateway')
    .setExpirationTime('1h')
    .sign(new TextEncoder().encode('only the control plane checks this secret'));
}

/** Holds the files of a vehicle, and starts its agents. */
export class TestVehicle {
  readonly #agents = new Set<FleetFlagAgent>();

  private constructor(
    readonly folder: string,
    readonly plane: TestControlPlane,
    private readonly database: string,
  ) {}

  /**
   * @param parent the folder in which the vehicle's folder is created
   * @param database the name of the database's file, by which the control plane keeps its backups. All test vehicles
   *   have one VIN, so those of one control plane need different names, or they get each other's backups.
   */
  static async create(plane: TestControlPlane, parent = tmpdir(), database = 'flags.db'): Promise<TestVehicle> {
    const vehicle = new TestVehicle(await mkdtemp(join(parent, 'fleetflag-agent-')), plane, database);
    return madeOrRemoved(
      async () => {
        await writeFile(vehicle.tokenFile, `${await vehicleToken()}\n`);
        await writeFile(vehicle.keysFile, JSON.stringify(plane.keySet));
        return vehicle;
      },
      () => vehicle.dispose(),
    );
  }

  get tokenFile(): string {
    return join(this.folder, 'vehicle.token');
  }

  get keysFile(): string {
    return join(this.folder, 'keys.json');
  }

  get databaseFile(): string {
    return join(this.folder, this.database);
  }

  /** Starts an agent that trusts the plane's present key. */
  async start(options: Partial<FleetFlagAgentOptions> = {}): Promise<FleetFlagAgent> {
    const agent = new FleetFlagAgent({
      url: this.plane.url,
      tokenFile: this.tokenFile,
      databaseFile: this.databaseFile,
      keys: await PinnedKeys.parse(this.plane.keySet),
      ...options,
      timings: { ...TEST_TIMINGS, ...options.timings },
    });
    this.#agents.add(agent);
    await agent.start();
    return agent;
  }

  /** Closes every agent and removes the folder. */
  async dispose(): Promise<void> {
    await Promise.all([...this.#agents].map((agent) => agent.close()));
    await rm(this.folder, { recursive: true, force: true });
  }
}
