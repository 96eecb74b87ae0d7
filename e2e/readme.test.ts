import { spawnSync } from 'node:child_process';
import { afterEach, beforeEach, expect } from '@jest/globals';
import { testUnless } from '../core/testing/unless.ts';
import { documentationBlocks, isRun } from '../tests/testing/documentation-blocks.ts';
import { PageRun } from './documentation/runner.ts';
import { STAGES } from './documentation/stages.ts';
import { DISTRIBUTED, Deployment } from './harness/deployment.ts';
import { eventually } from './harness/process.ts';

/** The steps are for a shell with curl, which not every machine has; the tests need nothing but npm packages. */
const inShell = testUnless(
  DISTRIBUTED
    ? 'its commands are for the embedded stores'
    : spawnSync('curl', ['--version']).status === 0
      ? null
      : 'there is no curl',
);

let deployment: Deployment;
let reader: PageRun;

beforeEach(async () => {
  deployment = await Deployment.start();
}, 120_000);

afterEach(async () => {
  await reader?.close();
  await deployment?.remove();
}, 60_000);

// The Korean page has the same commands (tests/repository/korean-pages.test.ts).
inShell(
  "the README's steps work as they are written: a vehicle gets the feature, and the kill switch takes it away",
  async () => {
    const steps = documentationBlocks().filter((block) => block.page === 'README.md' && isRun(block));
    expect(steps.map(({ language }) => language)).toEqual(['sh', 'sh', 'sh', 'graphql', 'sh']);
    reader = await PageRun.open(deployment, STAGES['README.md'] ?? {}, null);
    const run = (index: number) => reader.run(steps[index]!);
    expect(await run(0)).toContain('"createRule":{"flag":{"revision":2}}');
    expect(await run(1)).toMatch(/"key":"lane_keep","value":true,"reason":"TARGETING_MATCH"/);
    expect(await run(2)).toContain('"evaluateFlag":{"value":true');
    await run(3);
    // The change is on its way, which takes a fraction of a second.
    await eventually(async () => /"value":false,"reason":"DISABLED"/.test(await run(4)), 'the feature stops');
  },
  180_000,
);
