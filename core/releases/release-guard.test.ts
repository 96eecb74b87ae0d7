import { describe, expect, it } from '@jest/globals';
import { FleetFlagError } from '../errors.ts';
import { MAX_RELEASE_GUARDS, areReleaseGuards, readReleaseGuards, type ReleaseGuardDraft } from './release-guard.ts';

const DRAFT: ReleaseGuardDraft = { metric: 'charge_minutes', worse: 'higher', maxWorsePercent: 5, action: 'halt' };

function faultOf(drafts: readonly ReleaseGuardDraft[]): [string, unknown] | null {
  try {
    readReleaseGuards(drafts, 'guards');
  } catch (error) {
    if (error instanceof FleetFlagError) return [error.code, error.details.field];
    throw error;
  }
  return null;
}

describe('readReleaseGuards', () => {
  it('fills in what is left out, in a form that can be stored and read again', () => {
    const guards = readReleaseGuards([DRAFT], 'guards');
    expect(guards).toEqual([
      {
        ...{ metric: 'charge_minutes', worse: 'higher', maxWorsePercent: 5, bound: null, action: 'halt' },
        ...{ confidenceLevel: 0.95, minimumVehicles: 50, silence: 1_800_000 },
      },
    ]);
    expect(areReleaseGuards(JSON.parse(JSON.stringify(guards)))).toBe(true);
  });

  it.each<[string, ReleaseGuardDraft]>([
    ['another action', { ...DRAFT, action: 'hold' }],
    ['another direction', { ...DRAFT, worse: 'lower' }],
    ['another kind of limit', { ...DRAFT, maxWorsePercent: null, bound: 40 }],
    ['another metric', { ...DRAFT, metric: 'range_km' }],
  ])('accepts a second guard with %s', (_, other) => {
    expect(faultOf([DRAFT, other])).toBeNull();
  });

  it.each<[string, ReleaseGuardDraft[], [string, string]]>([
    ['the same guard twice', [DRAFT, { ...DRAFT, maxWorsePercent: 9 }], ['BAD_USER_INPUT', 'guards.1']],
    ['no limit', [{ ...DRAFT, maxWorsePercent: null }], ['BAD_USER_INPUT', 'guards.0']],
    ['a limit below 0', [{ ...DRAFT, maxWorsePercent: -1 }], ['BAD_USER_INPUT', 'guards.0.maxWorsePercent']],
    ['a metric that is no name', [DRAFT, { ...DRAFT, metric: ' ' }], ['BAD_USER_INPUT', 'guards.1.metric']],
    ['a silence of 8 days', [{ ...DRAFT, silence: 'P8D' }], ['BAD_USER_INPUT', 'guards.0.silence']],
    [
      'too many',
      Array.from({ length: MAX_RELEASE_GUARDS + 1 }, (_, index) => ({ ...DRAFT, metric: `m${index}` })),
      ['LIMIT_EXCEEDED', 'guards'],
    ],
  ])('refuses %s', (_, drafts, fault) => {
    expect(faultOf(drafts)).toEqual(fault);
  });
});
