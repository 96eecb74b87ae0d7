/**
 * The laws of releases (releases.md, "Laws") on what vehicles are served, and random steps with a flag under a policy.
 * The ring is found here by the words of the specification, and not by the code that is tested.
 */
import { expect } from '@jest/globals';
import fc from 'fast-check';
import { FleetFlagError } from '../../../core/errors.ts';
import { bucketing } from '../../../core/evaluation/bucket.ts';
import { isKilled } from '../../../core/evaluation/rules/kill-switch.ts';
import type { Evaluation, EvaluationContext } from '../../../core/model.ts';
import type { Flag } from '../flags/flag.ts';
import { definitionIn } from '../signing/signing.ts';
import type { ReleasesUnderTest } from './releases-under-test.ts';

/** Says whether a flag is neither disabled nor killed. */
export const isOn = ({ enabled, rules }: Pick<Flag, 'enabled' | 'rules'>): boolean => enabled && !isKilled(rules);

/** Says whether a vehicle is in the ring of a flag's release. */
function isInRing({ release }: Flag, { vin, model }: EvaluationContext): boolean {
  if (release === null || typeof vin !== 'string') return false;
  const isFirst =
    release.canary?.vins?.includes(vin) === true || release.canary?.models?.includes(model ?? '') === true;
  return isFirst || bucketing(`release:${release.id}`)(vin) < Math.round(release.percentage * 1000);
}

/** The part of an evaluation that the laws are about. */
export type ServedValue = Pick<Evaluation, 'value' | 'variant' | 'reason' | 'ruleId'>;

/** Gives the served part of an evaluation. The rule of a disabled flag is left out: its kill switch may be gone. */
export function servedBy({ value, variant, reason, ruleId }: ServedValue): ServedValue {
  return { value, variant, reason, ruleId: reason === 'DISABLED' ? null : ruleId };
}

/** The values that the vehicles are served, one for each. */
export type Served = readonly ServedValue[];

/** The state after a step: the flag as stored, and what vehicles are served with its release and without any. */
export interface ReleaseState {
  readonly flag: Flag;
  readonly served: Served;
  readonly whole: Served;
}

/** A step with a flag under a policy. */
export type PolicyStep =
  | { readonly kind: 'edit'; readonly query: string; readonly variables: object }
  | { readonly kind: 'switch'; readonly query: string }
  | { readonly kind: 'stage' }
  | { readonly kind: 'promote'; readonly percentage: number }
  | { readonly kind: 'halt' };

const edit = (mutation: string, variables: object): PolicyStep => ({
  kind: 'edit',
  query: `mutation ($key: String!, $input: ${mutation === 'createRule' ? 'RuleInput' : 'UpdateFlagInput'}!) { change: ${
    mutation === 'createRule' ? 'createRule(flagKey: $key, input: $input)' : 'updateFlag(key: $key, input: $input)'
  } { applied } }`,
  variables,
});

/** Any step with a STRING flag. */
export const releaseStep: fc.Arbitrary<PolicyStep> = fc.oneof(
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
      .map((field): PolicyStep => ({
        kind: 'switch',
        query: `mutation ($key: String!) { change: ${field} { applied } }`,
      })),
  },
  { weight: 5, arbitrary: fc.constant<PolicyStep>({ kind: 'stage' }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(5, 50, 100).map((percentage): PolicyStep => ({ kind: 'promote', percentage })),
  },
  { weight: 2, arbitrary: fc.constant<PolicyStep>({ kind: 'halt' }) },
);

/** Makes a step; one that is refused, such as a halt without a release, changes nothing. */
export async function makeStep(releases: ReleasesUnderTest, key: string, one: PolicyStep): Promise<void> {
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

/** Disables and archives a flag: an environment holds 100 at most. */
export async function archiveFlag({ flags }: ReleasesUnderTest, key: string): Promise<void> {
  for (const field of ['disableFlag', 'archiveFlag'])
    await flags.ok(`mutation ($key: String!) { ${field}(key: $key) { applied } }`, { key });
}

/**
 * Checks a step against the laws, and gives what vehicles outside the ring have to evaluate from then on; null where
 * there is no release.
 *
 * @param vehicles those that are served, in the order of the states
 * @param outside what the step before gave
 */
export function checkStep(
  vehicles: readonly EvaluationContext[],
  one: PolicyStep,
  before: ReleaseState,
  after: ReleaseState,
  outside: Served | null,
): Served | null {
  const ring = vehicles.map((vehicle) => isInRing(after.flag, vehicle));
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
    for (const [index, vehicle] of vehicles.entries())
      if (isInRing(before.flag, vehicle)) expect(ring[index]).toBe(true);
  return expected;
}
