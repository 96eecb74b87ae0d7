import { describe, expect, it } from '@jest/globals';
import { FleetFlagError } from '../errors.ts';
import {
  MAX_RELEASE_GUARDS,
  addedGuards,
  areReleaseGuards,
  areWatchingGuards,
  guardDrafts,
  readAddedGuards,
  readReleaseGuards,
  type ReleaseGuardDraft,
  type WatchingGuard,
} from './release-guard.ts';

const DRAFT: ReleaseGuardDraft = { metric: 'charge_minutes', worse: 'higher', maxWorsePercent: 5, action: 'halt' };

const faultOf = (drafts: readonly ReleaseGuardDraft[]) => faultIn(() => readReleaseGuards(drafts, 'guards'));

function faultIn(read: () => unknown): [string, unknown] | null {
  try {
    read();
  } catch (error) {
    if (error instanceof FleetFlagError) return [error.code, error.details.field];
    throw error;
  }
  return null;
}

describe('readReleaseGuards', () => {
  it('reads what a client would write for them as the same guards', () => {
    const guards = readReleaseGuards([DRAFT, { ...DRAFT, metric: 'range_km', silence: 'PT2H' }], 'guards');
    expect(readReleaseGuards(guardDrafts(guards), 'guards')).toEqual(guards);
  });

  it('fills in what is left out, in a form that can be stored and read again', () => {
    const guards = readReleaseGuards([DRAFT], 'guards');
    expect(guards).toEqual([
      {
        metric: 'charge_minutes',
        worse: 'higher',
        maxWorsePercent: 5,
        bound: null,
        action: 'halt',
        confidenceLevel: 0.95,
        minimumVehicles: 50,
        silence: 1_800_000,
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

describe('readAddedGuards', () => {
  const ofPolicy: WatchingGuard[] = readReleaseGuards([{ ...DRAFT, action: 'hold' }], 'guards');
  const [added] = readAddedGuards([DRAFT], ofPolicy, 'guards').map((guard) => ({ ...guard, reason: 'Two complaints' }));

  it('gives guards without a reason, which only added ones get', () => {
    const present = [...ofPolicy, added!];
    expect(addedGuards(present)).toEqual([added]);
    expect(areWatchingGuards(JSON.parse(JSON.stringify(present)))).toBe(true);
    expect(areWatchingGuards([{ ...added, reason: 7 }])).toBe(false);
  });

  it.each<[string, ReleaseGuardDraft]>([
    ['halts where the present one holds', DRAFT],
    ['has a lower limit', { ...DRAFT, action: 'hold', maxWorsePercent: 4 }],
    ['needs more vehicles', { ...DRAFT, action: 'hold', minimumVehicles: 51 }],
    ['is silent earlier', { ...DRAFT, action: 'hold', silence: 'PT29M' }],
    ['is about another metric', { ...DRAFT, metric: 'range_km' }],
  ])('accepts one that %s', (_, draft) => {
    expect(faultIn(() => readAddedGuards([draft], ofPolicy, 'guards'))).toBeNull();
  });

  it.each<[string, ReleaseGuardDraft[], [string, string]]>([
    ['none', [], ['BAD_USER_INPUT', 'guards']],
    ['one that the policy has', [{ ...DRAFT, action: 'hold' }], ['BAD_USER_INPUT', 'guards.0']],
    [
      'one that an added one makes needless',
      [
        { ...DRAFT, metric: 'range_km' },
        { ...DRAFT, maxWorsePercent: 6 },
      ],
      ['BAD_USER_INPUT', 'guards.1'],
    ],
    ['what a policy may not have', [{ ...DRAFT, metric: ' ' }], ['BAD_USER_INPUT', 'guards.0.metric']],
    [
      'a sixth, where one was added before and the guard of the policy does not count',
      Array.from({ length: MAX_RELEASE_GUARDS }, (_, index) => ({ ...DRAFT, metric: `m${index}` })),
      ['LIMIT_EXCEEDED', 'guards'],
    ],
  ])('refuses %s', (_, drafts, fault) => {
    expect(faultIn(() => readAddedGuards(drafts, [...ofPolicy, added!], 'guards'))).toEqual(fault);
    if (fault[0] === 'LIMIT_EXCEEDED') expect(faultIn(() => readAddedGuards(drafts, ofPolicy, 'guards'))).toBeNull();
  });
});
