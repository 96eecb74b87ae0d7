import { execFile, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect } from '@jest/globals';
import { Api } from './harness/api.ts';
import { ADMIN, Deployment } from './harness/deployment.ts';
import { testUnless } from '../core/testing/unless.ts';

/**
 * The guide's commands are for a shell with curl, which not every machine has; the tests need nothing but npm packages.
 */
const withCurl = testUnless(spawnSync('curl', ['--version']).status === 0 ? null : 'there is no curl');

let deployment: Deployment;
let folder: string;

beforeAll(async () => {
  deployment = await Deployment.start();
  folder = await mkdtemp(join(tmpdir(), 'fleetflag-partners-'));
  const admin = await Api.admin(deployment);
  await admin.ok(
    'mutation { createFlag(input: { key: "lane_keep", name: "Lane keeping", type: BOOLEAN, defaultValue: false, safetyLevel: ASIL_B, environment: PRODUCTION, enabled: true }) { applied } }',
  );
}, 120_000);

afterAll(async () => {
  await deployment?.remove();
  await rm(folder, { recursive: true, force: true });
}, 60_000);

withCurl(
  "the partners' guide works as it is written, from the manifest on",
  async () => {
    const guide = await readFile(new URL('../docs/guides/partners.md', import.meta.url), 'utf8');
    const blocks = (language: string) =>
      Array.from(guide.matchAll(new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, 'gs')), ([, text]) => text ?? '');
    const [manifest = ''] = blocks('json');
    const [generate, ...commands] = blocks('sh');
    // The generator is the partner's and needs the network: what it writes stands in the guide, and has its form.
    expect(generate).toContain('npx generate-persisted-query-manifest');
    const [operation] = (JSON.parse(manifest) as { operations: { id: string; body: string }[] }).operations;
    expect(operation?.id).toBe(
      createHash('sha256')
        .update(operation?.body ?? '')
        .digest('hex'),
    );
    const bare = (text: string) => text.replaceAll(/__typename|\s/g, '');
    expect(bare(operation?.body ?? '')).toBe(bare(blocks('graphql')[0] ?? ''));
    await writeFile(join(folder, 'persisted-query-manifest.json'), manifest);

    expect(commands).toHaveLength(4);
    const script = commands
      .join('\necho\n')
      .replaceAll('localhost:4000', new URL(deployment.url).host)
      .replace('THE PASSWORD', ADMIN.password);
    const { stdout } = await promisify(execFile)('bash', ['-euc', script], {
      cwd: folder,
      timeout: 60_000,
      env: { PATH: process.env['PATH'] },
    });
    const answer = {
      data: { evaluateFlag: { value: false, variant: 'control', reason: 'DEFAULT', __typename: 'Evaluation' } },
    };
    const [registered, ...answers] = stdout.trim().split(/\s*\n\s*/);
    expect(JSON.parse(registered ?? '')).toEqual({
      data: { registerPersistedOperations: [{ id: operation?.id, name: 'Evaluate' }] },
    });
    expect(answers.slice(0, 2).map((text) => JSON.parse(text) as unknown)).toEqual([answer, answer]);
    expect(answers.slice(2)).toEqual(['304']);
  },
  90_000,
);
