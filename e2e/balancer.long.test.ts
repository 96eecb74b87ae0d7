/** Two gateways behind the balancer of docker/balancer, as browsers, programs and vehicles meet them. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Api } from './harness/api.ts';
import { Deployment, DISTRIBUTED, webSocketOf } from './harness/deployment.ts';
import { describeUnless } from '../core/testing/unless.ts';
import { eventually, ROOT } from './harness/process.ts';
import { VehicleProcess } from './harness/vehicle.ts';
import { freePort } from '../core/testing/free-port.ts';

const CONFIGURATION = join(ROOT, 'docker/balancer/haproxy.cfg');
const hasBalancer = spawnSync('haproxy', ['-v']).status === 0;
const NO_BALANCER = !DISTRIBUTED
  ? 'DATABASE_URL and REDIS_URL name no servers, so there is one gateway only'
  : hasBalancer
    ? null
    : "Debian's package haproxy is not installed";
const VIN = 'KMHK281HGNU000001';

let deployment: Deployment;
let balancer: ChildProcess;
let said = '';
let front: { readonly url: string; readonly wsUrl: string };
let admin: Api;
let vehicle: VehicleProcess | undefined;

async function startBalancer(gateways: readonly string[]): Promise<void> {
  const port = await freePort();
  const [first = '', second = ''] = gateways.map((url) => new URL(url).host);
  balancer = spawn('haproxy', ['-db', '-f', CONFIGURATION], {
    env: { PATH: process.env['PATH'], LISTEN: `127.0.0.1:${port}`, GATEWAY_1: first, GATEWAY_2: second },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const stream of [balancer.stdout, balancer.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => (said += text));
  const url = `http://127.0.0.1:${port}`;
  front = { url, wsUrl: webSocketOf(url) };
  await eventually(async () => {
    if (balancer.exitCode !== null) throw new Error(`The balancer has ended: ${said}`);
    return (await fetch(`${url}/health/ready`).catch(() => null))?.status === 200;
  }, 'the balancer to answer for a gateway');
}

describeUnless(NO_BALANCER)('behind a balancer', () => {
  beforeAll(async () => {
    deployment = await Deployment.start({
      FLEETFLAG_TRUSTED_PROXIES: '127.0.0.1',
      FLEETFLAG_SHUTDOWN_DELAY_SECONDS: '4',
    });
    await startBalancer([deployment.url, await deployment.anotherGateway()]);
    admin = await Api.admin(front);
    await admin.ok('mutation ($input: CreateFlagInput!) { createFlag(input: $input) { applied } }', {
      input: {
        key: 'lane_assist',
        name: 'Lane assist',
        type: 'BOOLEAN',
        defaultValue: true,
        safetyLevel: 'NON_CRITICAL',
        environment: 'PRODUCTION',
      },
    });
    vehicle = await VehicleProcess.start(front.wsUrl, await admin.vehicle(VIN));
    await eventually(async () => (await vehicle?.status())?.flags === 1, 'the vehicle to have its flag');
  }, 180_000);
  afterAll(async () => {
    await vehicle?.remove();
    balancer?.kill();
    await deployment?.remove();
  }, 120_000);

  test('the address of a client is its own, and one that it claims is not believed', async () => {
    const response = await fetch(`${front.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-forwarded-for': '203.0.113.9' },
      body: JSON.stringify({
        query: 'mutation { login(email: "admin@fleetflag.local", password: "wrong, and known to be") { token } }',
      }),
    });
    expect(await response.json()).toMatchObject({ errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] });
    const { auditLogs } = await admin.ok<{ auditLogs: { nodes: { ipAddress: string | null }[] } }>(
      '{ auditLogs(first: 20) { nodes { ipAddress } } }',
    );
    expect(new Set(auditLogs.nodes.flatMap(({ ipAddress }) => ipAddress ?? []))).toEqual(new Set(['127.0.0.1']));
  });

  test('the figures of gateways are not for those who come through it', async () => {
    expect((await fetch(`${front.url}/metrics`)).status).toBe(404);
  });

  test('a kill switch reaches a vehicle while its gateway is replaced, and nobody is refused', async () => {
    const answers: number[] = [];
    let isOver = false;
    const reading = (async () => {
      while (!isOver) answers.push((await admin.ask('{ flag(key: "lane_assist") { revision } }')).status);
    })();
    const gateways = deployment.processes.filter(({ args }) => args[1] === 'gateway');
    expect(gateways).toHaveLength(2);
    for (const [index, gateway] of gateways.entries()) {
      expect(await gateway.stop()).toBe(0);
      await eventually(async () => (await vehicle?.status())?.connected === true, 'the vehicle at the other gateway');
      if (index > 0) break;
      await deployment.restart('gateway');
      await eventually(() => said.includes('gateways/gateway-1 is UP'), 'the balancer to see the new gateway');
    }
    isOver = true;
    await reading;
    expect(new Set(answers)).toEqual(new Set([200]));
    expect(answers.length).toBeGreaterThan(5);
    await admin.ok('mutation { killSwitch(flagKey: "lane_assist", reason: "Behind a balancer.") { flag { killed } } }');
    await eventually(async () => (await vehicle?.evaluate('lane_assist'))?.reason === 'DISABLED', 'the kill switch');
  }, 180_000);
});
