import { expect, test } from '@jest/globals';

interface Place {
  readonly line: number;
}
interface Report {
  readonly loc: { readonly start: Place };
}
interface Comment {
  readonly value: string;
  readonly loc: { readonly start: Place; readonly end: Place };
}
interface Context {
  readonly sourceCode: { readonly lines: readonly string[]; getAllComments(): readonly Comment[] };
  report(report: Report): void;
}

const { commentWidth } = (await import(new URL('comment-width.js', import.meta.url).href)) as {
  commentWidth: { create(context: Context): { Program(): void } };
};

/** Gives the lines that the rule reports where one comment stands in all of them. */
function wideLines(...lines: readonly string[]): readonly number[] {
  const found: number[] = [];
  const comment = { value: lines.join('\n').slice(2), loc: { start: { line: 1 }, end: { line: lines.length } } };
  commentWidth
    .create({
      sourceCode: { lines, getAllComments: () => [comment] },
      report: ({ loc }) => found.push(loc.start.line),
    })
    .Program();
  return found;
}

const ofWidth = (characters: number) => `// ${'x'.repeat(characters - 3)}`;

test('a line of a comment has at most 120 characters, with what stands before it', () => {
  expect(wideLines(ofWidth(120))).toEqual([]);
  expect(wideLines(ofWidth(121))).toEqual([1]);
  expect(wideLines(`const a = 1; ${ofWidth(110)}`)).toEqual([1]);
});

test('each wide line of a comment is named', () => {
  expect(wideLines('/**', ` * ${'x'.repeat(130)}`, ' * short', ` * ${'x'.repeat(118)}`, ' */')).toEqual([2, 4]);
});

test('directives for the linter stay on one line', () => {
  expect(wideLines(`// oxlint-disable-next-line rule -- ${'x'.repeat(120)}`)).toEqual([]);
});
