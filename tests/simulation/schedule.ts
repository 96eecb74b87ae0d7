/**
 * One schedule: changes, faults and crashes by a seed, then a network that is whole again, and the laws all the time.
 */
import { heldRevision, type VehicleState } from '../../agent/state.ts';
import { KILL, ON } from '../../agent/testing/rules.ts';
import type { PinnedKeys } from '../../agent/trust/pinned-keys.ts';
import type { Signer } from '../../subgraphs/flags/signing/signing.ts';
import { NetworkVehicle } from './network-vehicle.ts';
import { SimulatedDatabase, SimulatedInstance } from './simulated-control-plane.ts';
import { VirtualWorld } from './virtual-time.ts';

const KEYS = ['brake', 'eco', 'lane', 'park', 'seat'];
const INSTANCES = 2;
const VEHICLES = 3;
const DAY_MS = 86_400_000;
/** The steps of a schedule. */
const STEPS = 30;
/** The time within which every vehicle has to be in step once the network is whole. */
const CONVERGENCE_MS = 2 * 3_600_000;

/** A breach of a law, with the seed that shows it. */
class BrokenLaw extends Error {
  override readonly name = 'BrokenLaw';
}

/** The counts of a schedule that has kept all laws. */
export interface Outcome {
  readonly changes: number;
  readonly crashes: number;
  readonly states: number;
  /** The milliseconds until all vehicles were in step. */
  readonly convergedMs: number;
}

/** Deliberate errors of a schedule, so that a test can prove that the laws detect them. */
export interface Meddling {
  /** Changes the state that a vehicle is about to report. */
  readonly state?: (state: VehicleState) => VehicleState;
}

/** Runs the schedule of a seed. Rejects with a BrokenLaw. */
export async function runSchedule(
  seed: number,
  signer: Signer,
  keys: PinnedKeys,
  { state: meddled = (state) => state }: Meddling = {},
): Promise<Outcome> {
  const world = new VirtualWorld(seed);
  const { random } = world;
  const database = new SimulatedDatabase(signer);
  const counts = { changes: 0, crashes: 0, states: 0 };
  let broken: BrokenLaw | null = null;
  const breach = (law: string) => {
    broken ??= new BrokenLaw(`seed ${seed}: ${law}`);
  };

  function check(vehicle: NetworkVehicle, next: VehicleState): void {
    counts.states += 1;
    const state = meddled(next);
    const { vin } = vehicle;
    if (state.revision < vehicle.reported)
      breach(`${vin} is at revision ${state.revision} after it reported ${vehicle.reported}`);
    for (const [key, { served }] of state.flags) {
      const before = vehicle.state.flags.get(key)?.served?.revision ?? 0;
      if (vehicle.isOn && vehicle.state.revision <= state.revision && (served?.revision ?? 0) < before)
        breach(`${vin} serves ${key} of revision ${served?.revision ?? 0} after ${before}`);
    }
    const revision = heldRevision(state);
    if (!state.complete) return;
    const expected = database.sets.get(revision);
    const held = new Map([...state.flags].map(([key, flag]) => [key, flag.held.jws]));
    const isSame = expected?.size === held.size && [...held].every(([key, jws]) => expected.get(key) === jws);
    if (!isSame) breach(`${vin} reports revision ${revision} and holds ${[...held.keys()].join(', ')}`);
    const latest = database.leftAt.get(revision) ?? Infinity;
    for (const [key, { cachedAt }] of state.flags)
      if (cachedAt > latest) breach(`${vin} takes ${key} of revision ${revision} for fresh after it was left`);
  }

  const instances = Array.from({ length: INSTANCES }, () => new SimulatedInstance(world, database, signer));
  let isWhole = false;
  /** Announcements are lost now and then; each instance polls within a second. */
  database.watch(() => {
    for (const instance of instances) {
      if (random.next() < 0.6) setTimeout(() => void instance.poll(), random.whole(1, 100));
      setTimeout(() => void instance.poll(), random.whole(1, 1_000));
    }
  });
  const route = () => {
    if (!isWhole && random.next() < 0.2) return null;
    const up = instances.filter((instance) => instance.isUp);
    return up.length === 0 ? null : { stream: random.pick(up), queries: random.pick(up) };
  };
  /** SQLite takes most of the time of a schedule, so it is in every eighth. */
  const disks = seed % 8 === 0 ? 1 : 0;
  const vehicles = Array.from(
    { length: VEHICLES },
    (_, index) => new NetworkVehicle(world, `KMHK281HGNU00000${index}`, keys, route, check, index < disks),
  );

  async function change(): Promise<void> {
    counts.changes += 1;
    const key = random.pick(KEYS);
    if (random.next() < 0.12 && database.keys.includes(key)) return database.put(key, null);
    const common = { type: 'boolean', safetyLevel: 'ASIL-B', defaultValue: false } as const;
    const rules = random.next() < 0.2 ? [KILL] : random.next() < 0.5 ? [ON] : [];
    await database.put(key, { ...common, enabled: random.next() < 0.8, rules });
  }
  function restart(vehicle: NetworkVehicle): void {
    counts.crashes += 1;
    vehicle.crash();
    setTimeout(() => void vehicle.start(), random.whole(1, 5_000));
  }
  function restartInstance(instance: SimulatedInstance): void {
    counts.crashes += 1;
    instance.crash();
    setTimeout(() => void instance.start(), random.whole(1, 4_000));
  }

  async function step(): Promise<void> {
    const chance = random.next();
    const vehicle = random.pick(vehicles);
    const instance = random.pick(instances);
    if (chance < 0.4) await change();
    else if (chance < 0.5) for (let count = random.whole(2, 4); count > 0; count -= 1) await change();
    else if (chance < 0.6) vehicle.cut();
    else if (chance < 0.7 && vehicle.isOn) restart(vehicle);
    else if (chance < 0.76 && instance.isUp) restartInstance(instance);
    else if (chance < 0.84) instance.isReaching = !instance.isReaching;
    else if (chance < 0.92) vehicle.stallMs = random.pick([0, 200, 4_000, 20_000]);
    else vehicle.offsetMs = random.pick([0, -400, 1, 3, 700]) * DAY_MS;
  }

  const inStep = () =>
    vehicles.every(({ isOn, state }) => isOn && state.complete && state.revision === database.revision);
  try {
    await change();
    await Promise.all([world.run(100), ...instances.map((instance) => instance.start())]);
    for (const vehicle of vehicles) void vehicle.start();
    for (let index = 0; index < STEPS && broken === null; index += 1) {
      await step();
      // From within one message to longer than most faults.
      await world.run(Math.round(2 ** (random.next() * 13)));
    }
    isWhole = true;
    for (const instance of instances) instance.isReaching = true;
    for (const vehicle of vehicles) vehicle.stallMs = 0;
    if (random.next() < 0.5) for (const vehicle of vehicles) vehicle.offsetMs = 0;
    const from = Date.now();
    await world.run(CONVERGENCE_MS, () => broken !== null || inStep());
    if (!inStep())
      breach(
        `${vehicles.map(({ vin, state }) => `${vin} at ${state.revision}${state.complete ? '' : ' incomplete'}`).join(', ')} two hours after the last fault; the database is at ${database.revision}`,
      );
    for (const { vin, refusals } of vehicles)
      if (refusals.includes('incomplete')) breach(`${vin} got a set that was not whole from an honest control plane`);
    if (broken !== null) throw broken as BrokenLaw;
    return { ...counts, convergedMs: Date.now() - from };
  } finally {
    for (const vehicle of vehicles) vehicle.crash();
    await world.run(1_000);
    world.end();
  }
}
