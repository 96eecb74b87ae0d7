/** Several gateway processes on one port (`--workers`), as clients and operators meet them. */
import { Agent, request } from 'node:http';
import type { Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createClient, type Client } from 'graphql-ws';
import { WebSocket } from 'ws';
import { OPERATIONS } from '../agent/link/operations.ts';
import { Api } from './harness/api.ts';
import { Deployment } from './harness/deployment.ts';
import { eventually } from './harness/process.ts';
import { clientPortsOf, workersOf } from './harness/workers.ts';

const FLAG = 'shared_port';
const VIN = 'KMHK281HGNU000001';
/** More connections than this on one worker alone would be no chance. */
const MANY = 60;

let deployment: Deployment;
let admin: Api;
let gateway: number;
const vehicles: Vehicle[] = [];

/** A vehicle that reconnects, and the revisions that it has heard of. */
class Vehicle {
  readonly revisions = new Set<number>();
  readonly client: Client;

  constructor(token: string) {
    this.client = createClient({
      url: deployment.wsUrl,
      webSocketImpl: WebSocket,
      lazy: false,
      retryAttempts: Infinity,
      shouldRetry: () => true,
      retryWait: () => new Promise((resolve) => setTimeout(resolve, 50)),
      connectionParams: { authorization: `Bearer ${token}` },
    });
    this.client.subscribe<{ flagChanges: { revision: number } }>(
      { query: OPERATIONS.changes, variables: { environment: 'PRODUCTION' } },
      {
        next: ({ data }) => void this.revisions.add(data?.flagChanges.revision ?? 0),
        error: () => undefined,
        complete: () => undefined,
      },
    );
  }
}

beforeAll(async () => {
  deployment = await Deployment.start({}, undefined, ['--workers', '2']);
  admin = await Api.admin(deployment);
  gateway = deployment.processes.at(-1)?.child.pid ?? 0;
  await admin.ok('mutation ($input: CreateFlagInput!) { createFlag(input: $input) { applied } }', {
    input: {
      key: FLAG,
      name: FLAG,
      type: 'BOOLEAN',
      defaultValue: false,
      safetyLevel: 'NON_CRITICAL',
      environment: 'PRODUCTION',
    },
  });
}, 120_000);
afterAll(async () => {
  for (const { client } of vehicles) await client.dispose();
  await deployment?.remove();
}, 60_000);

const port = () => Number(new URL(deployment.url).port);

/** Gives the number of connections that each worker holds. */
async function connections(): Promise<number[]> {
  return Promise.all((await workersOf(gateway)).map(async (pid) => (await clientPortsOf(pid, port())).length));
}

/** A figure of `/metrics`. */
async function figure(name: string): Promise<number | undefined> {
  const text = await (await fetch(`${deployment.url}/metrics`)).text();
  const line = text.split('\n').find((each) => each.startsWith(`${name} `));
  return line === undefined ? undefined : Number(line.slice(name.length + 1));
}

/** Switches the flag, and waits until every vehicle has heard of it. */
async function switchAndHear(field: 'enableFlag' | 'disableFlag'): Promise<void> {
  const answer = await admin.ok<Record<string, { flag: { revision: number } }>>(
    `mutation { ${field}(key: "${FLAG}") { flag { revision } } }`,
  );
  const revision = answer[field]?.flag.revision ?? 0;
  await eventually(
    () => vehicles.every(({ revisions }) => revisions.has(revision)),
    'Every vehicle hears of the change',
  );
}

test('a change reaches the vehicles of every worker, and the figures are sums over all of them', async () => {
  const token = await admin.vehicle(VIN);
  await eventually(async () => {
    if (vehicles.length < MANY) vehicles.push(new Vehicle(token));
    return (await connections()).every((count) => count > 1);
  }, 'Both workers have connections');
  await eventually(
    async () => (await figure('fleetflag_socket_operations')) === vehicles.length,
    'Every vehicle has subscribed',
  );
  expect(await figure('fleetflag_sockets{caller="vehicle"}')).toBe(vehicles.length);
  expect(await figure('fleetflag_workers')).toBe(2);
  await switchAndHear('enableFlag');
});

/** Asks over a connection of its own; gives the status and the client's port. */
function get(agent: Agent, path: string, key: string): Promise<{ status: number; clientPort: number }> {
  return new Promise((resolve, reject) => {
    let socket: Socket | undefined;
    request(`${deployment.url}${path}`, { agent, headers: { 'x-api-key': key, 'apollo-require-preflight': '1' } })
      .on('socket', (used) => (socket = used))
      .on('response', (response) => {
        const clientPort = socket?.localPort ?? 0;
        response.resume().on('end', () => resolve({ status: response.statusCode ?? 0, clientPort }));
      })
      .on('error', reject)
      .end();
  });
}

test('the rate of an API key is one rate, whichever worker is asked', async () => {
  const LIMIT = MANY + 20;
  const body = 'query Flags { flags { totalCount } }';
  await admin.ok('mutation ($manifest: JSON!) { registerPersistedOperations(manifest: $manifest) { id } }', {
    manifest: { Flags: body },
  });
  const { createApiKey } = await admin.ok<{ createApiKey: { key: string } }>(
    'mutation ($input: CreateApiKeyInput!) { createApiKey(input: $input) { key } }',
    { input: { name: 'Partner', role: 'READ', rateLimitPerMin: LIMIT } },
  );
  const ask = (agent: Agent) => get(agent, `/graphql?id=${'Flags'}`, createApiKey.key);
  const agents: Agent[] = [];
  try {
    const statuses: number[] = [];
    const byWorker = new Map<number, Agent>();
    await eventually(async () => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      agents.push(agent);
      const { status, clientPort } = await ask(agent);
      statuses.push(status);
      for (const pid of await workersOf(gateway))
        if ((await clientPortsOf(pid, port())).includes(clientPort)) byWorker.set(pid, agent);
      return byWorker.size === 2 || agents.length >= MANY;
    }, 'Both workers have a connection of the key');
    const [one, other] = [...byWorker.values()];
    if (one === undefined || other === undefined) throw new Error('All connections went to one worker');
    while (statuses.length < LIMIT + 6) statuses.push((await ask(statuses.length % 2 === 0 ? one : other)).status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(LIMIT);
    expect(statuses.filter((status) => status === 429)).toHaveLength(6);
  } finally {
    for (const agent of agents) agent.destroy();
  }
});

test('a worker that is killed is replaced, its vehicles come back, and miss no further change', async () => {
  const [killed = 0, kept] = await workersOf(gateway);
  process.kill(killed, 'SIGKILL');
  await eventually(async () => {
    const workers = await workersOf(gateway);
    return workers.length === 2 && !workers.includes(killed);
  }, 'Another worker runs in its place');
  expect(await workersOf(gateway)).toContain(kept);
  await eventually(
    async () => (await figure('fleetflag_socket_operations')) === vehicles.length,
    'Every vehicle has subscribed again',
  );
  expect(await figure('fleetflag_workers_replaced_total')).toBe(1);
  await switchAndHear('disableFlag');
  expect(deployment.output).toContain('A gateway process has ended; its clients reconnect, and another starts');
});

test('all workers end in order with the process that has started them', async () => {
  const workers = await workersOf(gateway);
  expect(workers).toHaveLength(2);
  for (const { client } of vehicles.splice(0)) await client.dispose();
  expect(new Set(await deployment.down())).toEqual(new Set([0]));
  for (const pid of workers) expect(() => process.kill(pid, 0)).toThrow('ESRCH');
});
