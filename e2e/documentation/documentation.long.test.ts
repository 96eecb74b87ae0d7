/** Every block of the documentation that is not marked, run as it is written. */
import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect } from '@jest/globals';
import { testUnless } from '../../core/testing/unless.ts';
import { documentationBlocks, isRun } from '../../tests/testing/documentation-blocks.ts';
import { DISTRIBUTED, Deployment } from '../harness/deployment.ts';
import { ROOT } from '../harness/process.ts';
import { PageRun } from './runner.ts';
import { STAGES } from './stages.ts';

const BLOCKS = documentationBlocks();
const has = (command: string) => spawnSync(command, ['--version']).status === 0;

/** Commands that not every machine has; the tests need nothing but npm packages. */
const NEEDED: Readonly<Record<string, string>> = { sh: 'curl', bash: 'curl', python: 'python3', cpp: 'g++' };

let deployment: Deployment;
let folder: string;
let agentPackage: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fleetflag-documentation-'));
  const { stdout } = await promisify(execFile)('npm', ['pack', '--json', '--pack-destination', folder], {
    cwd: join(ROOT, 'agent'),
  });
  const [packed] = JSON.parse(stdout.slice(stdout.indexOf('['))) as [{ filename: string }];
  agentPackage = join(folder, packed.filename);
  deployment = await Deployment.start();
}, 240_000);

afterAll(async () => {
  await deployment?.remove();
  await rm(folder, { recursive: true, force: true });
}, 60_000);

for (const [page, stage] of Object.entries(STAGES)) {
  // e2e/readme.test.ts runs those of the README, on a control plane that is new, as its reader's is.
  if (!page.startsWith('docs/')) continue;
  const blocks = BLOCKS.filter((block) => block.page === page);
  const missing = [...new Set(blocks.filter(isRun).flatMap(({ language }) => NEEDED[language] ?? []))].filter(
    (command) => !has(command),
  );
  const reason = DISTRIBUTED
    ? 'its commands are for the embedded stores'
    : missing.length > 0
      ? `there is no ${missing.join(', ')}`
      : null;
  testUnless(reason)(
    `${page} works as it is written`,
    async () => {
      const reader = await PageRun.open(deployment, stage, stage.needsAgentPackage === true ? agentPackage : null);
      try {
        for (const block of blocks) {
          if (block.mark?.kind === 'file') await reader.write(block);
          if (!isRun(block)) continue;
          await reader.run(block).catch((error: unknown) => {
            throw new Error(`${page}:${block.line}: ${error instanceof Error ? error.message : String(error)}`, {
              cause: error,
            });
          });
        }
      } finally {
        await reader.close();
      }
      expect(blocks.filter(isRun).length).toBeGreaterThan(0);
    },
    240_000,
  );
}
