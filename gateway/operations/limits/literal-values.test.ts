import { describe, expect, it } from '@jest/globals';
import { GraphQLError } from 'graphql';
import { readApiSchema } from '../../composition/supergraph.ts';
import { answerTo } from '../refusals/error-answer.ts';
import { checkDocument } from './check-operation.ts';

const API = readApiSchema();
const refusalsOf = (text: string) => {
  const { document, errors } = checkDocument(text, API, { introspection: true });
  // With the code that each way in gives to errors of validation.
  const coded = errors.map(
    ({ message, nodes, originalError, extensions }) =>
      new GraphQLError(message, {
        nodes,
        originalError,
        extensions: { code: 'GRAPHQL_VALIDATION_FAILED', ...extensions },
      }),
  );
  return coded.map((error) => answerTo(error, undefined, document ?? undefined).extensions);
};
const update = (value: string) => `mutation { updateFlag(key: "a", input: { defaultValue: ${value} }) { applied } }`;

describe('a value in the document', () => {
  it.each(['1e308', '-0', '[[[[[[[[1]]]]]]]]', '{ a: { b: [1, null, RED, "x"] } }', '123456789'])(
    'may be %s',
    (value) => {
      expect(refusalsOf(update(value))).toEqual([]);
    },
  );

  it.each([
    [update('1e400'), 'input.defaultValue'],
    [update('{ a: [1, -1e400] }'), 'input.defaultValue.a.1'],
    [update(`1${'0'.repeat(400)}`), 'input.defaultValue'],
    ['{ requiredSampleSize(baseline: 1e400, minimumDetectableEffect: 1) }', 'baseline'],
    [
      'query ($b: Float = 1e400) { requiredSampleSize(baseline: 1, minimumDetectableEffect: 1, standardDeviation: $b) }',
      'b',
    ],
    [update('{ a: { __proto__: 1 } }'), 'input.defaultValue.a.__proto__'],
    [
      'mutation { createExperiment(input: { flagKey: "a", name: "a", startDate: {}, sampleSize: 5, primaryMetric: "m" }) { id } }',
      'input.startDate',
    ],
    [
      'mutation { createExperiment(input: { flagKey: "a", name: "a", startDate: "2024-02-30T00:00:00Z", sampleSize: 5, primaryMetric: "m" }) { id } }',
      'input.startDate',
    ],
  ])('is refused with its place: %s', (text, field) => {
    expect(refusalsOf(text)).toEqual([{ code: 'BAD_USER_INPUT', field }]);
  });

  it('is refused when it is nested more deeply than planning has time for', () => {
    expect(refusalsOf(update('['.repeat(9) + ']'.repeat(9)))).toEqual([]);
    expect(refusalsOf(update('['.repeat(33) + ']'.repeat(33)))).toEqual([{ code: 'LIMIT_EXCEEDED', limit: 10 }]);
    expect(
      refusalsOf(
        `query ($v: JSON = ${'{a:'.repeat(11)}1${'}'.repeat(11)}) { evaluateFlag(key: "a", context: { attributes: $v }) { value } }`,
      ),
    ).toEqual([{ code: 'LIMIT_EXCEEDED', limit: 10 }]);
  });
});
