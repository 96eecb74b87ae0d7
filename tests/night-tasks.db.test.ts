/**
 * The playground's tasks, each run as a night on call would: over the whole control plane, by people of several roles.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { NIGHT_TASKS, type NightTask } from '../gateway/pages/playground/night-tasks.ts';
import { EveryCaller, SAMPLE_VIN } from './testing/every-caller.ts';
import type { CallerName } from './testing/permission-matrix.ts';

const TASKS = NIGHT_TASKS.flatMap(({ tasks }) => tasks);
const ran = new Set<string>();

function task(title: string): NightTask {
  const found = TASKS.find((candidate) => candidate.title === title);
  if (found === undefined) throw new Error(`There is no task "${title}".`);
  ran.add(title);
  return found;
}

interface Answer<T> {
  readonly data: T;
  readonly errors?: unknown;
}

let every: EveryCaller;

async function ask<T>(name: CallerName, query: string, variables: object = {}): Promise<Answer<T>> {
  const { headers } = await every.as(name);
  const response = await fetch(every.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ query, variables }),
  });
  return (await response.json()) as Answer<T>;
}

/** Runs a task with its own variables, of which some are filled in. Gives its data; an error fails the test. */
async function run<T>(title: string, filledIn: object = {}, name: CallerName = 'WRITE'): Promise<T> {
  const { operation, variables } = task(title);
  const answer = await ask<T>(name, operation, { ...variables, ...filledIn });
  expect([title, answer.errors]).toEqual([title, undefined]);
  return answer.data;
}

/** Runs a subscription task and gives its first event. Repeats `act` until it comes. */
async function firstEvent(title: string, act: () => Promise<unknown>, filledIn: object = {}): Promise<unknown> {
  const { operation, variables } = task(title);
  const { headers } = await every.as('WRITE');
  const client = createClient({
    url: every.url.replace(/^http/, 'ws'),
    webSocketImpl: WebSocket,
    connectionParams: { ...headers },
    retryAttempts: 0,
  });
  const events = client.iterate({ query: operation, variables: { ...variables, ...filledIn } });
  try {
    const first = events.next();
    let isThere = false;
    void first.finally(() => (isThere = true));
    // A stream begins some instants after it was asked for.
    while (!isThere) await act();
    const result = await first;
    if (result.done) throw new Error(`"${title}" has ended without an event.`);
    expect(result.value.errors).toBeUndefined();
    return result.value.data;
  } finally {
    await events.return?.();
    await client.dispose();
  }
}

const flag = (key: string, safetyLevel: string) =>
  `createFlag(input: {key: "${key}", name: "Lane assistant", type: BOOLEAN, defaultValue: false, safetyLevel: ${safetyLevel}, environment: PRODUCTION, enabled: true}) { flag { revision } changeRequest { id } }`;

beforeAll(async () => {
  every = await EveryCaller.start();
  for (const mutation of [
    flag('lane_keep', 'NON_CRITICAL'),
    'createRule(flagKey: "lane_keep", input: {type: PERCENTAGE_ROLLOUT, conditions: {rollout_percentage: 5}}) { applied }',
  ])
    expect(await ask('ADMIN', `mutation { ${mutation} }`)).not.toHaveProperty('errors');
});
afterAll(() => every.close());

test('A feature is found, stopped, followed and released', async () => {
  expect(await run('Find a flag', { search: 'assistant' })).toMatchObject({
    flags: { totalCount: 1, nodes: [{ key: 'lane_keep', killed: false }] },
  });
  expect(await run('Show a flag', { key: 'lane_keep' })).toMatchObject({
    flag: { rules: [{ type: 'PERCENTAGE_ROLLOUT' }], history: { nodes: [{ action: 'CREATE_RULE' }, {}] } },
  });
  const killed = await run<{ killSwitch: { flag: { revision: number } } }>(
    'Kill a flag',
    { key: 'lane_keep', reason: 'Complaints from the field' },
    'SAFETY',
  );
  expect(killed).toMatchObject({ killSwitch: { applied: true, flag: { killed: true, defaultValue: false } } });
  const { revision } = killed.killSwitch.flag;
  expect(await run('See how far it has got', { revision, status: null })).toMatchObject({
    rolloutProgress: {
      revision,
      applied: 0,
      total: 1,
      percent: 0,
      missing: { totalCount: 1, nodes: [{ vin: SAMPLE_VIN }] },
    },
    fleet: { total: 2 },
  });
  expect(await run('Ask why a vehicle gets a value', { key: 'lane_keep', context: { vin: SAMPLE_VIN } })).toMatchObject(
    {
      explainEvaluation: {
        evaluation: { value: false, reason: 'DISABLED' },
        facts: { vin: SAMPLE_VIN },
        rules: [{ outcome: 'DECIDED', rule: { type: 'KILL_SWITCH' } }, { rule: { type: 'PERCENTAGE_ROLLOUT' } }],
      },
    },
  );
  expect(await run('Release a flag', { key: 'lane_keep', reason: 'Mended' })).toMatchObject({
    releaseKillSwitch: { applied: true, flag: { killed: false }, changeRequest: null },
  });
});

test('What waits is listed, approved and rejected', async () => {
  for (const key of ['brake_a', 'brake_b']) await ask('WRITE', `mutation { ${flag(key, 'ASIL_D')} }`);
  const { changeRequests } = await run<{ changeRequests: { id: string }[] }>('List change requests', {}, 'SAFETY');
  const [second, first] = changeRequests;
  expect(changeRequests).toMatchObject([
    { action: 'CREATE_FLAG', outdated: false, flag: { key: 'brake_b' } },
    { flag: { key: 'brake_a' } },
  ]);
  expect(await run('Approve a change', { id: first?.id, comment: 'Reviewed' }, 'SAFETY')).toMatchObject({
    approveChangeRequest: { status: 'APPROVED', flag: { key: 'brake_a' } },
  });
  expect(await run('Reject a change', { id: second?.id, comment: 'No analysis' }, 'SAFETY')).toMatchObject({
    rejectChangeRequest: { status: 'REJECTED', comment: 'No analysis' },
  });
});

test('Rollouts are listed, paused, resumed and cancelled', async () => {
  const { data } = await ask<{ flag: { rules: { id: string; type: string }[] } }>(
    'WRITE',
    '{ flag(key: "lane_keep") { rules { id type } } }',
  );
  const ruleId = data.flag.rules.find(({ type }) => type === 'PERCENTAGE_ROLLOUT')?.id;
  const scheduled = await ask<{ scheduleRollout: { rollout: { id: string } } }>(
    'WRITE',
    `mutation { scheduleRollout(flagKey: "lane_keep", ruleId: "${ruleId}", steps: [{ percentage: 50, after: "PT2H" }]) { rollout { id } } }`,
  );
  const { id } = scheduled.data.scheduleRollout.rollout;
  const { flags } = await run<{ flags: { nodes: { rules: unknown[] }[] } }>('List rollouts that go on');
  expect(flags.nodes).toHaveLength(1);
  expect(flags.nodes[0]?.rules).toContainEqual(
    expect.objectContaining({ rollout: expect.objectContaining({ id, status: 'RUNNING' }) }),
  );
  expect(await run('Pause a rollout', { id, reason: 'Complaints' }, 'SAFETY')).toMatchObject({
    pauseRollout: { status: 'PAUSED', pausedReason: 'Complaints' },
  });
  expect(await run('Resume a rollout', { id })).toMatchObject({
    resumeRollout: { status: 'RUNNING', changeRequest: null },
  });
  expect(await run('Cancel a rollout', { id, reason: 'Replaced' })).toMatchObject({
    cancelRollout: { status: 'CANCELLED', currentPercentage: 5 },
  });
});

test('Vehicles are found and shown', async () => {
  expect(await run('Find vehicles')).toMatchObject({ vehicles: { totalCount: 2, nodes: [{ vin: SAMPLE_VIN }, {}] } });
  expect(await run('Look at one vehicle', { vin: SAMPLE_VIN })).toMatchObject({
    vehicle: { vin: SAMPLE_VIN, status: 'OFFLINE', evaluations: expect.arrayContaining([expect.anything()]) },
  });
});

test('It is seen who did what', async () => {
  expect(await run('Read the audit log of a flag', { key: 'lane_keep' })).toMatchObject({
    auditLogs: { nodes: expect.arrayContaining([expect.objectContaining({ action: 'KILL_SWITCH' })]) },
  });
  expect(await run('Verify the audit log', {}, 'SAFETY')).toMatchObject({ auditIntegrity: { intact: true } });
  expect(await run('Ask what I may do')).toMatchObject({
    me: { role: 'WRITE', permissions: expect.arrayContaining(['Mutation.killSwitch']) },
  });
});

test('What happens is watched', async () => {
  const change = () =>
    ask('WRITE', `mutation { updateFlag(key: "lane_keep", input: {name: "${Math.random()}"}) { applied } }`);
  expect(await firstEvent('Watch changes reach vehicles', change)).toMatchObject({
    flagChanges: { flag: { key: 'lane_keep', updatedBy: { name: 'WRITE' } } },
  });
  expect(await firstEvent('Watch the audit log', change)).toMatchObject({
    auditTrail: { action: 'UPDATE_FLAG', flag: { key: 'lane_keep' } },
  });
  let count = 0;
  const request = () => ask('WRITE', `mutation { ${flag(`brake_watched_${(count += 1)}`, 'ASIL_D')} }`);
  expect(await firstEvent('Watch change requests', request)).toMatchObject({
    changeRequestChanges: { status: 'PENDING', action: 'CREATE_FLAG' },
  });
  let isIn = false;
  const maintain = () =>
    ask(
      'WRITE',
      `mutation { setVehicleMaintenance(vin: "${SAMPLE_VIN}", maintenance: ${String((isIn = !isIn))}) { vin } }`,
    );
  expect(await firstEvent('Watch vehicles come and go', maintain, { region: 'EU' })).toMatchObject({
    vehicleStatusChanges: { vin: SAMPLE_VIN, region: 'EU' },
  });
});

test('No task is left that has not been run', () => {
  expect(TASKS.map(({ title }) => title).filter((title) => !ran.has(title))).toEqual([]);
});
