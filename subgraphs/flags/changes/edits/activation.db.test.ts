/** The times at which vehicles may change over to a flag: in the API, signed definitions, files, versions, releases. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { parseEnvironmentFile } from '../../../../core/wire/flag-files/environment-file.ts';
import { refusal } from '../../../shared/testing/asking.ts';
import { exportEnvironment } from '../../import-export/import-service.ts';
import { FlagsUnderTest } from '../../testing/flags-under-test.ts';

const FIELDS = 'key revision activation killActivation';
const UPDATE = `mutation ($key: String!, $input: UpdateFlagInput!) { updateFlag(key: $key, input: $input) { flag { ${FIELDS} } } }`;
const RESTORE = `mutation ($key: String!, $revision: Int!) { restoreFlag(key: $key, revision: $revision) { flag { ${FIELDS} } } }`;
const READ = `query ($key: String!) { flag(key: $key) { ${FIELDS} } }`;

interface Activated {
  readonly revision: number;
  readonly activation: string;
  readonly killActivation: string;
}

let flags: FlagsUnderTest;
beforeAll(async () => {
  flags = await FlagsUnderTest.start();
}, 60_000);
afterAll(() => flags?.remove());

const update = async (key: string, input: object) =>
  (await flags.ok<{ updateFlag: { flag: Activated } }>(UPDATE, { key, input })).updateFlag.flag;
const read = async (key: string) => (await flags.ok<{ flag: Activated }>(READ, { key })).flag;
const signed = async (key: string) => {
  const { signedDefinition } = await flags.prisma.flag.findUniqueOrThrow({ where: { key } });
  return decodeJwt(signedDefinition ?? '');
};

test('a flag says when vehicles may change over, and its signed form hides it from agents that know no activation', async () => {
  const { key } = await flags.create({ enabled: true });
  expect(await read(key)).toMatchObject({ activation: 'IMMEDIATE', killActivation: 'IMMEDIATE' });
  const plain = await signed(key);
  expect(plain).toMatchObject({ v: 1, flag: { enabled: true } });
  expect(plain['flag']).not.toHaveProperty('content');

  expect(await update(key, { activation: 'NEXT_DRIVE', killActivation: 'PARKED' })).toMatchObject({
    activation: 'NEXT_DRIVE',
    killActivation: 'PARKED',
  });
  expect(await signed(key)).toMatchObject({
    v: 2,
    flag: { enabled: false, rules: [], content: { enabled: true, activation: 'NEXT_DRIVE', killActivation: 'PARKED' } },
  });
  // What an input leaves out stays.
  expect(await update(key, { name: 'Other' })).toMatchObject({ activation: 'NEXT_DRIVE', killActivation: 'PARKED' });
  const created = await flags.create({ activation: 'PARKED' });
  expect(await read(created.key)).toMatchObject({ activation: 'PARKED', killActivation: 'IMMEDIATE' });
});

test('what is no activation is refused at its place, and changes nothing', async () => {
  const { key } = await flags.create({ activation: 'PARKED' });
  const before = await flags.everything();
  for (const [input, field] of [
    [{ killActivation: 'NEXT_DRIVE' }, 'input.killActivation'],
    [{ killActivation: null }, 'input.killActivation'],
    [{ activation: null }, 'input.activation'],
  ] as const)
    expect(refusal(await flags.ask(flags.writer, UPDATE, { key, input }))).toEqual({ code: 'BAD_USER_INPUT', field });
  expect(await flags.everything()).toEqual(before);
});

test('an earlier version brings its activation back, and files carry it where it is not IMMEDIATE', async () => {
  const { key } = await flags.create({ activation: 'PARKED' });
  const { revision } = await read(key);
  await update(key, { activation: 'IMMEDIATE', killActivation: 'PARKED' });
  const { restoreFlag } = await flags.ok<{ restoreFlag: { flag: Activated } }>(RESTORE, { key, revision });
  expect(restoreFlag.flag).toMatchObject({ activation: 'PARKED', killActivation: 'IMMEDIATE' });
  const text = await exportEnvironment(flags.prisma, 'staging');
  const { flags: entries, faults } = parseEnvironmentFile(text);
  expect(faults).toEqual([]);
  expect(entries.find((entry) => entry.key === key)).toMatchObject({
    activation: 'PARKED',
    killActivation: 'IMMEDIATE',
  });
  expect(text).not.toMatch(/: IMMEDIATE/);
});
