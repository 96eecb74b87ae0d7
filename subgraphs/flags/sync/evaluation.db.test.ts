/** Evaluation by the control plane of flags that have scopes and depend on each other, as in a vehicle. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { user } from '../../shared/testing/asking.ts';
import { FlagsUnderTest } from '../testing/flags-under-test.ts';

let flags: FlagsUnderTest;

beforeAll(async () => {
  flags = await FlagsUnderTest.start();
  const everywhere = { type: 'VEHICLE_TARGET', priority: 1, conditions: { regions: ['EU'] } };
  await flags.create({ key: 'base', enabled: true, scope: ['EV6', 'EV9'] });
  await flags.create({ key: 'eco', enabled: true, scope: ['EV6'], requires: [{ flagKey: 'base' }] });
  await flags.create({ key: 'sport', enabled: true, excludes: ['eco'] });
  for (const key of ['base', 'eco', 'sport']) await flags.addRule(key, everywhere);
}, 60_000);
afterAll(() => flags?.remove());

interface Evaluated {
  readonly flagKey: string;
  readonly variant: string;
  readonly reason: string;
  readonly failedPrerequisite: string | null;
  readonly inScope: boolean;
}
const FIELDS = '{ flagKey variant reason failedPrerequisite inScope }';
const READER = user('READ');

const one = async (key: string, context: object) =>
  (
    await flags.ok<{ evaluateFlag: Evaluated }>(
      `query ($key: String!, $context: EvaluationContext!) { evaluateFlag(key: $key, context: $context) ${FIELDS} }`,
      { key, context },
      READER,
    )
  ).evaluateFlag;
const all = async (context: object) =>
  (
    await flags.ok<{ evaluateFlags: Evaluated[] }>(
      `query ($context: EvaluationContext!) { evaluateFlags(environment: STAGING, context: $context) ${FIELDS} }`,
      { context },
      READER,
    )
  ).evaluateFlags;

const served = (flagKey: string, variant: string, reason: string, others: Partial<Evaluated> = {}) => ({
  flagKey,
  variant,
  reason,
  failedPrerequisite: null,
  inScope: true,
  ...others,
});
const failed = (flagKey: string, failedPrerequisite: string) =>
  served(flagKey, 'control', 'PREREQUISITE_FAILED', { failedPrerequisite });
const on = (flagKey: string) => served(flagKey, 'enabled', 'TARGETING_MATCH');
const outOfScope = (flagKey: string) => served(flagKey, 'control', 'DEFAULT', { inScope: false });

test('a model gets what its own flags give together, and a flag that it does not have says so', async () => {
  const ev6 = { model: 'EV6', region: 'EU' };
  expect(await all(ev6)).toEqual([on('base'), on('eco'), failed('sport', 'eco')]);
  const ev9 = { model: 'EV9', region: 'EU' };
  expect(await all(ev9)).toEqual([on('base'), on('sport')]);
  expect(await one('eco', ev9)).toEqual(outOfScope('eco'));
  expect(await all({ model: 'Niro', region: 'EU' })).toEqual([on('sport')]);
  for (const context of [ev6, ev9])
    for (const flag of await all(context)) expect(await one(flag.flagKey, context)).toEqual(flag);
});

test('for a context without a model, all flags are evaluated', async () => {
  expect(await all({ region: 'EU' })).toEqual([outOfScope('base'), outOfScope('eco'), on('sport')]);
});

test('a kill switch acts on those that require the flag and on those that they exclude, at once', async () => {
  const context = { model: 'EV6', region: 'EU' };
  await flags.ok('mutation { killSwitch(flagKey: "base", reason: "smoke") { applied } }');
  expect((await one('base', context)).reason).toBe('DISABLED');
  expect(await one('eco', context)).toEqual(failed('eco', 'base'));
  expect(await one('sport', context)).toEqual(on('sport'));
  await flags.ok('mutation { releaseKillSwitch(flagKey: "base", reason: "no smoke") { applied } }');
  expect(await one('eco', context)).toEqual(on('eco'));
});

test('an explanation names the flag that failed it, and says that no rule was reached', async () => {
  const { explainEvaluation } = await flags.ok<{
    explainEvaluation: { evaluation: Evaluated; dependencies: object[]; rules: { outcome: string }[] };
  }>(
    `{ explainEvaluation(key: "sport", context: { model: "EV6", region: "EU" }) { evaluation ${FIELDS} dependencies { flagKey kind variants variant holds } rules { outcome } } }`,
  );
  expect(explainEvaluation).toEqual({
    evaluation: failed('sport', 'eco'),
    dependencies: [{ flagKey: 'eco', kind: 'EXCLUDES', variants: null, variant: 'enabled', holds: false }],
    rules: [{ outcome: 'NOT_REACHED' }],
  });
});

test('the content for audiences has the flags on which it depends, directly and through others', async () => {
  const content = async (key: string) =>
    (
      await flags.ok<{ flag: { evaluatedContent: { dependencies?: { key: string }[] } } }>(
        'query ($key: String!) { flag(key: $key) { evaluatedContent } }',
        { key },
      )
    ).flag.evaluatedContent;
  expect((await content('sport')).dependencies?.map(({ key }) => key)).toEqual(['base', 'eco']);
  expect((await content('eco')).dependencies?.map(({ key }) => key)).toEqual(['base']);
  expect(await content('base')).not.toHaveProperty('dependencies');
});
