/**
 * A contract of gateway and control plane: a vehicle gets nothing of another partition than its own, and comes to hold
 * exactly its partition, by the operations of former and of present agents, through any sequence of scope changes,
 * archives, registrations as another model and cuts, over two gateways.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { createVehicleTokens } from '../core/credentials/vehicle-token.ts';
import { isInPartition, partitionOf } from '../core/partitions/partition.ts';
import { eventually } from '../core/testing/eventually.ts';
import { rounds } from '../core/testing/rounds.ts';
import type { Gateway } from '../gateway/gateway.ts';
import { createSigner, generateSigningKey } from '../subgraphs/flags/signing/signing.ts';
import { startFlags } from '../subgraphs/flags/subgraph.ts';
import { addPerson } from '../subgraphs/flags/testing/flags-under-test.ts';
import { createInProcessBus, type Bus } from '../subgraphs/shared/feeds/bus.ts';
import { createInProcessStore } from '../subgraphs/shared/stores/key-value-store.ts';
import { connectInProcess } from '../subgraphs/shared/subgraph/in-process-connection.ts';
import { identityOf, silent } from '../subgraphs/shared/testing/asking.ts';
import { createTestDatabase, type TestDatabase } from '../subgraphs/shared/testing/test-database.ts';
import { startVehicles } from '../subgraphs/vehicles/subgraph.ts';
import { startFlagsGateway } from './testing/flags-gateway.ts';
import { PartitionVehicle } from './testing/partition-vehicle.ts';

const MODELS = ['A', 'B', 'C', 'D'] as const;
const FLAGS = 6;
const VEHICLES = 8;
/** Milliseconds within which vehicles must be right: moves whose announcement is lost are found by polling. */
const CONVERGENCE_MS = 20_000;

const tokens = createVehicleTokens('a-secret-of-more-than-32-characters-x');
const wire = createInProcessBus();
let isLossy = false;
const bus: Bus = {
  ...wire,
  async publish(channel, message) {
    if (!isLossy) await wire.publish(channel, message);
  },
};

let database: TestDatabase;
const closing: (() => Promise<unknown>)[] = [];
const gateways: Gateway[] = [];
const vehicles: PartitionVehicle[] = [];
const models: string[] = [];
let ask: (name: 'flags' | 'vehicles', query: string, variables: object) => Promise<void>;

beforeAll(async () => {
  database = await createTestDatabase();
  const { prisma } = database.database;
  const writer = identityOf(await addPerson(prisma, 'WRITE'));
  const signer = await createSigner(await generateSigningKey());
  const store = createInProcessStore();
  const registry = await startVehicles({ prisma, tokens, bus, logger: silent, sweepsPresence: false });
  const vehiclesOf = connectInProcess(registry.subgraph, async () => true);
  closing.push(() => registry.close());
  for (let index = 0; index < 2; index++) {
    const started = await startFlags({ prisma, bus, store, signer, logger: silent, appliesRollouts: false });
    const flags = connectInProcess(started.subgraph, async () => true);
    const gateway = await startFlagsGateway({ flags, vehicles: vehiclesOf, signer, vehicleTokens: tokens });
    gateways.push(gateway);
    closing.unshift(
      () => gateway.close(0),
      () => started.close(),
    );
    ask = async (name, query, variables) => {
      const { errors } = await (name === 'flags' ? flags : vehiclesOf).execute({
        query,
        variables: { ...variables },
        identity: writer,
      });
      if (errors !== undefined) throw new Error(JSON.stringify(errors));
    };
  }
  for (let index = 0; index < VEHICLES; index++) {
    const vin = `KMHK281HGNU00000${index}`;
    const model = MODELS[index % MODELS.length] ?? MODELS[0];
    models.push(model);
    await register(vin, model);
    const token = await tokens.issue(vin, 'staging', new Date(Date.now() + 3_600_000));
    const port = () => gateways[Math.floor(Math.random() * gateways.length)]?.port;
    const url = () => `ws://127.0.0.1:${port()}/graphql`;
    vehicles.push(new PartitionVehicle(vin, token, index < VEHICLES / 2 ? 'former' : 'present', url, '*'));
  }
  for (const vehicle of vehicles) vehicle.connect();
});
afterAll(async () => {
  for (const vehicle of vehicles) vehicle.close();
  for (const close of closing) await close();
  await wire.close();
  await database.drop();
});

const register = (vin: string, model: string) =>
  ask(
    'vehicles',
    'mutation ($vin: String!, $model: String!) { registerVehicles(input: [{ vin: $vin, model: $model, swVersion: "1", region: "EU" }]) { vin } }',
    { vin, model },
  );

const scopes = fc.option(fc.uniqueArray(fc.constantFrom(...MODELS), { minLength: 1, maxLength: 3 }), { nil: null });
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('edit' as const),
      flag: fc.nat(FLAGS - 1),
      how: fc.constantFrom('scope', 'scope', 'scope', 'toggle', 'archive'),
      scope: scopes,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('register' as const),
      vehicle: fc.nat(VEHICLES - 1),
      model: fc.constantFrom(...MODELS),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('cut' as const), vehicle: fc.nat(VEHICLES - 1) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('bus' as const), lossy: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('converge' as const) }) },
);

const namedModels = async () =>
  new Set((await database.database.prisma.scopedModel.findMany()).map(({ model }) => model));

let made = 0;
const keys: string[] = [];

/** Does something that may move vehicles: while it lasts, they may have the partition of before or after it. */
async function moving(change: () => Promise<void>, after: (index: number) => string, scope: readonly string[] | null) {
  const named = await namedModels();
  const next = new Set([...named, ...(scope ?? [])]);
  const partitions = vehicles.map((_, index) => [
    partitionOf(models[index] ?? '', named),
    partitionOf(after(index), next),
  ]);
  for (const [index, vehicle] of vehicles.entries()) vehicle.may(...(partitions[index] ?? []));
  await change();
  for (const [index, vehicle] of vehicles.entries()) vehicle.may(...(partitions[index]?.slice(1) ?? []));
}

async function edit(index: number, how: string, scope: readonly string[] | null): Promise<void> {
  const key = keys[index];
  const flag = key === undefined ? null : await database.database.prisma.flag.findUnique({ where: { key } });
  const unmoved = (at: number) => models[at] ?? '';
  if (flag === null || flag.archivedAt !== null) {
    const created = (keys[index] = `flag_${(made += 1)}`);
    const input = {
      key: created,
      name: 'A flag',
      type: 'BOOLEAN',
      defaultValue: false,
      safetyLevel: 'NON_CRITICAL',
      environment: 'STAGING',
      scope,
    };
    const create = 'mutation ($input: CreateFlagInput!) { createFlag(input: $input) { applied } }';
    return moving(() => ask('flags', create, { input }), unmoved, scope);
  }
  if (how === 'archive')
    return ask('flags', 'mutation ($key: String!) { archiveFlag(key: $key) { applied } }', { key });
  const input = how === 'toggle' ? { name: `${flag.name}.` } : { scope };
  const update =
    'mutation ($key: String!, $input: UpdateFlagInput!) { updateFlag(key: $key, input: $input) { applied } }';
  return moving(() => ask('flags', update, { key, input }), unmoved, how === 'toggle' ? null : scope);
}

async function converge(): Promise<void> {
  const { prisma } = database.database;
  const named = await namedModels();
  const living = await prisma.flag.findMany({ where: { environment: 'staging', archivedAt: null } });
  const { revision } = await prisma.environment.findUniqueOrThrow({ where: { name: 'staging' } });
  const expected = models.map((model) => {
    const partition = partitionOf(model, named);
    return living
      .filter(({ scope }) => isInPartition(scope.length === 0 ? null : scope, partition))
      .map(({ key, revision: at }) => `${key}@${at}`)
      .sort();
  });
  const held = () =>
    vehicles.map((vehicle) => Array.from(vehicle.held.values(), ({ key, revision: at }) => `${key}@${at}`).sort());
  await eventually(
    () =>
      vehicles.every((vehicle) => vehicle.revision === Number(revision)) &&
      JSON.stringify(held()) === JSON.stringify(expected),
    undefined,
    CONVERGENCE_MS,
  ).catch(() => {
    expect(held()).toEqual(expected);
    expect(vehicles.map((vehicle) => vehicle.revision)).toEqual(vehicles.map(() => Number(revision)));
  });
}

test(
  'a vehicle gets nothing of another partition, and comes to hold exactly its own',
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 25 }), async (steps) => {
        for (const each of steps) {
          if (each.do === 'edit') await edit(each.flag, each.how, each.scope);
          else if (each.do === 'cut') vehicles[each.vehicle]?.cut();
          else if (each.do === 'bus') isLossy = each.lossy;
          else if (each.do === 'converge') await converge();
          else {
            const { vehicle, model } = each;
            const after = (index: number) => (index === vehicle ? model : (models[index] ?? ''));
            await moving(() => register(vehicles[vehicle]?.vin ?? '', model), after, null);
            models[vehicle] = model;
          }
          expect(vehicles.flatMap(({ faults }) => faults)).toEqual([]);
        }
        await converge();
        expect(vehicles.flatMap(({ faults }) => faults)).toEqual([]);
      }),
      { numRuns: rounds(3, 20), endOnFailure: true },
    );
    // Else nothing was tested of vehicles whose partition changes.
    expect(vehicles.reduce((sum, { completed }) => sum + completed, 0)).toBeGreaterThan(0);
  },
  rounds(120_000, 600_000),
);
