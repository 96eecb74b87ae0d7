/** The golden cases of the last known good, and the laws of how content proves itself. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { EvaluationContext, FlagDefinition } from '../model.ts';
import { rounds } from '../testing/rounds.ts';
import {
  PROVING_SECONDS,
  afterFault,
  afterServing,
  atDriveEnd,
  atDriveStart,
  contentInVehicle,
  returnRefusal,
  returnedDefinition,
  standingUnder,
  type ReturnQuestion,
  type ReturnRefusal,
  type ContentStanding,
} from './last-known-good.ts';

interface GoldenLastKnownGood {
  readonly contents: readonly {
    readonly name: string;
    readonly vehicle: EvaluationContext;
    readonly one: FlagDefinition;
    readonly other: FlagDefinition;
    readonly isSame: boolean;
  }[];
  readonly returns: readonly (ReturnQuestion & { readonly name: string; readonly expected: ReturnRefusal | null })[];
  readonly definitions: readonly {
    readonly name: string;
    readonly good: FlagDefinition;
    readonly faulty: FlagDefinition;
    readonly isNext: boolean;
    readonly expected: FlagDefinition;
  }[];
}

const GOLDEN = JSON.parse(
  readFileSync(new URL('../golden/last-known-good.json', import.meta.url), 'utf8'),
) as GoldenLastKnownGood;

describe('golden cases of last-known-good.json', () => {
  it.each(GOLDEN.contents)('$name', ({ vehicle, one, other, isSame }) => {
    const [first, second] = [contentInVehicle(one, vehicle), contentInVehicle(other, vehicle)];
    expect(first.digest === second.digest).toBe(isSame);
  });

  it.each(GOLDEN.returns)('$name', ({ expected, ...question }) => {
    expect(returnRefusal(question)).toBe(expected);
  });

  it.each(GOLDEN.definitions)('$name', ({ good, faulty, isNext, expected }) => {
    expect(returnedDefinition(good, faulty, isNext)).toEqual(expected);
  });
});

type Happening =
  | { readonly kind: 'content'; readonly content: string }
  | { readonly kind: 'serves'; readonly seconds: number }
  | { readonly kind: 'drive starts' | 'drive ends' | 'fault' };

const happening: fc.Arbitrary<Happening> = fc.oneof(
  fc.record({ kind: fc.constant('content' as const), content: fc.constantFrom('a', 'b', 'c') }),
  fc.record({ kind: fc.constant('serves' as const), seconds: fc.constantFrom(1, 3600, 43_200, PROVING_SECONDS) }),
  fc.record({ kind: fc.constantFrom('drive starts', 'drive ends', 'fault' as const) }),
);

/** Says by the history alone whether the content that is active at its end has proven itself at its end. */
function isProven(history: readonly Happening[], drivesAreReported: boolean): boolean {
  const last = history.at(-1)!;
  const begun = history.findLastIndex(({ kind }) => kind === 'fault' || kind === 'content');
  if (last.kind === 'drive ends') {
    const start = history.slice(0, -1).findLastIndex(({ kind }) => kind === 'drive starts' || kind === 'drive ends');
    return start > begun && history[start]?.kind === 'drive starts';
  }
  if (drivesAreReported || last.kind !== 'serves') return false;
  const seconds = history.slice(begun + 1).map((each) => (each.kind === 'serves' ? each.seconds : 0));
  return seconds.reduce((sum, each) => sum + each, 0) >= PROVING_SECONDS;
}

describe('the last known good', () => {
  it('is the content that has last served a whole drive, or a day where nobody reports drives, without a fault', () => {
    fc.assert(
      fc.property(fc.array(happening, { maxLength: 60 }), fc.boolean(), (happenings, drivesAreReported) => {
        let kept = 0;
        let standing: ContentStanding<number> = standingUnder(undefined, 'a', kept);
        let good: string | null = null;
        const history: Happening[] = [{ kind: 'content', content: 'a' }];
        for (const each of happenings) {
          if (each.kind === 'content') standing = standingUnder(standing, each.content, (kept += 1));
          else if (each.kind === 'serves') standing = afterServing(standing, each.seconds, drivesAreReported, kept);
          else if (each.kind === 'drive starts') standing = atDriveStart(standing);
          else if (each.kind === 'drive ends') standing = atDriveEnd(standing, kept);
          else standing = afterFault(standing, 0);
          const before = history.findLast(({ kind }) => kind === 'content');
          const isSame = each.kind === 'content' && before?.kind === 'content' && before.content === each.content;
          // The same content under another definition goes on.
          if (!isSame) history.push(each);
          if (isProven(history, drivesAreReported)) good = standing.content;
          expect(standing.good?.content ?? null).toBe(good);
          // Its newest definition counts.
          if (standing.good?.content === standing.content) expect(standing.good.kept).toBe(kept);
        }
      }),
      { numRuns: rounds(300, 5_000) },
    );
  });

  it('is not proven by time before a fault that is counted later', () => {
    const faulty = afterFault(standingUnder(undefined, 'a', 1), PROVING_SECONDS);
    expect(afterServing(faulty, PROVING_SECONDS + 1, false, 1)).toMatchObject({ servedSeconds: 1, good: null });
  });
});
