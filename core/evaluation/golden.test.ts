import { readFileSync, readdirSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import type { Evaluation, EvaluationContext, FlagDefinition, RuleDefinition } from '../model.ts';
import { signedConditions } from './rules/whitelist-digest.ts';
import { bucketing } from './bucket.ts';
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
/** Files of other forms, which other tests read. */
const NO_THEMES = [VECTORS, 'proof-vectors.json'];

function read<T>(file: string): T {
  return JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8')) as T;
}

const themes = readdirSync(FOLDER).filter((file) => file.endsWith('.json') && !NO_THEMES.includes(file));

function isRule(rule: unknown): rule is RuleDefinition {
  return typeof rule === 'object' && rule !== null && 'conditions' in rule;
}

/** Gives a flag as vehicles get it. Golden rules may be any JSON, which stays as it is. */
function signed(flag: FlagDefinition): FlagDefinition {
  if (!Array.isArray(flag.rules)) return flag;
  const rules: readonly RuleDefinition[] = flag.rules;
  return {
    ...flag,
    rules: rules.map((rule) => (isRule(rule) ? { ...rule, conditions: signedConditions(rule) } : rule)),
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

describe('golden bucket vectors', () => {
  const { vectors } = read<{ vectors: { salt: string; vin: string; nonce?: string; bucket: number }[] }>(VECTORS);

  it.each(vectors)('$salt, $vin, $nonce: $bucket', ({ salt, vin, nonce, bucket }) => {
    expect(bucketing(salt)(vin, nonce)).toBe(bucket);
  });
});
