/** Vehicle agents as a program in the vehicle embeds them: in this process, over real sockets to a deployment. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FleetFlagAgent } from '../../agent/assembly/fleet-flag-agent.ts';
import { madeOrRemoved } from '../../core/testing/made-or-removed.ts';
import type { Api } from './api.ts';

/** Timings with which measurements are sent at once. */
const TIMINGS = { metricsWriteMs: 20, metricsIntervalMs: 200 };

export class Fleet {
  readonly agents = new Map<string, FleetFlagAgent>();

  private constructor(private readonly folder: string) {}

  /** Registers the vehicles, and starts an agent for each; they may not have synced yet. */
  static async start(api: Api, vins: readonly string[]): Promise<Fleet> {
    const fleet = new Fleet(await mkdtemp(join(tmpdir(), 'fleetflag-fleet-')));
    return madeOrRemoved(
      async () => {
        for (const vin of vins) await fleet.#add(api, vin);
        return fleet;
      },
      () => fleet.remove(),
    );
  }

  async #add(api: Api, vin: string): Promise<void> {
    const [tokenFile, databaseFile] = [join(this.folder, `${vin}.token`), join(this.folder, `${vin}.db`)];
    await writeFile(tokenFile, await api.vehicle(vin), { mode: 0o600 });
    const agent = new FleetFlagAgent({ url: api.deployment.wsUrl, tokenFile, databaseFile, timings: TIMINGS });
    this.agents.set(vin, agent);
    await agent.start();
  }

  async remove(): Promise<void> {
    await Promise.all([...this.agents.values()].map((agent) => agent.close()));
    await rm(this.folder, { recursive: true, force: true });
  }
}
