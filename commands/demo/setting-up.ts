/** Fills an empty control plane through its API: fleet, a segment, flags with rules, a planned experiment. */
import { randomBytes } from 'node:crypto';
import { ApiClient } from './api-client.ts';
import { COMPARED, FLAGS, SEGMENT } from './flags.ts';
import { FLEET } from './fleet/fleet.ts';
import type { DemoAccount } from './stage.ts';

/** The shown part of the API's `Flag`. */
export interface ShownFlag {
  readonly key: string;
  readonly type: string;
  readonly safetyLevel: string;
  readonly environment: string;
  readonly enabled: boolean;
  readonly killed: boolean;
  readonly defaultValue: unknown;
  readonly rules: readonly { readonly id: string; readonly type: string }[];
}

/** The shown part of the API's `Experiment`. */
export interface ShownExperiment {
  readonly name: string;
  readonly status: string;
  readonly sampleSize: number;
  readonly primaryMetric: string;
  readonly flag: { readonly key: string };
}

/** The content of the control plane, as the API reports it. */
export interface Inventory {
  readonly vehicles: readonly { readonly model: string; readonly swVersion: string; readonly region: string }[];
  readonly flags: readonly ShownFlag[];
  readonly experiment: ShownExperiment;
  /** The account that has approved the ASIL-D changes. */
  readonly reviewer: DemoAccount;
}

/** Creates everything and reads it back. Throws what the API refuses. */
export async function setUp(api: ApiClient): Promise<Inventory> {
  const { registerVehicles } = await api.ask<{ registerVehicles: Inventory['vehicles'] }>(
    'mutation ($input: [RegisterVehicleInput!]!) { registerVehicles(input: $input) { model swVersion region } }',
    { input: FLEET },
  );
  const reviewer = { email: 'sam.safety@fleetflag.local', password: randomBytes(12).toString('base64url') };
  const second = await signUp(api, reviewer);
  await api.ask(
    'mutation ($key: String!, $name: String!, $conditions: JSON!) { saveSegment(key: $key, name: $name, conditions: $conditions) { applied } }',
    SEGMENT,
  );
  for (const { rules, safetyLevel, ...rest } of FLAGS) {
    // Every change of an ASIL-D flag waits for a second person, and so does the change to ASIL-D. Making that change
    // last, when the flag has its rules, needs only one approval.
    const isAsilD = safetyLevel === 'ASIL_D';
    await api.ask('mutation ($input: CreateFlagInput!) { createFlag(input: $input) { applied } }', {
      input: { ...rest, safetyLevel: isAsilD ? 'ASIL_B' : safetyLevel },
    });
    for (const rule of rules) {
      await api.ask(
        'mutation ($flagKey: String!, $input: RuleInput!) { createRule(flagKey: $flagKey, input: $input) { applied } }',
        { flagKey: rest.key, input: rule },
      );
    }
    if (isAsilD) await raise(api, second, rest.key);
  }
  const { createExperiment } = await api.ask<{ createExperiment: ShownExperiment }>(
    'mutation ($input: CreateExperimentInput!) { createExperiment(input: $input) { name status sampleSize primaryMetric flag { key } } }',
    {
      input: {
        flagKey: COMPARED,
        name: 'Compact head-up display',
        description: 'Do drivers look at the centre screen less often?',
        startDate: new Date(Date.now() + 24 * 3_600_000).toISOString(),
        sampleSize: 60,
        primaryMetric: 'centre_screen_glances_per_hour',
      },
    },
  );
  return { vehicles: registerVehicles, flags: await readFlags(api), experiment: createExperiment, reviewer };
}

/** Creates the second person's account, and signs in. */
async function signUp(api: ApiClient, { email, password }: DemoAccount): Promise<ApiClient> {
  await api.ask('mutation ($input: CreateUserInput!) { createUser(input: $input) { id } }', {
    input: { email, password, name: 'Sam Safety', role: 'SAFETY' },
  });
  const person = new ApiClient(api.url);
  await person.signIn(email, password);
  return person;
}

/** Requests a flag's change to ASIL-D, and approves it as the second person. */
async function raise(api: ApiClient, second: ApiClient, key: string): Promise<void> {
  const { updateFlag } = await api.ask<{ updateFlag: { changeRequest: { id: string } } }>(
    'mutation ($key: String!) { updateFlag(key: $key, input: {safetyLevel: ASIL_D}) { changeRequest { id } } }',
    { key },
  );
  await second.ask(
    'mutation ($id: ID!) { approveChangeRequest(id: $id, comment: "Reviewed for the demo") { status } }',
    { id: updateFlag.changeRequest.id },
  );
}

/** Reads all flags of the control plane (the demo has less than one page of them), oldest first. */
export async function readFlags(api: ApiClient): Promise<ShownFlag[]> {
  const { flags } = await api.ask<{ flags: { nodes: ShownFlag[] } }>(
    '{ flags(first: 50) { nodes { key type safetyLevel environment enabled killed defaultValue rules { id type } } } }',
  );
  return flags.nodes.reverse();
}

/** Reads the production environment's revision and the keys of the flags that a vehicle at `since` would receive. */
export async function readSync(api: ApiClient, since: number): Promise<{ revision: number; changed: string[] }> {
  const { flagSync } = await api.ask<{ flagSync: { revision: number; flags: { key: string }[] } }>(
    'query ($since: Int) { flagSync(environment: PRODUCTION, since: $since) { revision flags { key } } }',
    { since },
  );
  return { revision: flagSync.revision, changed: flagSync.flags.map(({ key }) => key).sort() };
}
