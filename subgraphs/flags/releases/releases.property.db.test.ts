/**
 * The laws of releases on what is stored and signed, after any sequence of edits, kills, stages, promotions and halts
 * (releases.md, "Laws"). Each vehicle is evaluated by core on the signed definition.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { compileFlag, evaluateFlag } from '../../../core/evaluation/evaluate.ts';
import type { EvaluationContext, FlagDefinition } from '../../../core/model.ts';
import { rounds } from '../../../core/testing/rounds.ts';
import { definitionIn } from '../signing/signing.ts';
import {
  archiveFlag,
  checkStep,
  makeStep,
  releaseStep,
  servedBy,
  type ReleaseState,
  type Served,
} from '../testing/release-laws.ts';
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

const evaluatedBy = (definition: FlagDefinition): Served => {
  const compiled = compileFlag(definition);
  return VEHICLES.map((vehicle) => servedBy(evaluateFlag(compiled, vehicle)));
};

async function stateOf(key: string): Promise<ReleaseState> {
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

test.each([true, false])(
  'no sequence of steps breaks a law of releases (canary: %s)',
  async (hasCanary) => {
    await releases.setPolicy('staging', THREE_STAGES, hasCanary ? CANARY : null);
    let checked = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(releaseStep, { minLength: 1, maxLength: 14 }), async (steps) => {
        const { key } = await releases.flags.create({ type: 'STRING', defaultValue: 'a', enabled: true });
        let before = await stateOf(key);
        let outside: Served | null = evaluatedBy({ ...before.flag, enabled: false, release: null });
        expect(before.flag.release?.percentage).toBe(1);
        for (const one of steps) {
          await makeStep(releases, key, one);
          const after = await stateOf(key);
          outside = checkStep(VEHICLES, one, before, after, outside);
          if (after.flag.release !== null) checked += 1;
          before = after;
        }
        await archiveFlag(releases, key);
      }),
      { numRuns: rounds(10, 150) },
    );
    expect(checked).toBeGreaterThan(rounds(10, 150));
  },
  rounds(120_000, 1_800_000),
);
