/**
 * The step of the show in which a change reaches the fleet in stages, does harm in the first one, and is taken back.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { ApiClient } from './api-client.ts';
import type { VehicleAgent } from './fleet/vehicle-agent.ts';
import type { Terminal } from './terminal.ts';

const KEY = 'charging_power_limit';
/** The kilowatts before the change, and after it. */
const LIMITS = { before: 150, after: 240 } as const;
/** The model that gets changes first. */
const FIRST = 'GV60';
/** Milliseconds until the release must be halted. The health gate reads faults every two seconds. */
const TIMEOUT_MS = 60_000;

const SET = 'mutation ($input: ReleasePolicyInput!) { setReleasePolicy(input: $input) { environment } }';
/** The safety levels that the policy covers: this flag's alone, so that the other steps of the show go on as before. */
const LEVELS = ['SAFETY_RELEVANT'];

interface ShownRelease {
  readonly status: string;
  readonly percentage: number;
  readonly reason: string | null;
}

async function newest(api: ApiClient): Promise<ShownRelease | undefined> {
  const { releases } = await api.ask<{ releases: { nodes: ShownRelease[] } }>(
    'query ($key: String!) { releases(flagKey: $key, first: 1) { nodes { status percentage reason } } }',
    { key: KEY },
  );
  return releases.nodes[0];
}

/** Waits for a condition. Throws an Error when it does not hold within TIMEOUT_MS. */
async function until<T>(read: () => Promise<T | null>, what: string): Promise<T> {
  const deadline = performance.now() + TIMEOUT_MS;
  for (;;) {
    const found = await read();
    if (found !== null) return found;
    if (performance.now() > deadline) throw new Error(`${what} for too long.`);
    await delay(50);
  }
}

const valuesIn = (agents: readonly VehicleAgent[]) =>
  Promise.all(agents.map(async (agent) => (await agent.evaluate(KEY)).value));

/**
 * Sets a policy, changes a flag under it, reports a fault of the first vehicle, and shows that the change is taken
 * back.
 */
export async function showStages(api: ApiClient, agents: readonly VehicleAgent[], terminal: Terminal): Promise<void> {
  const { bold, dim, red } = terminal.colors;
  const first = agents.find(({ vehicle }) => vehicle.model === FIRST);
  if (first === undefined) throw new Error(`No agent of the model ${FIRST} runs.`);
  terminal.step('A change reaches some vehicles first, does harm there, and is taken back');
  await api.ask('mutation ($input: CreateFlagInput!) { createFlag(input: $input) { applied } }', {
    input: {
      ...{ key: KEY, name: 'Limit of the charging power', description: 'In kilowatts.', type: 'NUMBER' },
      ...{ defaultValue: LIMITS.before, safetyLevel: 'SAFETY_RELEVANT', environment: 'PRODUCTION', enabled: true },
      valueSchema: { type: 'integer', minimum: 0, maximum: 350 },
    },
  });
  const everybody = async () => {
    // An agent that has not heard of the flag yet refuses to evaluate it.
    const values = await valuesIn(agents).catch(() => null);
    return values?.every((value) => value === LIMITS.before) === true ? true : null;
  };
  await until(everybody, `The vehicles do not have ${KEY}`);
  await api.ask(SET, {
    input: {
      environment: 'PRODUCTION',
      stages: [
        { percentage: 1, soak: 'PT1H', minimumVehicles: 10 },
        { percentage: 10, soak: 'P1D', minimumVehicles: 20 },
        { percentage: 100, soak: 'P1D' },
      ],
      canary: { models: [FIRST] },
      safetyLevels: LEVELS,
      maximumFaultyVehicles: 0,
    },
  });
  terminal.say(
    `Changes go to the ${FIRST} and 1 % first, to 10 % an hour later, to everybody a day after that. No vehicle may fail.`,
  );
  terminal.say(`${KEY} goes from ${LIMITS.before} to ${LIMITS.after} kW:`);
  await api.ask(
    'mutation ($key: String!, $input: UpdateFlagInput!) { updateFlag(key: $key, input: $input) { applied } }',
    {
      key: KEY,
      input: { defaultValue: LIMITS.after },
    },
  );
  await until(
    async () => ((await first.evaluate(KEY)).value === LIMITS.after ? true : null),
    `The ${FIRST} has no new limit`,
  );
  const table = async () =>
    terminal.table(
      ['vehicle', KEY],
      (await valuesIn(agents)).map((value, index) => [agents[index]?.name ?? '', bold(String(value))]),
    );
  await table();
  const reported = performance.now();
  await first.reportFault(KEY, 'The cells are warmer than 60 degrees.');
  terminal.say(`The charger of the ${FIRST} reports to its agent: ${red('“The cells are warmer than 60 degrees.”')}`);
  const halted = await until(async () => {
    const release = await newest(api);
    return release?.status === 'HALTED' ? release : null;
  }, `The release of ${KEY} runs`);
  await until(everybody, `The vehicles do not have the former ${KEY}`);
  terminal.say(
    `${((performance.now() - reported) / 1_000).toFixed(1)} s later everybody has the former limit. No other stage has begun, and nobody had to be awake:`,
  );
  terminal.say(dim(halted.reason ?? ''));
  await table();
  // The rest of the show changes flags of all levels at once.
  await api.ask(SET, { input: { environment: 'PRODUCTION', stages: [], safetyLevels: LEVELS } });
}
