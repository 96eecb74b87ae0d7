/**
 * Measures flags that are evaluated together, in nanoseconds of CPU for each: beside the same flags evaluated one by
 * one, with dependencies for sets of growing size, and while a release is under way.
 */
import { CompiledSet } from '../core/evaluation/flag-sets/compiled-set.ts';
import { compileFlag, evaluateFlag } from '../core/evaluation/evaluate.ts';
import type { EvaluationContext, FlagDefinition } from '../core/model.ts';
import { nanosecondsOf } from './harness/nanoseconds.ts';
import { printTable, short } from './harness/numbers.ts';

/** The most flags of a vehicle, a part of them, and as many as only a server evaluates. */
const SIZES = [100, 25, 1_000, 4_000] as const;
/** The flags of a chain, each of which requires the one before: the longest that is accepted. */
const CHAIN = 6;
/** Flags that are evaluated in one sample. */
const EVALUATIONS = 2_000_000;

type Kind = 'alone' | 'chained' | 'released';

function definitionOf(index: number, kind: Kind): FlagDefinition {
  const content = {
    defaultValue: false,
    rules: [
      {
        ...({ id: `rule-${index}`, type: 'percentage_rollout', priority: 100, enabled: true } as const),
        conditions: { rollout_percentage: 50 },
      },
    ],
  };
  return {
    ...({ key: `flag_${index}`, environment: 'production', type: 'boolean', safetyLevel: 'Non-Critical' } as const),
    ...{ enabled: true, revision: 1, ...content },
    ...(kind === 'chained' && index % CHAIN > 0 && { requires: [{ flag: `flag_${index - 1}` }] }),
    ...(kind === 'released' && { release: { id: `release-${index}`, percentage: 50, next: content } }),
  };
}

const definitionsOf = (count: number, kind: Kind) =>
  Array.from({ length: count }, (_, index) => definitionOf(index, kind));

/** Gives the nanoseconds that each flag of a set takes where all of it is evaluated. */
function together(count: number, kind: Kind, contexts: readonly EvaluationContext[], evaluations: number): number {
  const set = new CompiledSet(definitionsOf(count, kind).map((definition) => compileFlag(definition)));
  const calls = Math.ceil(evaluations / count);
  return (
    nanosecondsOf(calls, (index) => set.evaluateAll(contexts[index % contexts.length] ?? {}).length === count).ns /
    count
  );
}

/** Prints the table. */
export function printTogether(contexts: readonly EvaluationContext[], quick: boolean): void {
  const evaluations = quick ? EVALUATIONS / 10 : EVALUATIONS;
  const [few] = SIZES;
  const flags = definitionsOf(few, 'alone').map((definition) => compileFlag(definition));
  const oneByOne =
    nanosecondsOf(Math.ceil(evaluations / few), (index) => {
      for (const flag of flags) evaluateFlag(flag, contexts[index % contexts.length] ?? {});
      return true;
    }).ns / few;
  const without = SIZES.map((size) => together(size, 'alone', contexts, evaluations));
  const chained = SIZES.map((size) => together(size, 'chained', contexts, evaluations));
  const released = together(few, 'released', contexts, evaluations);
  console.log('\nFlags evaluated together, each with a rollout, nanoseconds of CPU for each flag\n');
  printTable(
    ['flags', 'without dependencies', `in chains of ${CHAIN}`, 'ratio'],
    SIZES.map((size, index) => {
      const [of, within] = [without[index] ?? NaN, chained[index] ?? NaN];
      return [`${size}`, of, within, short(within / of)];
    }),
  );
  console.log(
    `\n${few} flags without dependencies: ${short((without[0] ?? NaN) / oneByOne)} × one by one, ${short(oneByOne)} ns (goal ≤ 1.3). In chains: each of ${few} takes ${short((chained[0] ?? NaN) / (chained[1] ?? NaN))} × as long as each of ${SIZES[1]} (linear is 1). Within a release: ${short(released)} ns.`,
  );
}
