import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { user } from '../../../shared/testing/asking.ts';
import { backUp } from '../../testing/backup.ts';
import { FlagsUnderTest } from '../../testing/flags-under-test.ts';
import { liveSet } from '../../testing/live-set.ts';
import { startWatchedInstance, type WatchedInstance } from '../../testing/watched-instance.ts';

const SYNC =
  'query ($environment: Environment!, $since: Int) { flagSync(environment: $environment, since: $since) { revision full proof flags { key } } }';

interface Sync {
  readonly revision: number;
  readonly full: boolean;
  readonly proof: string;
  readonly flags: readonly { readonly key: string }[];
}

let flags: FlagsUnderTest;
const open: WatchedInstance[] = [];
beforeAll(async () => {
  flags = await FlagsUnderTest.start();
});
afterAll(() => flags.remove());
afterEach(async () => {
  for (const instance of open.splice(0)) await instance.stop();
});

async function instance(): Promise<WatchedInstance> {
  const started = await startWatchedInstance(flags);
  open.push(started);
  return started;
}

async function sync(on: Pick<WatchedInstance, 'ask'>, since = 0, environment = 'STAGING'): Promise<Sync> {
  const { data, errors } = await on.ask<{ flagSync: Sync }>(user('READ'), SYNC, { environment, since });
  if (errors.length > 0) throw new Error(JSON.stringify(errors));
  return data.flagSync;
}

describe('a restored database', () => {
  test('with a lower revision is followed', async () => {
    const it = await instance();
    const { key } = await flags.create({ environment: 'DEVELOPMENT' });
    const { key: lost } = await flags.create({ environment: 'DEVELOPMENT' });
    const { revision } = await sync(it, 0, 'DEVELOPMENT');
    await flags.prisma.flag.update({ where: { key: lost }, data: { archivedAt: new Date() } });
    await flags.prisma.environment.update({ where: { name: 'development' }, data: { revision: 1n } });
    expect(await sync(it, revision, 'DEVELOPMENT')).toMatchObject({ revision: 1, full: true, flags: [{ key }] });
  });

  test('that has reached the same revision with other content is read again', async () => {
    const it = await instance();
    const { key, revision } = await flags.create({ environment: 'PRODUCTION' });
    expect((await sync(it, 0, 'PRODUCTION')).flags.map((flag) => flag.key)).toContain(key);
    await flags.prisma.flag.update({ where: { key }, data: { archivedAt: new Date() } });
    await flags.prisma.environment.update({ where: { name: 'production' }, data: { revision: BigInt(revision) } });
    expect((await sync(it, 0, 'PRODUCTION')).flags.map((flag) => flag.key)).not.toContain(key);
  });
});

describe('a database that was restored under a running instance', () => {
  const EVALUATE =
    'query ($key: String!) { evaluateFlag(key: $key, context: {}) { value revision } evaluateFlags(environment: STAGING, context: {}) { flagKey value revision } }';
  const SET =
    'mutation ($key: String!, $value: JSON!) { updateFlag(key: $key, input: { defaultValue: $value }) { flag { revision } } }';

  /** Gives the value of a flag on `on`, checked to be the same alone and among all. */
  async function value(on: Pick<WatchedInstance, 'ask'>, key: string): Promise<unknown> {
    const { data, errors } = await on.ask<{
      evaluateFlag: { value: unknown; revision: number };
      evaluateFlags: { flagKey: string }[];
    }>(user('READ'), EVALUATE, { key });
    if (errors.length > 0) throw new Error(JSON.stringify(errors));
    expect(data.evaluateFlags).toContainEqual({ flagKey: key, ...data.evaluateFlag });
    return data.evaluateFlag.value;
  }

  test.each([
    ['and is looked at in between', true],
    // On a slow machine a poll can come in between here as well, and the answers are the same.
    ['and has come further than it was before anybody looks', false],
  ])('gives its own values, even at the same revisions as before: %s', async (_, looked) => {
    const it = await instance();
    const { key } = await flags.create({ type: 'STRING', defaultValue: 'first' });
    const { key: other } = await flags.create({ type: 'STRING', defaultValue: 'first' });
    const restore = await backUp(flags.prisma);
    const backedUp = await flags.revision();
    await flags.ok(SET, { key, value: 'second' });
    expect([await value(it, key), await value(it, other)]).toEqual(['second', 'first']);

    await restore();
    if (looked) expect([await value(it, key), (await sync(it)).revision]).toEqual(['first', backedUp]);
    await flags.ok(SET, { key, value: 'third' });
    await flags.ok(SET, { key: other, value: 'third' });
    expect(await flags.revision()).toBe(backedUp + 2);
    expect([await value(it, key), await value(it, other)]).toEqual(['third', 'third']);
    const { set } = await liveSet(flags.prisma, 'staging');
    expect(decodeJwt((await sync(it)).proof)).toMatchObject({ revision: backedUp + 2, set });
  });
});
