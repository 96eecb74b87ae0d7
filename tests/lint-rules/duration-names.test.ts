import { describe, expect, test } from '@jest/globals';

interface Report {
  readonly data: { readonly unit: string };
}
interface Context {
  readonly sourceCode: { getCommentsBefore(): readonly { readonly value: string }[] };
  report(report: Report): void;
}
interface Declaration {
  readonly declarations: readonly [
    { readonly id: object; readonly init: { readonly type: string; readonly value: unknown } },
  ];
}

const { durationNames } = (await import(new URL('duration-names.js', import.meta.url).href)) as {
  durationNames: { create(context: Context): { VariableDeclaration(node: Declaration): void } };
};

/** Gives the unit that the rule misses in the name of a constant with this docstring. */
function missingUnit(docstring: string, name: string, value: unknown = 5): string | undefined {
  const reports: Report[] = [];
  durationNames
    .create({
      sourceCode: { getCommentsBefore: () => [{ value: docstring }] },
      report: (report) => reports.push(report),
    })
    .VariableDeclaration({ declarations: [{ id: { name }, init: { type: 'Literal', value } }] });
  return reports[0]?.data.unit;
}

describe('the names of durations', () => {
  test.each([
    ['* Milliseconds between two polls. ', 'POLL', '_MS'],
    ['* The most milliseconds of a wait. ', 'MAX_WAIT', '_MS'],
    ['*\n * The seconds for which a row stays.\n ', 'SENT', '_SECONDS'],
  ])('end in the unit with which the docstring %j begins', (docstring, name, unit) => {
    expect(missingUnit(docstring, name)).toBe(unit);
    expect(missingUnit(docstring, name + unit)).toBeUndefined();
  });

  test('are free where the docstring begins with something else, or the value is no number', () => {
    expect(missingUnit('* The rows of one read, which takes milliseconds. ', 'PAGE')).toBeUndefined();
    expect(missingUnit('* Milliseconds by name. ', 'TIMES', 'text')).toBeUndefined();
  });
});
