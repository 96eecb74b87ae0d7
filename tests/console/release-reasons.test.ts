import { expect, test } from '@jest/globals';
import { releaseReason } from '../../console/releases/release-reason.ts';
import { formatsOf } from '../../console/words/formats.ts';
import { ko } from '../../console/words/ko.ts';
import { RELEASE_WORDS } from '../../console/words/release-words.ts';
import type { ReleasePolicy } from '../../core/releases/release-policy.ts';
import type { Flag, StagedRelease } from '../../subgraphs/flags/flags/flag.ts';
import { HOLD_REASONS, faultsReason, guardReason } from '../../subgraphs/flags/releases/release-reasons.ts';
import { staged } from '../../subgraphs/flags/releases/staging.ts';

const korean = { words: ko, formats: formatsOf('ko-KR', 'UTC'), texts: RELEASE_WORDS.ko.release };

const stable = {
  ...{ disabled: false, defaultValue: 1, rules: [], requires: [], excludes: [], valueSchema: null },
  activation: 'IMMEDIATE',
} as const;
const under: StagedRelease = { id: 'r', percentage: 1, canary: null, stable };
const flag = (over: Partial<Flag> = {}) =>
  ({
    ...{ key: 'charge', environment: 'staging', enabled: true, draft: false, archivedAt: null, scope: null },
    ...{ safetyLevel: 'NON_CRITICAL', defaultValue: 2, rules: [], requires: [], excludes: [], valueSchema: null },
    ...{ activation: 'IMMEDIATE', release: under, ...over },
  }) as Flag;
const POLICY = {
  stages: [{ percentage: 1, soakMs: 0, minimumVehicles: 0 }],
  canary: null,
  safetyLevels: ['NON_CRITICAL'],
} as unknown as ReleasePolicy;

/** Gives the reason for which a change ends the release of a flag. */
const endedBy = (before: Partial<Flag>, after: Partial<Flag>, policy: ReleasePolicy | null = POLICY) =>
  staged(flag(before), flag({ ...before, ...after }), { policyOf: () => policy, isFaulty: false, newId: () => 'n' })
    .ended?.reason;

const figures = { ring: { vehicles: 400, faulty: 12 }, rest: { vehicles: 39_600, faulty: 3 } };

const guard = {
  ...({ metric: 'charge_minutes', worse: 'higher' } as const),
  ...{ maxWorsePercent: 5, bound: null, confidenceLevel: 0.95 },
  ...{ minimumVehicles: 50, silence: 60_000 },
};
const measured = {
  ...{ controlVehicles: 80, treatmentVehicles: 50, vehiclesInBothArms: 0, controlMean: 20, treatmentMean: 25.5 },
  ...{ worsePercent: 27.5, worsePercentAtLeast: 10, detectablePercent: 8, pValue: 0.01, significance: 0.05 },
  outOfRange: { control: 0, treatment: 0 },
  neverReported: { control: 0, treatment: 0 },
  lastMeasurementAt: null,
};

/** Every reason that the control plane gives by itself, as it words it. */
const REASONS: Readonly<Record<string, string | undefined>> = {
  killed: HOLD_REASONS.killed,
  disabled: HOLD_REASONS.disabled,
  faulty: HOLD_REASONS.faulty,
  unseen: HOLD_REASONS.unseen,
  silent: HOLD_REASONS.silent(3, 200),
  unevaluated: HOLD_REASONS.unevaluated(3, 10),
  pastLimit: faultsReason(figures),
  guardCompared: guardReason(guard, measured),
  guardBound: guardReason({ ...guard, maxWorsePercent: null, bound: 22 }, measured),
  guardUnwatched: HOLD_REASONS.unwatched('charge_minutes'),
  guardUnmeasured: HOLD_REASONS.unmeasured('charge_minutes'),
  guardUncounted: HOLD_REASONS.uncounted('charge_minutes', 12, 40, 50),
  archived: endedBy({ enabled: false }, { archivedAt: new Date(0) }),
  moved: endedBy({ enabled: false }, { environment: 'production' }),
  noPolicy: endedBy({}, { defaultValue: 3 }, null),
  switchedOn: endedBy({ enabled: false }, { enabled: true }),
  takenBack: endedBy({}, { defaultValue: 1 }),
  later: endedBy({}, { defaultValue: 3 }),
};

test.each(Object.entries(REASONS))(
  'the console says in Korean why a release holds or has ended: %s',
  (name, reason = '') => {
    expect(reason).not.toBe('');
    const said = releaseReason(reason, korean);
    expect(said).toMatch(/\p{Script=Hangul}/u);
    expect(said).not.toContain(reason);
    expect(Object.keys(korean.texts.reasons)).toContain(name);
  },
);

test('the console has words for no reason that the control plane does not give', () => {
  expect(Object.keys(korean.texts.reasons).sort()).toEqual(Object.keys(REASONS).sort());
});

test('numbers and names of a reason are kept, and what people have written is quoted', () => {
  expect(releaseReason(REASONS['silent'] ?? '', korean)).toMatch(/200.*3/);
  expect(releaseReason(REASONS['unevaluated'] ?? '', korean)).toMatch(/10.*3/);
  expect(releaseReason(REASONS['pastLimit'] ?? '', korean)).toMatch(/400.*12.*39,600.*3/);
  expect(releaseReason(REASONS['guardCompared'] ?? '', korean)).toMatch(/charge_minutes.*50.*25\.5.*80.*20.*5%/);
  expect(releaseReason(guardReason(guard, { ...measured, treatmentMean: null }), korean)).toContain('50대 –');
  expect(releaseReason(REASONS['moved'] ?? '', korean)).toContain('양산');
  expect(releaseReason(REASONS['noPolicy'] ?? '', korean)).toContain('검증');
  expect(releaseReason('Chargers get hot', korean)).toBe('“Chargers get hot”');
});
