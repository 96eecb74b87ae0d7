/** Laws of release policies, on generated ones. */
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { FleetFlagError } from '../errors.ts';
import { is } from '../json/shape.ts';
import { SAFETY_LEVELS } from '../model.ts';
import { GUARD_DIRECTIONS } from '../rollouts/rollout-guard.ts';
import { rounds } from '../testing/rounds.ts';
import { durationText } from '../validation/duration.ts';
import { parseReleasePolicy, type PolicyDraft } from './policy-input.ts';
import { LOOSENINGS, looseningsOf, needsSecondPersonForPolicy, type Loosening } from './policy-loosening.ts';
import { GUARD_ACTIONS, type ReleaseGuard } from './release-guard.ts';
import { isCovered, type ReleasePolicy, type ReleaseStage } from './release-policy.ts';

const HOUR_MS = 3_600_000;

describe('a policy is accepted where it is lawful, and only there', () => {
  const stageDraft = fc.record({
    percentage: fc.oneof(
      fc.constantFrom(0, 0.001, 1, 10, 50, 99.999, 100, 100.5, -1, 0.0005),
      fc.integer({ min: 0, max: 100_000 }).map((thousandths) => thousandths / 1000),
    ),
    soak: fc.constantFrom('PT0S', 'PT1S', 'PT1H', 'P366D', 'P367D', 'P1M', '', null, 5),
    minimumVehicles: fc.constantFrom(0, 0, 1, 500, -1, 1.5),
  });
  /** Mostly raising stages that end at 100: independent ones would hardly ever be lawful. */
  const stages = fc.oneof(
    fc.array(stageDraft, { maxLength: 4 }),
    fc.uniqueArray(fc.integer({ min: 0, max: 99_999 }), { maxLength: 22 }).chain((thousandths) =>
      fc.tuple(
        ...[...thousandths.sort((a, b) => a - b), 100_000].map((share) =>
          fc.record({
            percentage: fc.constant(share / 1000),
            soak: fc.constantFrom('PT0S', 'PT1S', 'P1D'),
            minimumVehicles: fc.constantFrom(0, 5),
          }),
        ),
      ),
    ),
  );
  const canary = fc.option(
    fc.record(
      {
        vins: fc.constantFrom([], ['KMH00000000000001'], ['KMH'], null),
        models: fc.constantFrom([], ['EV9'], ['*'], ['EV9', 'EV9']),
        regions: fc.constantFrom([], ['KR'], ['']),
      },
      { requiredKeys: [] },
    ),
  );
  const draft: fc.Arbitrary<PolicyDraft> = fc.record({
    environment: fc.constant('production' as const),
    stages,
    canary,
    safetyLevels: fc.option(fc.array(fc.constantFrom(...SAFETY_LEVELS), { maxLength: 4 })),
    maximumFaultyVehicles: fc.option(fc.constantFrom(0, 3, -1)),
    maximumFaultyPercent: fc.option(fc.constantFrom(0, 1.5, 0.125, 0.0005, 100, 101, -1)),
    guards: fc.option(
      fc.array(
        fc.record({
          metric: fc.constantFrom('brakes', 'range_km', 'charge_minutes'),
          worse: fc.constantFrom(...GUARD_DIRECTIONS),
          maxWorsePercent: fc.constantFrom(0, 5, 5, -1),
          action: fc.constantFrom(...GUARD_ACTIONS),
          silence: fc.constantFrom('PT1H', 'P7D'),
        }),
        { maxLength: 6 },
      ),
      { freq: 1 },
    ),
  });

  const LAWFUL_SOAKS: readonly unknown[] = ['PT0S', 'PT1S', 'PT1H', 'P1D', 'P366D'];
  const LAWFUL_LISTS = [undefined, null, '[]', '["KMH00000000000001"]', '["EV9"]', '["KR"]'];
  const listText = (list: unknown) => (list == null ? list : JSON.stringify(list));

  /** The law in words of its own: each sentence is one of the guide for those who decide policies. */
  function isLawful({ stages: given, canary: group, safetyLevels, guards, ...limits }: PolicyDraft): boolean {
    const watching = guards ?? [];
    const levels = safetyLevels ?? SAFETY_LEVELS;
    const lists = group == null ? [] : [group.vins, group.models, group.regions];
    const names = lists.flatMap((list) => (is.listOf(is.string)(list) ? list : []));
    const percentages = given.map(({ percentage }) => percentage);
    return (
      given.length <= 20 &&
      percentages.every((percentage, index) => index === 0 || percentage > (percentages[index - 1] ?? 0)) &&
      percentages.every((percentage) => Number.isInteger(Number((percentage * 1000).toFixed(6)))) &&
      (given.length === 0 || percentages.at(-1) === 100) &&
      (percentages[0] === undefined || percentages[0] > 0 || (percentages[0] === 0 && group != null)) &&
      given.every(({ soak }) => LAWFUL_SOAKS.includes(soak)) &&
      given.every(({ minimumVehicles }) => [0, 1, 5, 500].includes(minimumVehicles ?? 0)) &&
      (!levels.includes('ASIL-D') ||
        given.every((stage) => stage.soak !== 'PT0S' || (stage.minimumVehicles ?? 0) > 0)) &&
      levels.length > 0 &&
      new Set(levels).size === levels.length &&
      (group == null || (given.length > 0 && names.length > 0)) &&
      lists.every((list) => LAWFUL_LISTS.includes(listText(list))) &&
      (watching.length === 0 || given.length > 0) &&
      watching.length <= 5 &&
      watching.every(({ maxWorsePercent }) => maxWorsePercent !== -1) &&
      new Set(watching.map(({ metric, worse, action }) => [metric, worse, action].join())).size === watching.length &&
      (limits.maximumFaultyVehicles ?? 0) >= 0 &&
      (limits.maximumFaultyPercent ?? 0) >= 0 &&
      (limits.maximumFaultyPercent ?? 0) <= 100 &&
      limits.maximumFaultyPercent !== 0.0005
    );
  }

  it('and each refusal names its field', () => {
    const seen = { lawful: 0, refused: 0 };
    fc.assert(
      fc.property(draft, (policy) => {
        let fault: FleetFlagError | null = null;
        try {
          parseReleasePolicy(policy, 'input');
        } catch (error) {
          if (!(error instanceof FleetFlagError)) throw error;
          fault = error;
        }
        seen[fault === null ? 'lawful' : 'refused']++;
        expect(fault === null).toBe(isLawful(policy));
        if (fault !== null) {
          expect(['BAD_USER_INPUT', 'LIMIT_EXCEEDED']).toContain(fault.code);
          expect(fault.details.field).toMatch(/^input\.\w+/);
        }
      }),
      { numRuns: rounds(1_000, 20_000) },
    );
    // The generator makes enough of both.
    expect(Math.min(seen.lawful, seen.refused)).toBeGreaterThan(10);
  });

  it('and a policy that was read says the same when it is written again', () => {
    fc.assert(
      fc.property(draft.filter(isLawful), (given) => {
        const policy = parseReleasePolicy(given, 'input');
        const written = {
          ...policy,
          stages: policy.stages.map(({ soakMs, ...stage }) => ({ ...stage, soak: durationText(soakMs) })),
          guards: policy.guards.map(({ silence, ...guard }) => ({ ...guard, silence: durationText(silence) })),
        };
        expect(parseReleasePolicy(written, 'input')).toEqual(policy);
      }),
      { numRuns: rounds(200, 5_000) },
    );
  });
});

describe('a policy is looser where some vehicle is protected less, and only there', () => {
  const stages = fc
    .uniqueArray(fc.constantFrom(1, 2, 5, 10, 20), { maxLength: 3 })
    .map((percentages) => [...percentages.sort((a, b) => a - b), 100])
    .chain((percentages) =>
      fc.tuple(
        ...percentages.map((percentage) =>
          fc.record({
            percentage: fc.constant(percentage),
            soakMs: fc.constantFrom(0, HOUR_MS, 2 * HOUR_MS),
            minimumVehicles: fc.constantFrom(0, 3, 10),
          }),
        ),
      ),
    );
  const guard: fc.Arbitrary<ReleaseGuard> = fc
    .record({
      metric: fc.constantFrom('brakes', 'range_km'),
      worse: fc.constantFrom(...GUARD_DIRECTIONS),
      limit: fc.constantFrom(5, 10),
      isBound: fc.boolean(),
      confidenceLevel: fc.constantFrom(0.95, 0.99),
      minimumVehicles: fc.constantFrom(10, 50),
      silence: fc.constantFrom(HOUR_MS, 2 * HOUR_MS),
      action: fc.constantFrom(...GUARD_ACTIONS),
    })
    .map(({ limit, isBound, ...of }) => ({
      ...of,
      bound: isBound ? limit : null,
      maxWorsePercent: isBound ? null : limit,
    }));
  const policy: fc.Arbitrary<ReleasePolicy> = fc.record({
    environment: fc.constant('production' as const),
    stages: fc.oneof({ weight: 5, arbitrary: stages }, { weight: 1, arbitrary: fc.constant([]) }),
    canary: fc.constantFrom(
      null,
      { vins: [], models: ['EV9'], regions: [] },
      { vins: [], models: [], regions: ['KR'] },
    ),
    safetyLevels: fc.constantFrom([...SAFETY_LEVELS], ['ASIL-D' as const], ['ASIL-B' as const]),
    maximumFaultyVehicles: fc.constantFrom(3, 4),
    maximumFaultyPercent: fc.constantFrom(1, 2),
    guards: fc.array(guard, { maxLength: 3 }),
  });
  /** Often a small change: the other half of all pairs differ in everything. */
  const pair = fc.oneof(
    fc.tuple(policy, policy),
    fc
      .tuple(
        policy,
        policy,
        fc.constantFrom(...(['stages', 'canary', 'safetyLevels', 'maximumFaultyVehicles', 'guards'] as const)),
      )
      .map(([before, other, member]): [ReleasePolicy, ReleasePolicy] => [
        before,
        { ...before, [member]: other[member] },
      ]),
  );

  /** A release, hour by hour: when each stage begins, where every stage has its reports at once. */
  const begins = (of: readonly ReleaseStage[]) =>
    of.reduce<number[]>((times, { soakMs }) => [...times, (times.at(-1) ?? 0) + soakMs], [0]);

  /**
   * The milliseconds for which at least a share has had the change when a vehicle gets it, or when the release ends. A
   * percentage is a bucket here: the vehicle of bucket 5 gets the change in the first stage above 5 percent.
   */
  function watched(of: readonly ReleaseStage[], share: number, bucket: number): number {
    const times = begins(of);
    const firstWith = of.findIndex(({ percentage }) => percentage >= share);
    const got = of.findIndex(({ percentage }) => percentage > bucket);
    const from = times[firstWith === -1 ? of.length : firstWith] ?? 0;
    const until = times[got === -1 ? of.length : got] ?? 0;
    return Math.max(0, until - from);
  }

  /**
   * The vehicles that have reported at least, when a vehicle gets the change in a fleet with `density` vehicles in each
   * percent and `canaries` more. A stage asks for no more reports than it has vehicles.
   */
  function reported(of: readonly ReleaseStage[], bucket: number, density: number, canaries: number): number {
    const before = of.filter(({ percentage }) => percentage <= bucket);
    return Math.max(0, ...before.map((s) => Math.min(s.minimumVehicles, canaries + density * s.percentage)));
  }

  const BUCKETS = [0, 1, 2, 5, 10, 20, 50, 100];
  /** Fleets in which a stage has as many vehicles as reports are asked for, or too few, or plenty. */
  const DENSITIES = [0, ...[1, 2, 5, 10, 20, 100].flatMap((share) => [3 / share, 10 / share]), 1_000];

  // The figures of a guard in a stage: the mean of each side, its certainty, the number of vehicles, and its age.
  const SIGHTS = [4, 6, 8, 11].flatMap((worseBy) =>
    [0.96, 0.995].flatMap((confidence) =>
      [20, 60].flatMap((vehicles) => [0.5, 1.5, 3].map((hours) => ({ worseBy, confidence, vehicles, hours }))),
    ),
  );

  /**
   * The effect of guards of one metric and direction on a release with these figures: 2 halts it, 1 holds its stage.
   */
  function effectOf(guards: readonly ReleaseGuard[], kind: string, sight: (typeof SIGHTS)[number]): number {
    const own = guards.filter((one) => kindOf(one) === kind);
    return Math.max(
      0,
      ...own.map((one) => {
        // Where lower is worse, a mean below a higher bound is past it.
        const isPast =
          one.bound !== null && one.worse === 'lower'
            ? 15 - sight.worseBy < one.bound
            : sight.worseBy > (one.bound ?? one.maxWorsePercent ?? 0);
        if (isPast && sight.confidence >= one.confidenceLevel) return one.action === 'halt' ? 2 : 1;
        return sight.vehicles < one.minimumVehicles || sight.hours * HOUR_MS > one.silence ? 1 : 0;
      }),
    );
  }
  const kindOf = ({ metric, worse, bound }: ReleaseGuard) => [metric, worse, bound === null].join();

  function expectedLoosenings(before: ReleasePolicy, after: ReleasePolicy): Loosening[] {
    const covered = SAFETY_LEVELS.filter((level) => isCovered(before, level));
    if (covered.length === 0) return [];
    const isTrue: Record<Loosening, boolean> = {
      'fewer-levels': covered.some((level) => !isCovered(after, level)),
      'shorter-watch': BUCKETS.some((bucket) =>
        BUCKETS.some(
          (share) => share <= bucket && watched(after.stages, share, bucket) < watched(before.stages, share, bucket),
        ),
      ),
      'fewer-reports': BUCKETS.some((bucket) =>
        DENSITIES.some((density) =>
          [0, 3, 10].some(
            (canaries) =>
              reported(after.stages, bucket, density, canaries) <
              reported(before.stages, bucket, density, canaries) - 1e-9,
          ),
        ),
      ),
      'other-canary': JSON.stringify(before.canary) !== JSON.stringify(after.canary),
      'higher-fault-limit':
        after.maximumFaultyVehicles > before.maximumFaultyVehicles ||
        after.maximumFaultyPercent > before.maximumFaultyPercent,
      // Two guards can do together what one did: that none of them does it alone is called weaker, too.
      'weaker-guards': before.guards.some((one) =>
        after.guards.every((other) =>
          SIGHTS.some((sight) => effectOf([other], kindOf(one), sight) < effectOf([one], kindOf(one), sight)),
        ),
      ),
    };
    return LOOSENINGS.filter((loosening) => isTrue[loosening]);
  }

  it('as a simulated release of each shows', () => {
    const seen = new Map<string, number>();
    fc.assert(
      fc.property(pair, ([before, after]) => {
        const found = looseningsOf(before, after);
        expect(found).toEqual(expectedLoosenings(before, after));
        for (const loosening of found) seen.set(loosening, (seen.get(loosening) ?? 0) + 1);
        if (found.length === 0) seen.set('none', (seen.get('none') ?? 0) + 1);
      }),
      { numRuns: rounds(2_000, 40_000) },
    );
    for (const outcome of [...LOOSENINGS, 'none']) expect(seen.get(outcome) ?? 0).toBeGreaterThan(20);
  });

  it('and no way around leads to a looser policy: what is no looser than the second is no looser than the first', () => {
    fc.assert(
      fc.property(policy, policy, policy, (first, second, third) => {
        const isStrict = (before: ReleasePolicy, after: ReleasePolicy) => !needsSecondPersonForPolicy(before, after);
        fc.pre(isStrict(first, second) && isStrict(second, third));
        expect(isStrict(first, third)).toBe(true);
      }),
      { numRuns: rounds(300, 5_000) },
    );
  });

  it('and a policy is never looser than itself', () => {
    fc.assert(
      fc.property(policy, (one) => {
        expect(looseningsOf(one, one)).toEqual([]);
      }),
      { numRuns: rounds(100, 1_000) },
    );
  });
});

describe('needsSecondPersonForPolicy', () => {
  const ofLevels = (safetyLevels: ReleasePolicy['safetyLevels'], maximumFaultyVehicles = 3): ReleasePolicy => ({
    environment: 'production',
    stages: [{ percentage: 100, soakMs: HOUR_MS, minimumVehicles: 0 }],
    canary: null,
    safetyLevels,
    maximumFaultyVehicles,
    maximumFaultyPercent: 1,
    guards: [],
  });

  it('is true for a looser policy where the present one holds for ASIL-D', () => {
    expect(needsSecondPersonForPolicy(ofLevels(['ASIL-D']), ofLevels(['ASIL-D'], 4))).toBe(true);
    expect(needsSecondPersonForPolicy(ofLevels(['ASIL-B', 'ASIL-D']), ofLevels(['ASIL-D']))).toBe(true);
  });

  it('is false for a stricter policy, and where the present one does not hold for ASIL-D', () => {
    expect(needsSecondPersonForPolicy(ofLevels(['ASIL-D']), ofLevels(['ASIL-D'], 2))).toBe(false);
    expect(needsSecondPersonForPolicy(ofLevels(['ASIL-B']), ofLevels(['ASIL-B'], 4))).toBe(false);
    expect(needsSecondPersonForPolicy({ ...ofLevels(['ASIL-D']), stages: [] }, ofLevels(['ASIL-B']))).toBe(false);
  });
});
