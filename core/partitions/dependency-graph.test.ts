import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { FleetFlagError } from '../errors.ts';
import type { SafetyLevel } from '../model.ts';
import { rounds } from '../testing/rounds.ts';
import { DependencyGraph, MAX_DEPENDENCY_DEPTH, type GraphFlag } from './dependency-graph.ts';

const RUNS = { numRuns: rounds(500, 20_000) };

interface FlagParts extends Omit<GraphFlag, 'key' | 'safetyLevel' | 'requires'> {
  readonly safetyLevel?: SafetyLevel;
  readonly requires?: readonly string[];
}

const flag = (key: string, { requires = [], safetyLevel = 'ASIL-B', ...rest }: FlagParts = {}): GraphFlag => ({
  key,
  safetyLevel,
  requires: requires.map((required) => ({ flag: required })),
  ...rest,
});

const fault = (check: () => void) => {
  try {
    check();
    return null;
  } catch (error) {
    if (!(error instanceof FleetFlagError)) throw error;
    return { code: error.code, field: error.details.field, message: error.message };
  }
};

const checked = (flags: readonly GraphFlag[], key: string, before?: GraphFlag) =>
  fault(() => new DependencyGraph(flags).check(key, 'input', before));
const dependentsChecked = (flags: readonly GraphFlag[], key: string, path: string | null = 'input') =>
  fault(() => new DependencyGraph(flags).checkDependents(key, path));

/** Gives flags `f0` → `f1` → …, of which each requires the next. */
const chain = (steps: number): GraphFlag[] =>
  Array.from({ length: steps + 1 }, (_, index) =>
    flag(`f${index}`, { requires: index === steps ? [] : [`f${index + 1}`] }),
  );

describe('a flag that is written', () => {
  test('may require and exclude flags of its environment, and no unknown ones', () => {
    const flags = [flag('eco', { requires: ['base'], excludes: ['sport'] }), flag('base'), flag('sport')];
    expect(checked(flags, 'eco')).toBeNull();
    expect(checked(flags, 'nobody')).toBeNull();
    expect(checked([flags[0]!, flags[1]!], 'eco')).toEqual({
      code: 'BAD_USER_INPUT',
      field: 'input.excludes.0',
      message: 'There is no flag "sport" in this environment.',
    });
    expect(checked([flags[0]!, flags[2]!], 'eco')?.field).toBe('input.requires.0.flagKey');
  });

  test('may keep the name of a flag that is missing meanwhile', () => {
    const eco = flag('eco', { requires: ['base'], excludes: ['sport'] });
    expect(checked([eco], 'eco', eco)).toBeNull();
    expect(checked([eco], 'eco', flag('eco', { requires: ['base'] }))?.field).toBe('input.excludes.0');
  });

  test('cannot depend on itself over either kind, and the refusal has the way', () => {
    const flags = [
      flag('a', { requires: ['x', 'b'] }),
      flag('b', { excludes: ['c'] }),
      flag('c', { requires: ['a'] }),
      flag('x'),
    ];
    expect(checked(flags, 'a')).toEqual({
      code: 'BAD_USER_INPUT',
      field: 'input.requires.1.flagKey',
      message: 'a would depend on itself: a → b → c → a.',
    });
    expect(checked(flags, 'b')?.field).toBe('input.excludes.0');
    expect(checked([flag('a', { excludes: ['a'] })], 'a')?.message).toBe('a would depend on itself: a → a.');
  });

  test('closes no cycle over the stable content of one flag and the next content of another', () => {
    const flags = [flag('a'), flag('a', { requires: ['b'] }), flag('b', { excludes: ['a'] }), flag('b')];
    expect(checked(flags, 'a')?.message).toBe('a would depend on itself: a → b → a.');
  });

  test('may end a chain of five steps, and none of six, wherever in it the flag is', () => {
    expect(MAX_DEPENDENCY_DEPTH).toBe(5);
    for (const { key } of chain(5)) expect(checked(chain(5), key)).toBeNull();
    for (const { key } of chain(6).slice(0, -1)) {
      expect(checked(chain(6), key)).toEqual({
        code: 'BAD_USER_INPUT',
        field: 'input.requires.0.flagKey',
        message:
          'A chain of dependencies may have at most 5 steps; this one would have more: f0 → f1 → f2 → f3 → f4 → f5 → f6.',
      });
    }
  });

  test('needs each required flag in every one of its vehicles', () => {
    const base = flag('base', { scope: ['EV6', 'EV9'] });
    const refusal = { code: 'BAD_USER_INPUT', field: 'input.requires.0.flagKey' };
    expect(checked([flag('eco', { requires: ['base'], scope: ['EV6'] }), base], 'eco')).toBeNull();
    expect(checked([flag('eco', { requires: ['base'], scope: ['EV6', 'Niro'] }), base], 'eco')).toEqual({
      ...refusal,
      message: 'eco is for Niro, but base, which it requires, is for EV6, EV9 only.',
    });
    expect(checked([flag('eco', { requires: ['base'] }), base], 'eco')).toEqual({
      ...refusal,
      message: 'eco is for every vehicle, but base, which it requires, is for EV6, EV9 only.',
    });
    expect(checked([flag('eco', { excludes: ['base'] }), base], 'eco')).toBeNull();
  });

  test('needs required flags of its own safety level or a higher one', () => {
    const eco = flag('eco', { requires: ['base'], safetyLevel: 'ASIL-D' });
    expect(checked([eco, flag('base', { safetyLevel: 'ASIL-D' })], 'eco')).toBeNull();
    expect(checked([eco, flag('base')], 'eco')).toEqual({
      code: 'BAD_USER_INPUT',
      field: 'input.requires.0.flagKey',
      message: 'eco is ASIL-D, but base, which it requires, is only ASIL-B.',
    });
  });

  test('has the fault at its scope or safety level where only those are new', () => {
    const base = flag('base', { scope: ['EV6'] });
    const before = flag('eco', { requires: ['base'], scope: ['EV6'] });
    expect(checked([{ ...before, scope: null }, base], 'eco', before)?.field).toBe('input.scope');
    expect(checked([{ ...before, safetyLevel: 'ASIL-D' }, base], 'eco', before)?.field).toBe('input.safetyLevel');
  });
});

describe('a flag that others require', () => {
  const dependents = [
    flag('eco', { requires: ['base'], scope: ['EV6'] }),
    flag('boost', { requires: ['base'], scope: ['EV9'] }),
    flag('sport', { excludes: ['base'] }),
  ];

  test('cannot go, and the refusal names them', () => {
    const message =
      'base is required by boost, eco, which would miss it. Change them first, or in the same set of changes.';
    expect(dependentsChecked(dependents, 'base')).toEqual({ code: 'CONFLICT', field: 'input.environment', message });
    expect(dependentsChecked(dependents, 'base', null)).toEqual({ code: 'CONFLICT', field: undefined, message });
    expect(dependentsChecked([dependents[2]!], 'base')).toBeNull();
    expect(dependentsChecked([], 'base')).toBeNull();
  });

  test('cannot leave vehicles that have them', () => {
    expect(dependentsChecked([...dependents, flag('base', { scope: ['EV6', 'EV9'] })], 'base')).toBeNull();
    expect(dependentsChecked([...dependents, flag('base', { scope: ['EV6'] })], 'base')).toEqual({
      code: 'CONFLICT',
      field: 'input.scope',
      message:
        'base is required by boost, which would be in vehicles without it. Change them first, or in the same set of changes.',
    });
  });

  test('cannot become less safe than they are', () => {
    expect(dependentsChecked([...dependents, flag('base', { safetyLevel: 'Non-Critical' })], 'base')).toMatchObject({
      code: 'CONFLICT',
      field: 'input.safetyLevel',
    });
  });
});

describe('a flag that is killed', () => {
  test('takes along those that require it, directly or through others, and frees those that exclude them', () => {
    const graph = new DependencyGraph([
      flag('base'),
      flag('eco', { requires: ['base'] }),
      flag('eco_plus', { requires: ['eco'] }),
      flag('sport', { excludes: ['eco_plus', 'base'] }),
      flag('both', { requires: ['eco'], excludes: ['base'] }),
      flag('other', { requires: ['sport'] }),
    ]);
    expect(graph.dependents('base')).toEqual({
      direct: ['eco'],
      transitive: ['both', 'eco', 'eco_plus'],
      freed: ['sport'],
    });
    expect(graph.dependents('nobody')).toEqual({ direct: [], transitive: [], freed: [] });
  });

  test('is not among those that it takes along, even in a cycle', () => {
    const graph = new DependencyGraph([flag('a', { requires: ['b'] }), flag('b', { requires: ['a'] })]);
    expect(graph.dependents('a')).toEqual({ direct: ['b'], transitive: ['b'], freed: [] });
  });
});

describe('laws of the graph', () => {
  const KEYS = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
  const graphs = fc
    .tuple(...KEYS.map(() => fc.record({ requires: fc.subarray(KEYS), excludes: fc.subarray(KEYS), few: fc.nat(2) })))
    .map((parts) =>
      parts.map(({ requires, excludes, few }, index) =>
        flag(KEYS[index]!, { requires: requires.slice(0, few), excludes: excludes.slice(0, Math.max(0, few - 1)) }),
      ),
    );

  /** All ways from a flag over dependencies that visit no flag twice but the first. */
  const ways = (flags: readonly GraphFlag[], from: string): string[][] => {
    const below = (key: string) => {
      const { requires = [], excludes = [] } = flags.find((one) => one.key === key)!;
      return [...requires.map(({ flag }) => flag), ...excludes];
    };
    const walk = (way: string[]): string[][] => [
      way,
      ...below(way.at(-1)!).flatMap((next) => {
        if (next === from) return [[...way, next]];
        return way.includes(next) ? [] : walk([...way, next]);
      }),
    ];
    return walk([from]);
  };

  test('accept all flags exactly where there is no cycle and no chain of more than five steps', () => {
    fc.assert(
      fc.property(graphs, (flags) => {
        const graph = new DependencyGraph(flags);
        const accepted = KEYS.every((key) => fault(() => graph.check(key, 'input')) === null);
        const all = KEYS.flatMap((key) => ways(flags, key));
        const isFaulty = (way: string[]) =>
          way.length - 1 > MAX_DEPENDENCY_DEPTH || way.indexOf(way.at(-1)!) < way.length - 1;
        expect(accepted).toBe(!all.some(isFaulty));
      }),
      RUNS,
    );
  });

  test('name a flag as taken along exactly where a way over requirements leads from it to the killed one', () => {
    fc.assert(
      fc.property(graphs, fc.constantFrom(...KEYS), (flags, killed) => {
        const requirements = flags.map((one) => ({ ...one, excludes: [] }));
        const expected = KEYS.filter(
          (key) => key !== killed && ways(requirements, key).some((way) => way.includes(killed)),
        );
        expect(new DependencyGraph(flags).dependents(killed).transitive).toEqual(expected);
      }),
      RUNS,
    );
  });
});
