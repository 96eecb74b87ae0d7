import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Api } from './harness/api.ts';
import { ADMIN, Deployment, DISTRIBUTED } from './harness/deployment.ts';
import { ProjectProcess } from './harness/process.ts';
import { testUnless } from '../core/testing/unless.ts';

let deployment: Deployment;

beforeAll(async () => {
  deployment = await Deployment.start();
}, 120_000);

afterAll(async () => {
  await deployment?.remove();
}, 60_000);

const create = (key: string) =>
  `mutation { createFlag(input: {key: "${key}", name: "${key}", type: NUMBER, defaultValue: 3, safetyLevel: NON_CRITICAL, environment: STAGING}) { flag { revision } } }`;

test('the first start creates the administrator and says so once; what is acknowledged survives kill -9 and an orderly stop', async () => {
  expect(deployment.output).toContain(`Administrator created: ${ADMIN.email}`);
  let api = await Api.admin(deployment);
  const acknowledged: string[] = [];
  for (let index = 0; index < 20; index += 1) {
    await api.ok(create(`flag_${index}`));
    acknowledged.push(`flag_${index}`);
  }
  // One more is under way when the power goes.
  const lastGasp = api.ask(create('flag_last')).catch(() => null);
  await deployment.down('SIGKILL');
  await lastGasp;

  await deployment.up();
  expect(deployment.output).not.toContain('Administrator created');
  api = await Api.admin(deployment);
  const { flags, flagSync } = await api.ok<{
    flags: { nodes: { key: string; revision: number; history: { totalCount: number } }[] };
    flagSync: { revision: number; flags: unknown[] };
  }>(
    '{ flags(first: 100) { nodes { key revision history { totalCount } } } flagSync(environment: STAGING) { revision flags { key } } }',
  );
  expect(flags.nodes.map((flag) => flag.key)).toEqual(expect.arrayContaining(acknowledged));
  // Gapless, whether or not the last one made it; and each with its audit row.
  expect(flags.nodes.map((flag) => flag.revision).sort((a, b) => a - b)).toEqual(
    flags.nodes.map((_, index) => index + 1),
  );
  expect(flags.nodes.every((flag) => flag.history.totalCount === 1)).toBe(true);
  expect(flagSync).toMatchObject({ revision: flags.nodes.length });

  expect(await deployment.down('SIGINT')).toEqual(deployment.ports.size === 1 ? [0] : [0, 0, 0, 0, 0]);
  await deployment.up();
  api = await Api.admin(deployment);
  expect(await api.ok('{ flags { totalCount } }')).toEqual({ flags: { totalCount: flags.nodes.length } });
}, 180_000);

testUnless(DISTRIBUTED ? 'it is about the embedded stores, and this run has servers' : null)(
  'a second control plane on the same data folder is refused with a clear message and does no harm',
  async () => {
    const second = new ProjectProcess(['start'], { ...deployment.environment, PORT: '0' });
    expect(await second.ended()).toBe(1);
    expect(second.stderr).toContain('in use by another FleetFlag process');
    await (await Api.admin(deployment)).ok('{ flags { totalCount } }');
  },
  60_000,
);
