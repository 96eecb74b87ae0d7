import { readFileSync, readdirSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import type { Evaluation, EvaluationContext, FlagDefinition, RuleDefinition } from '../model.ts';
import { signedConditions } from './rules/whitelist-digest.ts';
import { bucketing } from './bucket.ts';
import { CompiledSet } from './flag-sets/compiled-set.ts';
import { signedRelease } from './release.ts';
import { compileFlag, evaluateFlag, type EvaluationOptions } from './evaluate.ts';

interface GoldenCase {
  readonly name: string;
  readonly context: EvaluationContext;
  readonly options?: EvaluationOptions;
  readonly expected: Evaluation;
}
interface GoldenFile {
  readonly flags: readonly { readonly flag: FlagDefinition; readonly cases: readonly GoldenCase[] }[];
}

const FOLDER = new URL('../golden/', import.meta.url);
const VECTORS = 'bucket-vectors.json';
const DEPENDENCIES = 'dependencies.json';
/** Files of other forms, which other tests read. */
const OTHER_FILES = [
  'activation.json',
  VECTORS,
  DEPENDENCIES,
  'last-known-good.json',
  'proof-vectors.json',
  'value-contracts.json',
];

function read<T>(file: string): T {
  return JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8')) as T;
}

const themes = readdirSync(FOLDER).filter((file) => file.endsWith('.json') && !OTHER_FILES.includes(file));

function isRule(rule: unknown): rule is RuleDefinition {
  return typeof rule === 'object' && rule !== null && 'conditions' in rule;
}

/** Gives a flag as vehicles get it. Golden rules may be any JSON, which stays as it is. */
function signed(flag: FlagDefinition): FlagDefinition {
  const { release = null } = flag;
  const of = (rules: readonly RuleDefinition[]) => {
    if (!Array.isArray(rules)) return rules;
    const all: readonly RuleDefinition[] = rules;
    return all.map((rule) => (isRule(rule) ? { ...rule, conditions: signedConditions(rule) } : rule));
  };
  return {
    ...flag,
    rules: of(flag.rules),
    // A release that no release is stays as it is.
    ...(release?.canary?.vins !== undefined &&
      release.canary.digests === undefined && { release: signedRelease(release) }),
  };
}

function reversed(flag: FlagDefinition): FlagDefinition {
  if (!Array.isArray(flag.rules)) return flag;
  const rules: readonly RuleDefinition[] = flag.rules;
  return { ...flag, rules: rules.toReversed() };
}

describe.each(themes)('golden cases of %s', (file) => {
  const cases = read<GoldenFile>(file).flags.flatMap(({ flag, cases }) => cases.map((golden) => ({ flag, ...golden })));

  it.each(cases)('$name', ({ flag, context, options, expected }) => {
    expect(evaluateFlag(compileFlag(flag), context, options)).toEqual(expected);
    expect(evaluateFlag(compileFlag(signed(flag)), context, options)).toEqual(expected);
    expect(evaluateFlag(compileFlag(reversed(flag)), context, options)).toEqual(expected);
  });
});

interface GoldenSet {
  readonly flags: readonly FlagDefinition[];
  readonly cases: readonly {
    readonly name: string;
    readonly context: EvaluationContext;
    readonly stale?: readonly string[];
    readonly expected: Readonly<Record<string, Evaluation>>;
  }[];
}

describe(`golden cases of ${DEPENDENCIES}`, () => {
  const cases = read<{ readonly sets: readonly GoldenSet[] }>(DEPENDENCIES).sets.flatMap(({ flags, cases }) =>
    cases.map((golden) => ({ flags, ...golden })),
  );

  it.each(cases)('$name', ({ flags, context, stale = [], expected }) => {
    const options = { stale: (key: string) => stale.includes(key) };
    for (const given of [flags, flags.toReversed(), flags.map(signed), flags.map(reversed)]) {
      const set = new CompiledSet(given.map(compileFlag));
      const all = set.evaluateAll(context, options);
      expect(Object.fromEntries(set.flags.map(({ key }, index) => [key, all[index]]))).toEqual(expected);
      for (const key of Object.keys(expected)) expect(set.evaluate(key, context, options)).toEqual(expected[key]);
    }
  });
});

describe('golden bucket vectors', () => {
  const { vectors } = read<{ vectors: { salt: string; vin: string; nonce?: string; bucket: number }[] }>(VECTORS);

  it.each(vectors)('$salt, $vin, $nonce: $bucket', ({ salt, vin, nonce, bucket }) => {
    expect(bucketing(salt)(vin, nonce)).toBe(bucket);
  });
});
