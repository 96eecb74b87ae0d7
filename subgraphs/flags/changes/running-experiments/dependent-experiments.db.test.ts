/** An experiment notes changes of the flags that its own flag requires or excludes, and holds none of them up. */
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { RolloutsUnderTest, type Target } from '../../testing/rollouts-under-test.ts';

let rollouts: RolloutsUnderTest;
let target: Target;
let experimentId: string;
/** The flag that is required through another one, and the one that is excluded. */
let base: { readonly key: string; readonly id: string; readonly ruleId: string };
let aside: { readonly key: string; readonly id: string };

beforeAll(async () => {
  rollouts = await RolloutsUnderTest.start();
});
afterAll(() => rollouts.flags.remove());

beforeEach(async () => {
  const { flags } = rollouts;
  target = await rollouts.target();
  const { environment } = await flags.prisma.flag.findUniqueOrThrow({ where: { id: target.flagId } });
  const born = { environment: environment.toUpperCase(), enabled: true, safetyLevel: 'ASIL_B' };
  const created = await flags.create(born);
  const { rules } = await flags.addRule(created.key, {
    ...{ type: 'PERCENTAGE_ROLLOUT', conditions: { rollout_percentage: 50 } },
  });
  base = { ...created, ruleId: rules[0]?.id ?? '' };
  aside = await flags.create(born);
  const between = await flags.create({ ...born, requires: [{ flagKey: base.key }] });
  await ask(
    `updateFlag(key: "${target.key}", input: { requires: [{ flagKey: "${between.key}" }], excludes: ["${aside.key}"] })`,
  );
  const data = {
    ...{ flagId: target.flagId, name: 'Faster charging', status: 'running', startDate: new Date(), sampleSize: 100 },
    ...{ primaryMetric: 'minutes', treatmentShare: 0.05 },
  };
  experimentId = (await flags.prisma.experiment.create({ data })).id;
});

async function ask(mutation: string): Promise<void> {
  const { flags } = rollouts;
  const { errors } = await flags.ask(flags.writer, `mutation { ${mutation} { applied } }`);
  expect(errors).toEqual([]);
}

const noted = () =>
  rollouts.flags.prisma.experimentDisturbance.findMany({
    where: { experimentId },
    select: { action: true, userId: true, flagId: true, salt: true },
    orderBy: { createdAt: 'asc' },
  });

test.each<[string, () => string, string]>([
  [
    'another percentage',
    () => `updateRule(id: "${base.ruleId}", input: { conditions: { rollout_percentage: 5 } })`,
    'UPDATE_RULE',
  ],
  ['another variant', () => `updateRule(id: "${base.ruleId}", input: { variant: "b" })`, 'UPDATE_RULE'],
  [
    'a rule of another type',
    () => `createRule(flagKey: "${base.key}", input: { type: VEHICLE_TARGET, conditions: { regions: ["KR"] } })`,
    'CREATE_RULE',
  ],
  ['its kill switch', () => `killSwitch(flagKey: "${base.key}", reason: "Smoke")`, 'KILL_SWITCH'],
  ['its being disabled', () => `disableFlag(key: "${base.key}")`, 'DISABLE_FLAG'],
])(
  'of a flag that is required through another, %s is noted with its author, and needs no force',
  async (_, change, action) => {
    await ask(change());
    const { userId } = rollouts.flags.writer;
    expect(await noted()).toEqual([{ action, userId, flagId: base.id, salt: null }]);
  },
);

test('the archiving of an excluded flag is noted, too', async () => {
  await ask(`archiveFlag(key: "${aside.key}")`);
  expect(await noted()).toMatchObject([{ action: 'ARCHIVE_FLAG', flagId: aside.id }]);
});

test.each<[string, () => string]>([
  ['a new name', () => `updateFlag(key: "${base.key}", input: { name: "Other" })`],
  ['another value, which no requirement is about', () => `updateRule(id: "${base.ruleId}", input: { value: false })`],
  [
    'a rule that is not enabled',
    () =>
      `createRule(flagKey: "${base.key}", input: { type: VEHICLE_TARGET, enabled: false, conditions: { regions: ["KR"] } })`,
  ],
])('a change that serves the same vehicles is not noted: %s', async (_, change) => {
  await ask(change());
  expect(await noted()).toEqual([]);
});

test('nothing is noted once the experiment has ended, or for a flag that it does not depend on', async () => {
  await ask(`disableFlag(key: "${(await rollouts.target()).key}")`);
  await rollouts.flags.prisma.experiment.update({ where: { id: experimentId }, data: { status: 'cancelled' } });
  await ask(`disableFlag(key: "${base.key}")`);
  expect(await noted()).toEqual([]);
});
