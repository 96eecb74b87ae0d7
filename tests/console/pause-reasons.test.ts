import { expect, test } from '@jest/globals';
import { pauseReason } from '../../console/rollouts/pause-reason.ts';
import { formatsOf } from '../../console/words/formats.ts';
import { ko } from '../../console/words/ko.ts';
import { describeSilence, readRolloutGuard } from '../../core/rollouts/rollout-guard.ts';
import { pausedBy } from '../../subgraphs/flags/changes/running-experiments/running-experiment.ts';
import type { Flag, Rule } from '../../subgraphs/flags/flags/flag.ts';
import { obstacleTo } from '../../subgraphs/flags/rollouts/rollout-obstacle.ts';
import type { Rollout } from '../../subgraphs/flags/rollouts/rollout.ts';

const korean = { words: ko, formats: formatsOf('ko-KR', 'UTC') };

const rule = (over: Partial<Rule> = {}) =>
  ({ id: 'r', type: 'percentage_rollout', enabled: true, conditions: { rollout_percentage: 10 }, ...over }) as Rule;
const flag = (over: Partial<Flag> = {}) =>
  ({
    archivedAt: null,
    environment: 'production',
    enabled: true,
    safetyLevel: 'ASIL-B',
    rules: [rule()],
    ...over,
  }) as Flag;
const rollout = { ruleId: 'r', environment: 'production', approvedById: null } as Rollout;
const killed = rule({ id: 'k', type: 'kill_switch', conditions: { force_disabled: true } });

/** Every obstacle of the control plane that pauses a rollout, as it words it. */
const REASONS = {
  killed: obstacleTo(rollout, flag({ rules: [rule(), killed] }))?.reason,
  disabled: obstacleTo(rollout, flag({ enabled: false }), flag())?.reason,
  ruleDisabled: obstacleTo(rollout, flag({ rules: [rule({ enabled: false })] }), flag())?.reason,
  lowered: obstacleTo(rollout, flag({ rules: [rule({ conditions: { rollout_percentage: 2.5 } })] }), flag())?.reason,
  changed: obstacleTo(rollout, flag({ rules: [rule({ variant: 'other' })] }), flag())?.reason,
  raised: obstacleTo(rollout, flag({ safetyLevel: 'ASIL-D' }))?.reason,
  silent: describeSilence(readRolloutGuard({ metric: 'faults', worse: 'higher', maxWorsePercent: 1 }, 'guard')),
  experiment: pausedBy({ id: 'e', name: 'Fewer faults' }),
};

test.each(Object.entries(REASONS))('the console says in Korean why a rollout is paused: %s', (_, reason) => {
  expect(reason).toBeDefined();
  const said = pauseReason(reason ?? '', korean);
  expect(said).toMatch(/\p{Script=Hangul}/u);
  expect(said).not.toContain(reason);
});

test('numbers, names and times of a reason are kept, and what people have written is quoted', () => {
  expect(pauseReason(REASONS.lowered ?? '', korean)).toContain('2.5%');
  expect(pauseReason(REASONS.silent, korean)).toMatch(/faults.*30분|30분.*faults/);
  expect(pauseReason(REASONS.experiment, korean)).toContain('Fewer faults');
  expect(pauseReason('Complaints from the field', korean)).toBe('“Complaints from the field”');
});
