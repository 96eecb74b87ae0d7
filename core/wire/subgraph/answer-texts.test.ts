import { describe, expect, test } from '@jest/globals';
import {
  MAX_QUESTIONS,
  answerTextOf,
  answerLine,
  questionOf,
  readAnswerLines,
  readQuestions,
  type AnswerText,
} from './answer-texts.ts';
import type { SubgraphRequest, SubgraphResponse } from './subgraph.ts';

const REQUEST: SubgraphRequest = {
  query: '{ flags { totalCount } }',
  identity: { caller: { kind: 'gateway' }, origin: { ipAddress: null, userAgent: null, requestId: 'r' } },
};
const ANSWER: SubgraphResponse = { data: { text: 'two\nlines, “ü”' } };
const OTHERS: readonly SubgraphResponse[] = [
  { data: null },
  { data: { flag: null }, errors: [{ message: 'Refused.\n' }] },
  { data: { flag: null }, extensions: { remembered: true } },
];

describe('answers as lines', () => {
  test('are read as they were written, each with bytes of its own', () => {
    const all = [ANSWER, ...OTHERS, { ...ANSWER, errors: [] }];
    const lines = Buffer.from(all.map(answerLine).join(''));
    const read = readAnswerLines(lines, all.length);
    const expected: AnswerText[] = all.map(answerTextOf);
    expect(read).toEqual(expected);
    expect(read[0]?.json?.toString()).toBe(`${JSON.stringify(ANSWER)}\n`);
    lines.fill(0);
    expect(read).toEqual(expected);
  });

  test('are refused where there are more or fewer of them, or the last has no end', () => {
    const line = answerLine(ANSWER);
    for (const [text, count] of [
      [line, 2],
      [line + line, 1],
      [line + line.slice(0, -1), 2],
      ['', 1],
    ] as const)
      expect(() => readAnswerLines(Buffer.from(text), count)).toThrow(`answers to ${count} questions`);
    expect(() => readAnswerLines(Buffer.from('!no JSON\n'), 1)).toThrow(SyntaxError);
    expect(() => readAnswerLines(Buffer.from('!{}\n'), 1)).toThrow('This is not a GraphQL response.');
  });
});

describe('questions', () => {
  test('are read as they were written', () => {
    const all = [REQUEST, { ...REQUEST, operationName: 'One', variables: { a: [1] }, traceparent: '00-1-2-01' }];
    expect(readQuestions(`[${all.map(questionOf).join()}]`)).toEqual(all);
  });

  test('are nothing but a list of queries with an identity, at most a hundred', () => {
    for (const body of ['', '{}', '[1]', '[{"query":1}]', JSON.stringify([{ ...REQUEST, identity: undefined }])])
      expect(readQuestions(body)).toBeNull();
    for (const wrong of [
      { operationName: 1 },
      { variables: [] },
      { variables: 'a' },
      { identity: 'me' },
      { traceparent: 1 },
    ])
      expect(readQuestions(JSON.stringify([{ ...REQUEST, ...wrong }]))).toBeNull();
    const many = (count: number) => JSON.stringify(Array.from({ length: count }, () => REQUEST));
    expect(readQuestions(many(MAX_QUESTIONS))).toHaveLength(MAX_QUESTIONS);
    expect(readQuestions(many(MAX_QUESTIONS + 1))).toBeNull();
  });
});
