/** Filling an empty control plane through its API: fleet, flags with rules, a planned experiment. */
import { randomBytes } from 'node:crypto';
import { ApiClient } from './api-client.ts';
import { COMPARED, FLAGS } from './flags.ts';
import { FLEET } from './fleet.ts';
import type { Account } from './stage.ts';

/** The part of the API's `Flag` that is shown. */
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

export interface ShownExperiment {
  readonly name: string;
  readonly status: string;
  readonly sampleSize: number;
  readonly primaryMetric: string;
  readonly flag: { readonly key: string };
}

/** What the control plane holds, by its own account. */
export interface Inventory {
  readonly vehicles: readonly { readonly model: string; readonly swVersion: string; readonly region: string }[];
  readonly flags: readonly ShownFlag[];
  readonly experiment: ShownExperiment;
  /** Who has approved what is ASIL-D. */
  readonly reviewer: Account;
}

/** Creates everything and reads it back. Throws what the API refuses. */
export async function setUp(api: ApiClient): Promise<Inventory> {
  const { registerVehicles } = await api.ask<{ registerVehicles: Inventory['vehicles'] }>(
    'mutation ($input: [RegisterVehicleInput!]!) { registerVehicles(input: $input) { model swVersion region } }',
    { input: FLEET },
  );
  const reviewer = { email: 'sam.safety@fleetflag.local', password: randomBytes(12).toString('base64url') };
  const second = await signUp(api, reviewer);
  for (const { rules, safetyLevel, ...rest } of FLAGS) {
    // Every change of an ASIL-D flag waits for a second person, and so does becoming one: once, when its rules are
    // there.
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

/** Makes an account for the second person, and signs them in. */
async function signUp(api: ApiClient, { email, password }: Account): Promise<ApiClient> {
  await api.ask('mutation ($input: CreateUserInput!) { createUser(input: $input) { id } }', {
    input: { email, password, name: 'Sam Safety', role: 'SAFETY' },
  });
  const person = new ApiClient(api.url);
  await person.signIn(email, password);
  return person;
}

/** Makes a flag ASIL-D as one asks for it, and another agrees. */
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

/** All flags of the control plane (the demo has fewer than one page), oldest first. */
export async function readFlags(api: ApiClient): Promise<ShownFlag[]> {
  const { flags } = await api.ask<{ flags: { nodes: ShownFlag[] } }>(
    '{ flags(first: 50) { nodes { key type safetyLevel environment enabled killed defaultValue rules { id type } } } }',
  );
  return flags.nodes.reverse();
}

/** The production environment's revision and how many flags a vehicle that is at `since` would be sent. */
export async function readSync(api: ApiClient, since: number): Promise<{ revision: number; changed: string[] }> {
  const { flagSync } = await api.ask<{ flagSync: { revision: number; flags: { key: string }[] } }>(
    'query ($since: Int) { flagSync(environment: PRODUCTION, since: $since) { revision flags { key } } }',
    { since },
  );
  return { revision: flagSync.revision, changed: flagSync.flags.map(({ key }) => key).sort() };
}
