/** The output and the refusals of `rotate-signing-key`, with databases in which different keys have signed. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { readConfiguration, type Configuration } from '../../../main/configuration.ts';
import { openSigner, prepareNextKey, switchToNextKey } from '../../../main/secrets/signing-keys.ts';
import { generateSigningKey, type Signer } from '../../../subgraphs/flags/signing/signing.ts';
import { createTestDatabase, type TestDatabase } from '../../../subgraphs/shared/testing/test-database.ts';
import { rotateSigningKeyCommand } from './rotate-signing-key.ts';

let database: TestDatabase;
let folder: string;

beforeAll(async () => {
  database = await createTestDatabase();
}, 60_000);
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fleetflag-rotate-'));
});
afterEach(async () => {
  await database.database.prisma.flagTombstone.deleteMany();
  await rm(folder, { recursive: true, force: true });
});
afterAll(() => database?.drop());

const settings = (more: Record<string, string> = {}): Configuration =>
  readConfiguration({ DATABASE_URL: database.url, FLEETFLAG_DATA_DIR: folder, LOG_LEVEL: 'silent', ...more });

async function rotate(args: string[], more?: Record<string, string>) {
  const [out, err]: [string[], string[]] = [[], []];
  const code = await rotateSigningKeyCommand(args, settings(more), {
    out: (line) => out.push(line),
    err: (line) => err.push(line),
  });
  return { code, out, err };
}

/** Signs something that vehicles may receive. */
async function sign(signer: Signer, key = 'removed'): Promise<void> {
  const signedDefinition = await signer.tombstone('staging', key, 1);
  await database.database.prisma.flagTombstone.create({
    data: { environment: 'staging', key, revision: 1n, signedDefinition, partition: '' },
  });
}

test('no key is replaced as lost where nothing is signed, whether there is a key or not', async () => {
  const refused = {
    code: 1,
    out: [],
    err: ['Nothing is lost: no flag is signed yet. The control plane makes a key at its first start if it has none.'],
  };
  expect(await rotate(['--replace-lost'])).toEqual(refused);
  expect(await rotate(['--replace-lost'], { FLEETFLAG_SIGNING_KEY: await generateSigningKey() })).toEqual(refused);
  expect(await readdir(folder)).toEqual([]);
  await openSigner(settings());
  expect(await rotate(['--replace-lost'])).toEqual(refused);
});

test('no key is replaced as lost where a former one is valid that has signed, which the refusal names', async () => {
  const former = await openSigner(settings());
  await sign(former);
  await switchToNextKey(folder);
  expect(await rotate(['--replace-lost'])).toEqual({
    code: 1,
    out: [],
    err: [
      `Nothing is lost: these valid keys have signed flags of this database: ${former.kid}. To replace the signing key: npm run admin -- rotate-signing-key`,
    ],
  });
});

test('where the key is a setting, the refusal to replace it names no command that is refused, too', async () => {
  const key = await generateSigningKey();
  const signer = await openSigner(settings({ FLEETFLAG_SIGNING_KEY: key }));
  await sign(signer);
  const next = { FLEETFLAG_SIGNING_KEY: await generateSigningKey(), FLEETFLAG_PREVIOUS_SIGNING_KEYS: key };
  for (const given of [{ FLEETFLAG_SIGNING_KEY: key }, next])
    expect(await rotate(['--replace-lost'], given)).toEqual({
      code: 1,
      out: [],
      err: [
        `Nothing is lost: these valid keys have signed flags of this database: ${signer.kid}. To replace the signing key: change FLEETFLAG_SIGNING_KEY (docs/operations/key-rotation.md, "A key of your own")`,
      ],
    });
});

test('where a replacement was interrupted, the refusal says how to finish it', async () => {
  const key = await generateSigningKey();
  const lost = await openSigner(settings({ FLEETFLAG_SIGNING_KEY: await generateSigningKey() }));
  const signer = await openSigner(settings({ FLEETFLAG_SIGNING_KEY: key }));
  await sign(lost, 'of_the_lost_key');
  await sign(signer);
  const { code, err } = await rotate(['--replace-lost'], { FLEETFLAG_SIGNING_KEY: key });
  expect([code, err]).toEqual([
    1,
    [expect.stringMatching(/: [\w-]+\. Other flags .* npm run admin -- resign-definitions$/)],
  ]);
  expect(err[0]).toContain(`: ${signer.kid}. `);
});

test('a former key stays while it has signed a tombstone, and the refusal counts that', async () => {
  const former = await openSigner(settings());
  await sign(former);
  const { kid } = await prepareNextKey(folder);
  expect((await rotate([])).out[0]).toContain(`signed with ${kid}`);
  expect(await rotate(['--finish'])).toEqual({
    code: 1,
    out: [],
    err: [
      `staging: 1 flag definitions and tombstones are still signed with ${former.kid}.`,
      'No key was removed. Sign these again first: npm run admin -- resign-definitions',
    ],
  });
  await database.database.prisma.flagTombstone.deleteMany();
  expect(await rotate(['--finish'])).toEqual({
    code: 0,
    out: [`These keys are no longer valid from the control plane's next start on: ${former.kid}`],
    err: [],
  });
});
