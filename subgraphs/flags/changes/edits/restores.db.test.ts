/** The restore of earlier contents, which takes the steps of every change, and the return of an archived flag. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { eventually } from '../../../../core/testing/eventually.ts';
import { rounds } from '../../../../core/testing/rounds.ts';
import { refusal, user } from '../../../shared/testing/asking.ts';
import { FLAG_FIELDS, FlagsUnderTest, type FlagJson } from '../../testing/flags-under-test.ts';

let flags: FlagsUnderTest;
let flag: FlagJson;

beforeAll(async () => {
  flags = await FlagsUnderTest.start();
}, 60_000);
afterAll(() => flags?.remove());

beforeEach(async () => {
  flag = await flags.create({ enabled: true });
});

interface Change {
  readonly applied: boolean;
  readonly flag: FlagJson & { readonly description: string | null };
  readonly changeRequest: { readonly id: string; readonly action: string } | null;
}

const ask = (mutation: string) =>
  flags.ask<{ change: Change }>(
    flags.writer,
    `mutation { change: ${mutation} { applied flag { ${FLAG_FIELDS} description } changeRequest { id action } } }`,
  );
async function change(mutation: string): Promise<Change> {
  const { data, errors } = await ask(mutation);
  expect(errors).toEqual([]);
  return data.change;
}

interface Version {
  readonly revision: number;
  readonly environment: string;
  readonly content: { readonly name: string; readonly enabled: boolean; readonly rules: readonly object[] };
  readonly createdBy: { readonly id: string } | null;
}
async function versions(more = ''): Promise<{ nodes: Version[]; totalCount: number; endCursor: string | null }> {
  const { data, errors } = await flags.ask<{
    flagVersions: { nodes: Version[]; totalCount: number; pageInfo: { endCursor: string | null } };
  }>(
    user('READ'),
    `{ flagVersions(key: "${flag.key}"${more}) { totalCount nodes { revision environment content createdBy { id } } pageInfo { endCursor } } }`,
  );
  expect(errors).toEqual([]);
  const { nodes, totalCount, pageInfo } = data.flagVersions;
  return { nodes, totalCount, endCursor: pageInfo.endCursor };
}

const rename = (name: string) => change(`updateFlag(key: "${flag.key}", input: { name: "${name}" })`);
const restore = (revision: number, more = '') => `restoreFlag(key: "${flag.key}", revision: ${revision}${more})`;
const KEY_OF = (one: FlagJson) => `key: "${one.key}"`;

describe('the versions of a flag', () => {
  test('are its contents after each change, newest first, page by page and in both directions', async () => {
    await rename('B');
    await change(
      `createRule(flagKey: "${flag.key}", input: { type: VEHICLE_TARGET, conditions: { models: ["EV9"] } })`,
    );
    const { nodes, totalCount } = await versions();
    expect(totalCount).toBe(3);
    expect(nodes.map(({ content }) => [content.name, content.rules.length])).toEqual([
      ['B', 1],
      ['B', 0],
      [flag.name, 0],
    ]);
    expect(nodes.map(({ revision }) => revision)).toEqual([flag.revision + 2, flag.revision + 1, flag.revision]);
    expect(nodes[0]?.createdBy).toEqual({ id: flags.writer.userId });
    const first = await versions(', first: 2');
    const rest = await versions(`, first: 2, after: "${first.endCursor}"`);
    expect([...first.nodes, ...rest.nodes]).toEqual(nodes);
    expect((await versions(', last: 2')).nodes).toEqual(nodes.slice(1));
  });

  test('are refused for an unknown flag, and by a cursor of another list', async () => {
    const of = (args: string) => flags.ask(user('READ'), `{ flagVersions(${args}) { totalCount } }`);
    expect(refusal(await of('key: "none"'))).toMatchObject({ code: 'NOT_FOUND', field: 'key' });
    const cursor = Buffer.from(flag.id).toString('base64url');
    expect(refusal(await of(`${KEY_OF(flag)}, after: "${cursor}"`))).toMatchObject({
      code: 'BAD_USER_INPUT',
      field: 'after',
    });
  });
});

describe('a restored flag', () => {
  test('has the content of then, at a new revision, with its own name in the audit log', async () => {
    await change(
      `createRule(flagKey: "${flag.key}", input: { type: VEHICLE_TARGET, conditions: { models: ["EV9"] }, priority: 7 })`,
    );
    const { flag: then } = await change(`updateFlag(${KEY_OF(flag)}, input: { name: "Then", description: "d" })`);
    const rule = then.rules[0]!.id;
    await change(`deleteRule(id: "${rule}")`);
    await change(`disableFlag(${KEY_OF(flag)})`);
    const { flag: now } = await rename('Now');

    const restored = await change(restore(then.revision));
    expect(restored).toEqual({
      applied: true,
      flag: { ...then, revision: now.revision + 1 },
      changeRequest: null,
    });
    const entry = await flags.prisma.auditLog.findFirst({
      where: { flagId: flag.id },
      orderBy: { chainPosition: 'desc' },
    });
    expect(entry).toMatchObject({
      action: 'RESTORE_FLAG',
      beforeValue: { name: 'Now', enabled: false, rules: [] },
      afterValue: { name: 'Then', enabled: true, rules: [{ id: rule }] },
    });
    // A revision between two changes of the flag has the content of the one before.
    expect((await change(restore(then.revision))).flag.revision).toBe(now.revision + 1);
  });

  test('keeps its kill switches: a restore neither releases a kill nor makes one', async () => {
    await change(`killSwitch(flagKey: "${flag.key}", reason: "Brakes")`);
    expect((await change(restore(flag.revision))).flag.killed).toBe(true);
    const { flag: killed } = await change(`updateFlag(${KEY_OF(flag)}, input: { name: "Killed" })`);
    await change(`releaseKillSwitch(flagKey: "${flag.key}", reason: "Mended")`);
    const { flag: restored } = await change(restore(killed.revision));
    expect(restored).toMatchObject({ name: 'Killed', killed: false });
  });

  test('is refused for what was not kept, for another revision than was seen, and for an archived flag', async () => {
    expect(refusal(await ask(restore(flag.revision - 1)))).toMatchObject({ code: 'NOT_FOUND', field: 'revision' });
    expect(refusal(await ask(restore(-1)))).toMatchObject({ code: 'BAD_USER_INPUT', field: 'revision' });
    expect(refusal(await ask('restoreFlag(key: "none", revision: 1)'))).toMatchObject({
      code: 'NOT_FOUND',
      field: 'key',
    });
    await rename('B');
    expect(refusal(await ask(restore(flag.revision, `, expectedRevision: ${flag.revision}`)))).toMatchObject({
      code: 'CONFLICT',
    });
    await flags.move(flag.key, 'PRODUCTION');
    expect(refusal(await ask(restore(0)))).toMatchObject({ code: 'NOT_FOUND', field: 'revision' });
    await change(`archiveFlag(${KEY_OF(flag)})`);
    expect(refusal(await ask(restore(flag.revision)))).toMatchObject({ code: 'CONFLICT' });
  });

  test('is refused, and nothing changes, where today’s validation would refuse the content of then', async () => {
    const { flag: then } = await change(
      `createRule(flagKey: "${flag.key}", input: { type: PERCENTAGE_ROLLOUT, conditions: { rollout_percentage: 5 } })`,
    );
    const { flag: now } = await change(`deleteRule(id: "${then.rules[0]!.id}")`);
    const kept = { flagId: flag.id, revision: then.revision };
    const { content } = (await versions()).nodes.find(({ revision }) => revision === then.revision)!;
    const spoil = (more: object) =>
      flags.prisma.flagVersion.updateMany({ where: kept, data: { content: { ...content, ...more } } });
    const rule = then.rules[0]!.id;
    const expectRefusal = async (place: string) => {
      const answer = await ask(restore(then.revision));
      expect(refusal(answer)).toEqual({ code: 'BAD_USER_INPUT', field: 'revision' });
      expect(answer.errors[0]?.message).toContain(`at ${place}: `);
    };

    await spoil({ rules: [{ ...content.rules[0], conditions: { rollout_percentage: 500 } }] });
    await expectRefusal(`rules.${rule}.conditions.rollout_percentage`);
    await spoil({ defaultValue: 'no boolean' });
    await expectRefusal('defaultValue');
    expect((await versions(', first: 1')).nodes[0]?.revision).toBe(now.revision);
  });

  test('waits for a second person where the flag is or was ASIL-D', async () => {
    const asilD = await flags.create({ safetyLevel: 'ASIL_D', enabled: true });
    const { data } = await flags.ask<{ change: Change }>(
      flags.writer,
      `mutation { change: updateFlag(key: "${asilD.key}", input: { name: "B" }) { applied changeRequest { id action } } }`,
    );
    const renamed = await flags.approve(data.change.changeRequest!.id);
    const waiting = await change(`restoreFlag(key: "${asilD.key}", revision: ${asilD.revision})`);
    expect(waiting).toMatchObject({ applied: false, flag: { name: 'B' }, changeRequest: { action: 'RESTORE_FLAG' } });
    expect(await flags.approve(waiting.changeRequest!.id)).toMatchObject({
      name: asilD.name,
      revision: renamed.revision + 1,
    });
  });

  test('is what it was, whatever was done in between', async () => {
    const steps = fc.array(
      fc.constantFrom(
        () => rename(`N${++priority}`),
        () => change(`enableFlag(${KEY_OF(flag)})`),
        () => change(`disableFlag(${KEY_OF(flag)})`),
        () => change(`updateFlag(${KEY_OF(flag)}, input: { defaultValue: true })`),
        () =>
          change(
            `createRule(flagKey: "${flag.key}", input: { type: PERCENTAGE_ROLLOUT, priority: ${++priority}, conditions: { rollout_percentage: 5 } })`,
          ),
        async () => {
          const { nodes } = await versions(', first: 1');
          const [rule] = nodes[0]?.content.rules ?? [];
          if (rule !== undefined && 'id' in rule) await change(`deleteRule(id: "${String(rule.id)}")`);
        },
      ),
      { minLength: 1, maxLength: 6 },
    );
    let priority = 0;
    await fc.assert(
      fc.asyncProperty(steps, fc.nat(), async (some, pick) => {
        flag = await flags.create({ enabled: true });
        for (const step of some) await step();
        const { nodes } = await versions(', first: 100');
        const then = nodes[pick % nodes.length]!;
        await change(restore(then.revision));
        expect((await versions(', first: 1')).nodes[0]?.content).toEqual(then.content);
      }),
      { numRuns: rounds(6, 15) },
    );
  });
});

describe('an archived flag', () => {
  test('comes back disabled, with its rules, as a new change that vehicles get', async () => {
    await change(
      `createRule(flagKey: "${flag.key}", input: { type: VEHICLE_TARGET, conditions: { models: ["EV9"] } })`,
    );
    const { flag: archived } = await change(`archiveFlag(${KEY_OF(flag)})`);
    const { flag: back } = await change(`unarchiveFlag(${KEY_OF(flag)}, expectedRevision: ${archived.revision})`);
    expect(back).toMatchObject({ archivedAt: null, enabled: false, revision: archived.revision + 1 });
    expect(back.rules).toHaveLength(1);
    const since = archived.revision - 1;
    const synced = () =>
      flags.ask<{ flagSync: { revision: number; flags: { key: string; removed: boolean }[] } }>(
        user('READ'),
        `{ flagSync(environment: ${back.environment}, since: ${since}) { revision flags { key removed } } }`,
      );
    await eventually(async () => (await synced()).data.flagSync.revision === back.revision);
    expect((await synced()).data.flagSync.flags).toEqual([{ key: flag.key, removed: false }]);
    expect(await flags.prisma.flagTombstone.count({ where: { key: flag.key } })).toBe(0);
    const actions = await flags.prisma.auditLog.findMany({
      where: { flagId: flag.id },
      orderBy: { chainPosition: 'desc' },
      select: { action: true },
    });
    expect(actions[0]).toEqual({ action: 'UNARCHIVE_FLAG' });
  });

  test('comes back although its experiment still runs, which notes it', async () => {
    const { id: experimentId } = await flags.prisma.experiment.create({
      data: {
        flagId: flag.id,
        name: 'Faster charging',
        status: 'running',
        startDate: new Date(),
        sampleSize: 100,
        primaryMetric: 'minutes',
        treatmentShare: 0.05,
      },
    });
    await change(`archiveFlag(${KEY_OF(flag)}, force: true)`);
    expect(await change(`unarchiveFlag(${KEY_OF(flag)})`)).toMatchObject({ applied: true, flag: { enabled: false } });
    const noted = await flags.prisma.experimentDisturbance.findMany({
      where: { experimentId },
      orderBy: { createdAt: 'asc' },
    });
    expect(noted.map(({ action }) => action)).toEqual(['ARCHIVE_FLAG', 'UNARCHIVE_FLAG']);
  });

  test('comes back only when it is archived, and by two people where it is ASIL-D', async () => {
    expect(refusal(await ask(`unarchiveFlag(${KEY_OF(flag)})`))).toMatchObject({ code: 'CONFLICT' });
    expect(refusal(await ask('unarchiveFlag(key: "none")'))).toMatchObject({ code: 'NOT_FOUND' });
    const asilD = await flags.create({ safetyLevel: 'ASIL_D' });
    const { changeRequest } = await change(`archiveFlag(key: "${asilD.key}")`);
    await flags.approve(changeRequest!.id);
    const waiting = await change(`unarchiveFlag(key: "${asilD.key}")`);
    expect(waiting).toMatchObject({ applied: false, changeRequest: { action: 'UNARCHIVE_FLAG' } });
    expect(await flags.approve(waiting.changeRequest!.id)).toMatchObject({ archivedAt: null });
  });
});
