/**
 * The law of dependencies (scopes.md, "Laws"): no state is ever served in which an exclusion or a requirement is
 * broken. Small worlds exhaustively, large ones at random.
 */
import { describe, expect, it } from '@jest/globals';
import type { Evaluation, EvaluationContext, FlagDefinition, RuleDefinition } from '../../model.ts';
import { rounds, sampled } from '../../testing/rounds.ts';
import { CompiledSet } from './compiled-set.ts';
import { compileFlag } from '../evaluate.ts';

const FLAGS = 5;
/** The variants that a flag may serve by its own rules; `control` where no rule matches. */
const OWN = ['control', 'a', 'b'] as const;
const KEYS = ['f0', 'f1', 'f2', 'f3', 'f4'] as const;

/** The dependencies that a flag may have on another one. */
type Relation = 'none' | 'requires' | 'requires-a' | 'excludes';

/** The rules of a flag that serves the variant which the context's attribute of its key names. */
const ownRules = (key: string): RuleDefinition[] =>
  ['a', 'b'].map((variant) => ({
    id: `${key}-${variant}`,
    type: 'user_attribute',
    priority: 1,
    enabled: true,
    conditions: { attribute: key, operator: 'eq', values: [variant] },
    variant,
  }));
const RULES = KEYS.map(ownRules);

function flagOf(index: number, relations: readonly Relation[], parts: Partial<FlagDefinition> = {}): FlagDefinition {
  const related = (relation: Relation) => KEYS.filter((_, other) => relations[other] === relation);
  return {
    key: KEYS[index]!,
    environment: 'production',
    type: 'boolean',
    safetyLevel: 'ASIL-B',
    enabled: true,
    defaultValue: false,
    revision: 1,
    rules: RULES[index]!,
    requires: [
      ...related('requires').map((flag) => ({ flag })),
      ...related('requires-a').map((flag) => ({ flag, variants: ['a'] })),
    ],
    excludes: related('excludes'),
    ...parts,
  };
}

/** All 243 ways in which five flags can serve three variants, and the context of each. */
const OWNS = Array.from({ length: OWN.length ** FLAGS }, (_, number) => {
  const own = KEYS.map((_, index) => OWN[Math.floor(number / OWN.length ** index) % OWN.length]!);
  const context: EvaluationContext = { attributes: Object.fromEntries(KEYS.map((key, index) => [key, own[index]!])) };
  return { own, context };
});

const isBroken = (relation: Relation, variant: string): boolean => {
  if (relation === 'requires') return variant === 'control';
  if (relation === 'requires-a') return variant !== 'a';
  return relation === 'excludes' && variant !== 'control';
};

/**
 * Counts the worlds of one graph in which a flag does not serve exactly what it may. `relations[i][j]`: i asks of j.
 */
function faultsOf(relations: readonly (readonly Relation[])[]): number {
  const set = new CompiledSet(relations.map((of, index) => compileFlag(flagOf(index, of))));
  let faults = 0;
  for (const { own, context } of OWNS) {
    const served = set.evaluateAll(context);
    for (let index = 0; index < FLAGS; index++) {
      let allowed = true;
      for (let other = 0; other < FLAGS; other++)
        if (isBroken(relations[index]![other] ?? 'none', served[other]!.variant)) allowed = false;
      if (served[index]!.variant !== (allowed ? own[index] : 'control')) faults++;
    }
  }
  return faults;
}

/** Gives all ways to choose one of the choices for each of several places. */
function* allOf<T>([first, ...rest]: readonly (readonly T[])[]): Generator<readonly T[], void> {
  if (first === undefined) yield [];
  else for (const others of allOf(rest)) for (const choice of first) yield [choice, ...others];
}

const ROUNDS = rounds(3_000, 80_000);
/** Millions of worlds take some minutes where other tests run beside them. */
const TIMEOUT_MS = rounds(60_000, 1_200_000);

describe('worlds of five flags with three variants', () => {
  it('serve no broken requirement or exclusion, where each flag asks at most one thing of an earlier flag', () => {
    const asking = KEYS.map((_, index) => {
      const none: readonly Relation[] = [];
      const one = Array.from({ length: index }, (_, other) =>
        (['requires', 'requires-a', 'excludes'] as const).map((relation) => {
          const relations: Relation[] = Array.from({ length: other }, () => 'none');
          return [...relations, relation];
        }),
      );
      return [none, ...one.flat()];
    });
    let worlds = 0;
    let faults = 0;
    for (const relations of allOf(asking)) {
      worlds += OWNS.length;
      faults += faultsOf(relations);
    }
    expect({ worlds, faults }).toEqual({ worlds: 4 * 7 * 10 * 13 * 243, faults: 0 });
  });

  it(
    'serve none where flags ask anything of any earlier flags',
    () => {
      const chosenGraphs = new Set(
        sampled(
          Array.from({ length: 3 ** 10 }, (_, index) => index),
          97,
        ),
      );
      const pairs = KEYS.flatMap((_, index) => Array.from({ length: index }, (_, other) => [index, other] as const));
      const kinds: readonly Relation[] = ['none', 'requires', 'excludes'];
      let graph = 0;
      let faults = 0;
      for (const chosen of allOf(pairs.map(() => kinds))) {
        if (!chosenGraphs.has(graph++)) continue;
        const relations = KEYS.map((): Relation[] => []);
        for (const [at, [index, other]] of pairs.entries()) relations[index]![other] = chosen[at]!;
        faults += faultsOf(relations);
      }
      expect({ graph, faults }).toEqual({ graph: 3 ** 10, faults: 0 });
    },
    TIMEOUT_MS,
  );
});

/** A flag of a random world, beside what the world knows of it. */
interface WorldFlag {
  readonly definition: FlagDefinition;
  readonly state: 'missing' | 'on' | 'disabled' | 'killed' | 'stale';
}

const KILL: RuleDefinition = {
  id: 'kill',
  type: 'kill_switch',
  priority: 0,
  enabled: true,
  conditions: { force_disabled: true },
};
const STATES = ['on', 'on', 'on', 'on', 'on', 'missing', 'disabled', 'killed', 'stale'] as const;
const RELATIONS: readonly Relation[] = ['none', 'none', 'none', 'none', 'requires', 'requires-a', 'excludes'];

/** Gives numbers that look random and are the same for the same seed (mulberry32). */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

function randomWorld(seed: number): { readonly flags: readonly WorldFlag[]; readonly context: EvaluationContext } {
  const draw = numbers(seed);
  const flags = KEYS.map((_, index): WorldFlag => {
    const state = STATES[draw(STATES.length)]!;
    const relations = KEYS.map(() => RELATIONS[draw(RELATIONS.length)]!);
    const rules = state === 'killed' ? [...RULES[index]!, KILL] : RULES[index]!;
    return { state, definition: flagOf(index, relations, { enabled: state !== 'disabled', rules }) };
  });
  return { flags, context: OWNS[draw(OWNS.length)]!.context };
}

/** Gives what a flag serves by the words of scopes.md, taken one after the other: as slow and as plain as can be. */
function naive(
  key: string,
  flags: readonly WorldFlag[],
  context: EvaluationContext,
): Pick<Evaluation, 'variant' | 'reason'> {
  const { definition, state } = flags.find((one) => one.definition.key === key)!;
  const { requires = [], excludes = [] } = definition;
  const serves = (variant: string, reason: Evaluation['reason']) => ({ variant, reason });
  if (state === 'killed' || state === 'disabled') return serves('control', 'DISABLED');
  if (state === 'stale') return serves('control', 'STALE');
  const present = (other: string) => flags.some((one) => one.definition.key === other && one.state !== 'missing');
  const reaches = (from: string, seen: readonly string[]): boolean => {
    const { definition: at } = flags.find((one) => one.definition.key === from)!;
    const next = [...(at.requires ?? []).map(({ flag }) => flag), ...(at.excludes ?? [])].filter(present);
    return next.includes(key) || next.some((one) => !seen.includes(one) && reaches(one, [...seen, one]));
  };
  if (reaches(key, [])) return serves('control', 'PREREQUISITE_FAILED');
  const other = (name: string) => (present(name) ? naive(name, flags, context).variant : 'control');
  const met =
    requires.every(({ flag, variants }) => {
      const variant = other(flag);
      return variant !== 'control' && (variants == null || variants.includes(variant));
    }) && excludes.every((name) => other(name) === 'control');
  if (!met) return serves('control', 'PREREQUISITE_FAILED');
  const own = context.attributes![key];
  return typeof own !== 'string' || own === 'control' ? serves('control', 'DEFAULT') : serves(own, 'TARGETING_MATCH');
}

describe('random worlds', () => {
  it(
    'serve exactly what an independent reading of the rules serves, with cycles, kills and missing flags',
    () => {
      const reasons = new Map<string, number>();
      for (let seed = 0; seed < ROUNDS; seed++) {
        const { flags, context } = randomWorld(seed);
        const held = flags.filter(({ state }) => state !== 'missing');
        const set = new CompiledSet(held.map(({ definition }) => compileFlag(definition)));
        const stale = (key: string) => held.some((one) => one.definition.key === key && one.state === 'stale');
        const all = set.evaluateAll(context, { stale });
        for (const [index, { definition }] of held.entries()) {
          const { key } = definition;
          const served = all[index]!;
          const expected = naive(key, flags, context);
          reasons.set(served.reason, (reasons.get(served.reason) ?? 0) + 1);
          const { variant, reason, failedPrerequisite } = served;
          const named = [...(definition.requires ?? []).map(({ flag }) => flag), ...(definition.excludes ?? [])];
          // Calling `expect` for each world would take longer than evaluating it.
          const agrees =
            variant === expected.variant &&
            reason === expected.reason &&
            set.evaluate(key, context, { stale }) === served &&
            (reason === 'PREREQUISITE_FAILED' ? named.includes(failedPrerequisite!) : failedPrerequisite === undefined);
          if (!agrees) expect({ seed, key, served }).toEqual({ seed, key, served: expected });
        }
      }
      expect([...reasons.keys()].sort()).toEqual([
        'DEFAULT',
        'DISABLED',
        'PREREQUISITE_FAILED',
        'STALE',
        'TARGETING_MATCH',
      ]);
    },
    TIMEOUT_MS,
  );
});
