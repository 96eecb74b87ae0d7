/**
 * The laws of releases on what is stored and signed, after any sequence of edits, kills, stages, promotions and halts
 * (releases.md, "Laws"). The ring is found here by the words of the specification, and each vehicle is evaluated by core
 * on the signed definition.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { bucketing } from '../../../core/evaluation/bucket.ts';
import { compileFlag, evaluateFlag } from '../../../core/evaluation/evaluate.ts';
import { isKilled } from '../../../core/evaluation/rules/kill-switch.ts';
import type { Evaluation, EvaluationContext, FlagDefinition } from '../../../core/model.ts';
import { rounds } from '../../../core/testing/rounds.ts';
import { FleetFlagError } from '../../../core/errors.ts';
import type { Flag } from '../flags/flag.ts';
import { definitionIn } from '../signing/signing.ts';
import { ReleasesUnderTest, THREE_STAGES } from '../testing/releases-under-test.ts';
import { keptContent, releasedContent } from './staging.ts';

let releases: ReleasesUnderTest;
beforeAll(async () => {
  releases = await ReleasesUnderTest.start();
});
afterAll(() => releases.flags.remove());

const vinOf = (n: number) => `KMH${String(n * 7_919).padStart(14, '0')}`;
/** Vehicles of two regions, one of them in the canary, and nobody in particular. */
const VEHICLES: readonly EvaluationContext[] = [
  ...Array.from({ length: 60 }, (_, n) => ({ vin: vinOf(n), model: 'EV9', region: n % 2 === 0 ? 'KR' : 'EU' })),
  { vin: vinOf(100), model: 'GV60', region: 'KR' },
  { region: 'KR' },
];
const CANARY = { vins: [vinOf(3)], models: ['GV60'], regions: [] };

const isOn = ({ enabled, rules }: Pick<Flag, 'enabled' | 'rules'>) => enabled && !isKilled(rules);

/** Says whether a vehicle is in the ring of a flag's release. */
function isInRing({ release }: Flag, { vin, model }: EvaluationContext): boolean {
  if (release === null || typeof vin !== 'string') return false;
  const isFirst =
    release.canary?.vins?.includes(vin) === true || release.canary?.models?.includes(model ?? '') === true;
  return isFirst || bucketing(`release:${release.id}`)(vin) < Math.round(release.percentage * 1000);
}

type Served = readonly Omit<Evaluation, 'revision'>[];

const evaluatedBy = (definition: FlagDefinition): Served => {
  const compiled = compileFlag(definition);
  return VEHICLES.map((vehicle) => {
    const { revision: _, ...served } = evaluateFlag(compiled, vehicle);
    // A kill switch that no longer holds the flag is not what decides any more.
    return served.reason === 'DISABLED' ? { ...served, ruleId: null } : served;
  });
};

/** What a step has come to: the flag as it is stored, what vehicles evaluate, and what they would by its own content. */
interface State {
  readonly flag: Flag;
  readonly served: Served;
  readonly whole: Served;
}

async function stateOf(key: string): Promise<State> {
  const flag = await releases.stored(key);
  const definition = definitionIn(flag.signedDefinition);
  expect(definition.revision).toBe(flag.revision);
  // What people examine is what vehicles have.
  const row = await releases.release(key);
  expect(row && { content: row.content, stableContent: row.stableContent }).toEqual(
    flag.release && { content: releasedContent(flag), stableContent: keptContent(flag.release.stable) },
  );
  return { flag, served: evaluatedBy(definition), whole: evaluatedBy({ ...flag, release: null }) };
}

type Step =
  | { readonly kind: 'edit'; readonly query: string; readonly variables: object }
  | { readonly kind: 'switch'; readonly query: string }
  | { readonly kind: 'stage' }
  | { readonly kind: 'promote'; readonly percentage: number }
  | { readonly kind: 'halt' };

const edit = (mutation: string, variables: object): Step => ({
  kind: 'edit',
  query: `mutation ($key: String!, $input: ${mutation === 'createRule' ? 'RuleInput' : 'UpdateFlagInput'}!) { change: ${
    mutation === 'createRule' ? 'createRule(flagKey: $key, input: $input)' : 'updateFlag(key: $key, input: $input)'
  } { applied } }`,
  variables,
});

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('a', 'b', 'c').map((value) => edit('updateFlag', { defaultValue: value })) },
  {
    weight: 4,
    arbitrary: fc
      .record({
        priority: fc.integer({ min: 1, max: 9 }),
        value: fc.constantFrom('x', 'y'),
        region: fc.constantFrom('KR', 'EU'),
      })
      .map(({ priority, value, region }) =>
        edit('createRule', { type: 'VEHICLE_TARGET', priority, value, conditions: { regions: [region] } }),
      ),
  },
  { weight: 1, arbitrary: fc.constantFrom('one', 'two').map((name) => edit('updateFlag', { name })) },
  {
    weight: 4,
    arbitrary: fc
      .constantFrom(
        'enableFlag(key: $key)',
        'disableFlag(key: $key)',
        'killSwitch(flagKey: $key, reason: "smoke")',
        'releaseKillSwitch(flagKey: $key, reason: "clear")',
      )
      .map((field): Step => ({ kind: 'switch', query: `mutation ($key: String!) { change: ${field} { applied } }` })),
  },
  { weight: 5, arbitrary: fc.constant<Step>({ kind: 'stage' }) },
  { weight: 1, arbitrary: fc.constantFrom(5, 50, 100).map((percentage): Step => ({ kind: 'promote', percentage })) },
  { weight: 2, arbitrary: fc.constant<Step>({ kind: 'halt' }) },
);

/** Makes a step; one that is refused, such as a halt without a release, changes nothing. */
async function make(key: string, one: Step): Promise<void> {
  const unlessRefused = async (work: () => Promise<unknown>) => {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof FleetFlagError)) throw error;
    }
  };
  if (one.kind === 'stage') {
    releases.clock.now += 60_000;
    await releases.job.runDue();
  } else if (one.kind === 'halt') await unlessRefused(() => releases.service.halt(releases.writer, key, 'by hand'));
  else if (one.kind === 'promote')
    await unlessRefused(() => releases.service.promote(releases.writer, key, one.percentage, 'by hand'));
  else
    await releases.flags.ask(releases.flags.writer, one.query, {
      key,
      ...(one.kind === 'edit' && { input: one.variables }),
    });
}

/** Checks a step against the laws, and gives what vehicles outside the ring have to evaluate from then on. */
function check(one: Step, before: State, after: State, outside: Served | null): Served | null {
  const ring = VEHICLES.map((vehicle) => isInRing(after.flag, vehicle));
  const [wasOn, isNowOn] = [isOn(before.flag), isOn(after.flag)];
  const isUnder = after.flag.release !== null;
  // Whatever happens to a release, only people switch the flag on.
  if (!wasOn && one.kind !== 'switch') expect(isNowOn).toBe(false);
  if (!isNowOn) {
    // At once, at every vehicle, whatever stage there is, with the default that vehicles had outside the ring.
    const value =
      outside?.[0]?.reason === 'DISABLED' ? outside[0].value : definitionIn(before.flag.signedDefinition).defaultValue;
    for (const served of after.served) expect(served).toMatchObject({ reason: 'DISABLED', variant: 'control' });
    if (one.kind === 'switch') for (const served of after.served) expect(served.value).toEqual(value);
    if (!wasOn && one.kind === 'edit') expect(after.served).toEqual(before.served);
    // What a release found before a kill is what a halt brings back; one that begins now begins with a disabled flag.
    return isUnder ? (before.flag.release === null ? after.served : outside) : null;
  }
  if (one.kind === 'halt' && before.flag.release !== null) {
    expect(after.flag.release).toBeNull();
    expect(after.served).toEqual(outside);
    expect(after.whole).toEqual(outside);
    return null;
  }
  let expected = outside;
  if (!wasOn) expected = before.served;
  else if (one.kind === 'edit' && before.flag.release === null) expected = before.served;
  else if (one.kind === 'edit' && before.flag.release?.percentage === 100 && after.flag.release?.percentage !== 100)
    expected = before.whole;
  if (!isUnder) {
    expect(after.served).toEqual(after.whole);
    return null;
  }
  for (const [index, served] of after.served.entries())
    expect(served).toEqual(ring[index] === true ? after.whole[index] : expected?.[index]);
  if (one.kind === 'stage' || one.kind === 'promote')
    for (const [index, vehicle] of VEHICLES.entries())
      if (isInRing(before.flag, vehicle)) expect(ring[index]).toBe(true);
  return expected;
}

test.each([true, false])(
  'no sequence of steps breaks a law of releases (canary: %s)',
  async (hasCanary) => {
    await releases.setPolicy('staging', THREE_STAGES, hasCanary ? CANARY : null);
    let checked = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 14 }), async (steps) => {
        const { key } = await releases.flags.create({ type: 'STRING', defaultValue: 'a', enabled: true });
        let before = await stateOf(key);
        let outside: Served | null = evaluatedBy({ ...before.flag, enabled: false, release: null });
        expect(before.flag.release?.percentage).toBe(1);
        for (const one of steps) {
          await make(key, one);
          const after = await stateOf(key);
          outside = check(one, before, after, outside);
          if (after.flag.release !== null) checked += 1;
          before = after;
        }
        // An environment holds 100 flags at most.
        for (const field of ['disableFlag', 'archiveFlag'])
          await releases.flags.ok(`mutation ($key: String!) { ${field}(key: $key) { applied } }`, { key });
      }),
      { numRuns: rounds(20, 300) },
    );
    expect(checked).toBeGreaterThan(rounds(20, 300));
  },
  rounds(120_000, 1_800_000),
);
