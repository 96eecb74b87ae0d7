import { setImmediate as turn } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { PinnedKeys } from '../agent/trust/pinned-keys.ts';
import { ENVIRONMENTS, type Environment } from '../core/model.ts';
import type { SubgraphConnection } from '../core/wire/subgraph/subgraph.ts';
import { FLAGS_CHANGED } from '../subgraphs/flags/changes/announcement.ts';
import { createFlagChanges } from '../subgraphs/flags/changes/change.ts';
import { FlagService } from '../subgraphs/flags/flags/flag-service.ts';
import { createSigner, generateSigningKey, type Signer } from '../subgraphs/flags/signing/signing.ts';
import { startFlags } from '../subgraphs/flags/subgraph.ts';
import { createInProcessBus, type Bus } from '../subgraphs/shared/feeds/bus.ts';
import { connectInProcess } from '../subgraphs/shared/subgraph/in-process-connection.ts';
import { createInProcessStore } from '../subgraphs/shared/stores/key-value-store.ts';
import { identityOf, silent, user } from '../subgraphs/shared/testing/asking.ts';
import { eventually } from '../core/testing/eventually.ts';
import { rounds } from '../core/testing/rounds.ts';
import { createTestDatabase, type TestDatabase } from '../subgraphs/shared/testing/test-database.ts';
import { SimulatedVehicle, type Fate } from './testing/simulated-vehicle.ts';

const RUNS = rounds(8, 60);
const SEED = 20_261_123;

let database: TestDatabase;
let signer: Signer;
let keys: PinnedKeys;
let service: FlagService;
const instances: { connection: SubgraphConnection; close(): Promise<void> }[] = [];
const identity = identityOf(user('WRITE'));

/** Announcements that wait to be sent, until the test says what becomes of them. */
const announcements: Environment[] = [];
const wire = createInProcessBus();
const bus: Bus = {
  ...wire,
  async publish(channel, environment) {
    if (channel === FLAGS_CHANGED) announcements.push(environment as Environment);
  },
};

beforeAll(async () => {
  database = await createTestDatabase();
  const { prisma } = database.database;
  signer = await createSigner(await generateSigningKey());
  keys = await PinnedKeys.parse(signer.publicKeys);
  service = new FlagService(prisma, createFlagChanges(prisma, signer, bus, silent));
  const store = createInProcessStore();
  for (let index = 0; index < 2; index++) {
    const started = await startFlags({ prisma, bus, store, signer, logger: silent });
    const connection = connectInProcess(started.subgraph, async () => true);
    const close = async () => {
      await started.close();
      await connection.close();
    };
    instances.push({ connection, close });
  }
});

afterAll(async () => {
  for (const instance of instances) await instance.close();
  await wire.close();
  await database.drop();
});

const FLAGS = 5;
const VEHICLES: readonly Environment[] = ['staging', 'staging', 'development', 'production'];

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('edit' as const),
      flag: fc.nat(FLAGS - 1),
      how: fc.constantFrom('toggle', 'toggle', 'rename', 'rule', 'kill', 'move', 'move', 'archive'),
      to: fc.constantFrom(...ENVIRONMENTS),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('announce' as const),
      fate: fc.constantFrom('all', 'last', 'reversed', 'twice', 'none'),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('cut' as const), vehicle: fc.nat(VEHICLES.length - 1) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('connect' as const),
      vehicle: fc.nat(VEHICLES.length - 1),
      stream: fc.nat(1),
      queries: fc.nat(1),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('wait' as const), turns: fc.nat(300) }) },
);

let keysMade = 0;
let vehiclesMade = 0;
async function create(environment: Environment): Promise<string> {
  const key = `flag_${++keysMade}`;
  await service.createFlag(identity, {
    key,
    name: key,
    type: 'boolean',
    defaultValue: false,
    safetyLevel: 'Non-Critical',
    environment,
    enabled: false,
  });
  return key;
}

/** Edits a flag; where it has been archived before, another takes its place. */
async function edit(flags: string[], index: number, how: string, to: Environment): Promise<void> {
  const [flag] = await service.byKeys([flags[index] as string]);
  if (flag === undefined) throw new Error('a flag is gone');
  const { key } = flag;
  if (flag.archivedAt !== null) flags[index] = await create(to);
  else if (how === 'toggle') await service.setEnabled(identity, key, !flag.enabled, flag.revision);
  else if (how === 'rename') await service.updateFlag(identity, key, { name: `${key} ${flag.revision}` }, null);
  else if (how === 'move') await service.updateFlag(identity, key, { environment: to }, null);
  else if (how === 'archive') await service.archiveFlag(identity, key, null);
  else if (how === 'kill') await service.killSwitch(identity, key, `smoke ${flag.revision}`);
  else {
    const rule = flag.rules.find(({ type }) => type === 'percentage_rollout');
    if (rule === undefined)
      await service.createRule(
        identity,
        key,
        { type: 'percentage_rollout', conditions: { rollout_percentage: 50 } },
        null,
      );
    else await service.deleteRule(identity, rule.id, null);
  }
}

async function announce(fate: string): Promise<void> {
  const waiting = announcements.splice(0);
  const sent =
    fate === 'all'
      ? waiting
      : fate === 'last'
        ? waiting.slice(-1)
        : fate === 'reversed'
          ? waiting.reverse()
          : fate === 'twice'
            ? [...waiting, ...waiting]
            : [];
  for (const environment of sent) await wire.publish(FLAGS_CHANGED, environment);
}

/** Reads from the tables which flags a vehicle of each environment should hold, and at which revision. */
async function truth(): Promise<Map<string, { revision: number; flags: [string, string][] }>> {
  const { prisma } = database.database;
  const [environments, flags] = await Promise.all([
    prisma.environment.findMany(),
    prisma.flag.findMany({ where: { archivedAt: null } }),
  ]);
  return new Map(
    environments.map(({ name, revision }) => [
      name,
      {
        revision: Number(revision),
        flags: flags
          .flatMap(({ environment, key, signedDefinition }): [string, string][] =>
            environment === name ? [[key, signedDefinition ?? '']] : [],
          )
          .sort(),
      },
    ]),
  );
}

const heldBy = ({ state }: SimulatedVehicle) =>
  [...state.flags.values()].map(({ key, held }): [string, string] => [key, held.jws]).sort();

test(`whatever goes astray, in the end every vehicle holds what the server holds (${RUNS} runs)`, async () => {
  const totals = { edits: 0, syncs: 0, cuts: 0, lost: 0 };
  await fc.assert(
    fc.asyncProperty(
      fc.boolean(),
      fc.array(step, { minLength: 10, maxLength: 40, size: 'max' }),
      fc.infiniteStream(fc.constantFrom<Fate>('delivered', 'delivered', 'delivered', 'lost', 'doubled', 'held')),
      async (lossy, steps, fates) => {
        let faultless = !lossy;
        const fate = () => {
          const next = faultless ? 'delivered' : (fates.next().value as Fate);
          if (next === 'lost') totals.lost++;
          return next;
        };
        // New ones in each run: a vehicle that asks for its partition more than ten times a minute has to wait.
        const vehicles = VEHICLES.map(
          (environment) =>
            new SimulatedVehicle(`KMHK281HGNU${String(++vehiclesMade).padStart(6, '0')}`, environment, keys, fate),
        );
        const route = (stream: number, queries: number) => ({
          stream: instances[stream]!.connection,
          queries: instances[queries]!.connection,
        });
        const flags: string[] = [];
        for (let index = 0; index < FLAGS; index++) flags.push(await create(ENVIRONMENTS[index % 3] as Environment));
        try {
          for (const [index, vehicle] of vehicles.slice(1).entries())
            vehicle.connect(route(index % 2, (index + 1) % 2));
          for (const it of steps) {
            if (it.do === 'edit') {
              totals.edits++;
              await edit(flags, it.flag, it.how, it.to);
            } else if (it.do === 'announce') await announce(it.fate);
            else if (it.do === 'connect') vehicles[it.vehicle]?.connect(route(it.stream, it.queries));
            else if (it.do === 'cut') {
              totals.cuts++;
              await vehicles[it.vehicle]?.disconnect();
            } else for (let index = 0; index < it.turns; index++) await turn();
          }
          // The network is whole again. What was lost on the stream is seen by the next change; if nothing was, none is
          // needed.
          for (const [index, vehicle] of vehicles.entries()) vehicle.connect(route(index % 2, (index >> 1) % 2));
          faultless = true;
          const last = new Map<Environment, string>();
          if (lossy) for (const environment of ENVIRONMENTS) last.set(environment, await create(environment));
          for (const environment of ENVIRONMENTS) await wire.publish(FLAGS_CHANGED, environment);
          const server = await truth();
          await eventually(() =>
            vehicles.every(({ state }) => state.revision === server.get(state.identity.environment)?.revision),
          );

          for (const vehicle of vehicles) {
            const { revision, flags: expected } = server.get(vehicle.state.identity.environment)!;
            expect(vehicle.state).toMatchObject({ revision, complete: true });
            expect(heldBy(vehicle)).toEqual(expected);
            expect(vehicle.revisions).toEqual([...vehicle.revisions].sort((a, b) => a - b));
            expect(vehicle.refusals).toEqual([]);
            totals.syncs += vehicle.syncs;
          }
          for (const key of [...flags, ...last.values()]) {
            const [flag] = await service.byKeys([key]);
            if (flag?.archivedAt === null) await service.archiveFlag(identity, key, null);
          }
          announcements.splice(0);
        } finally {
          for (const vehicle of vehicles) await vehicle.disconnect();
        }
      },
    ),
    { seed: SEED, numRuns: RUNS },
  );
  // A run without these would show nothing.
  expect(Math.min(totals.edits, totals.syncs, totals.cuts)).toBeGreaterThan(RUNS);
  // How many events are on their way when a fate strikes depends on the machine.
  expect(totals.lost).toBeGreaterThan(0);
}, 300_000);
