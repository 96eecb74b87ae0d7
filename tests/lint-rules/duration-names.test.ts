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
interface Member {
  readonly key: { readonly name: string };
  readonly typeAnnotation: { readonly typeAnnotation: { readonly type: string } };
}
interface Visitors {
  VariableDeclaration(node: Declaration): void;
  'TSInterfaceBody > TSPropertySignature'(node: Member): void;
}

const { durationNames } = (await import(new URL('duration-names.js', import.meta.url).href)) as {
  durationNames: { create(context: Context): Visitors };
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

/** Gives the unit that the rule misses in the name of a member of an interface. */
function missingUnitOfMember(name: string, type = 'TSNumberKeyword'): string | undefined {
  const reports: Report[] = [];
  durationNames
    .create({ sourceCode: { getCommentsBefore: () => [] }, report: (report) => reports.push(report) })
    ['TSInterfaceBody > TSPropertySignature']({ key: { name }, typeAnnotation: { typeAnnotation: { type } } });
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

  test('end in the unit where a number of an interface is a timeout, an interval or another duration', () => {
    for (const name of ['closeTimeout', 'pingInterval', 'pongDeadline', 'lossSpread', 'establishmentGrace'])
      expect([missingUnitOfMember(name), missingUnitOfMember(`${name}Ms`)]).toEqual(['Ms', undefined]);
    expect(missingUnitOfMember('confidenceInterval', 'TSTypeReference')).toBeUndefined();
    expect(missingUnitOfMember('rows')).toBeUndefined();
  });

  test('are free where the docstring begins with something else, or the value is no number', () => {
    expect(missingUnit('* The rows of one read, which takes milliseconds. ', 'PAGE')).toBeUndefined();
    expect(missingUnit('* Milliseconds by name. ', 'TIMES', 'text')).toBeUndefined();
  });
});
