/**
 * Random operations on any field of a schema, generated from its types: mostly plausible, with hostile values in some
 * places. A value is written as a literal or as a variable, because different parsers read them.
 */
import fc from 'fast-check';
import {
  getNamedType,
  getNullableType,
  isCompositeType,
  isEnumType,
  isInputObjectType,
  isListType,
  isNonNullType,
  isObjectType,
  isRequiredArgument,
  isRequiredInputField,
  print,
  type GraphQLArgument,
  type GraphQLField,
  type GraphQLInputField,
  type GraphQLInputType,
  type GraphQLObjectType,
  type GraphQLOutputType,
} from 'graphql';

/** A value that can be written as GraphQL and as JSON. */
interface Written {
  readonly literal: string;
  readonly json: string;
}

export interface HostileOperation {
  /** The root field, such as `Mutation.createFlag`. */
  readonly field: string;
  /** The body of the request as text, because JavaScript values cannot hold some numbers and members. */
  readonly body: string;
}

/**
 * Existing values by the name of an argument or input field. Without them, hostile input would rarely pass the first
 * check.
 */
export type Present = Readonly<Record<string, readonly unknown[]>>;

const same = (text: string): Written => ({ literal: text, json: text });
const writtenText = (text: string): Written => same(JSON.stringify(text));
const writtenList = (items: readonly Written[]): Written => ({
  literal: `[${items.map(({ literal }) => literal).join(', ')}]`,
  json: `[${items.map(({ json }) => json).join(',')}]`,
});
const NAME = /^[_A-Za-z][_0-9A-Za-z]*$/;
/** A member whose name GraphQL cannot write is left out of the literal. */
const writtenObject = (members: readonly (readonly [string, Written])[]): Written => ({
  literal: `{${members.flatMap(([name, { literal }]) => (NAME.test(name) ? [`${name}: ${literal}`] : [])).join(', ')}}`,
  json: `{${members.map(([name, { json }]) => `${JSON.stringify(name)}:${json}`).join(',')}}`,
});

function written(value: unknown): Written {
  if (Array.isArray(value)) return writtenList(value.map(written));
  if (typeof value === 'object' && value !== null)
    return writtenObject(Object.entries(value).map(([name, member]) => [name, written(member)]));
  return typeof value === 'string' ? writtenText(value) : same(String(value));
}

const TEXTS = [
  '',
  ' ',
  '\n',
  '\t \n',
  '\0',
  'a\0b',
  '\ud83d',
  'a\udc00',
  '\u001b[2J',
  '\u2028',
  '\ufeff',
  '\u202e',
  '🚗'.repeat(60),
  'x'.repeat(101),
  'x'.repeat(10_001),
  'x'.repeat(70_000),
  '-'.repeat(33),
  '- '.repeat(40),
  '-'.repeat(33) + 'x',
  'word '.repeat(30_000),
  'or '.repeat(90),
  '"'.repeat(9),
  "'; DROP TABLE flags; --",
  '%',
  '_',
  '\\',
  '\\u0000',
  '{"a":1}',
  '__proto__',
  'constructor',
  'null',
  'NaN',
  'Infinity',
  '1e400',
  '2.5.0',
  '>=2 ||',
  '>=2.5.0.17',
  '조향',
  '조향합니다',
  'kmhk281hgnu000001',
  'KMHK281HGNU00000O',
  '..',
  '../../etc/passwd',
  '2040-01-01T00:00:00Z',
  'PT1H',
  'P999999999W',
  'PT0S',
  'P1Y',
  'MQ',
  Buffer.from('\0').toString('base64url'),
  'a@b',
  'Ａ@example.com',
  'Lane_Keep',
];
const TIMES = [
  '2040-01-01T00:00:00Z',
  '1970-01-01T00:00:00Z',
  '0000-01-01T00:00:00Z',
  '0001-01-01T00:00:00.000Z',
  '9999-12-31T23:59:59.999Z',
  '+275760-09-13T00:00:00.000Z',
  '-271821-04-20T00:00:00.000Z',
  '1969-12-31T23:59:59Z',
  '2024-02-30T00:00:00Z',
  '9999-12-31T23:59:59.999-23:59',
  '9999-12-31T23:59:59-00:01',
  '9999-12-31T23:59:59.9999Z',
  '0001-01-01T00:00:00+23:59',
  '0001-01-01T00:00:00+00:01',
  '2040-01-01',
  '2040-01-01T24:00:00Z',
  '2040-01-01T00:00:00+23:59',
  '2016-12-31T23:59:60Z',
  '',
  'now',
  'infinity',
  'epoch',
];
const NUMBERS = [
  '0',
  '-0',
  '1',
  '-1',
  '5',
  '50',
  '100',
  '101',
  '2147483647',
  '2147483648',
  '-2147483649',
  '9007199254740993',
  '1e20',
  '1e308',
  '1e400',
  '-1e400',
  '1e-400',
  '0.1',
  '33.3333',
  '5e-324',
  `1${'0'.repeat(400)}`,
  '0.5',
  '0.95',
  '1.5',
];
const CONDITIONS = [
  { rollout_percentage: 5 },
  { rollout_percentage: 50, sticky: false, salt: 's' },
  { rollout_percentage: 1e-9, regions: ['EU '] },
  { models: ['Ioniq 6', '\ud83d'], sw_version: '>=2.5.0.17 <3' },
  { sw_version: '>=9 ||' },
  { regions: [] },
  { vins: ['KMHK281HGNU000001'] },
  { force_disabled: true, reason: 'smoke' },
  { force_disabled: false },
  { attribute: 'a', operator: 'in', values: [1, 'b'] },
  { attribute: 'a', operator: 'semver', values: ['1.x || '] },
  { all: [{ attribute: '__proto__', exists: true }] },
  { all: [] },
];

const nested = (depth: number): Written => ({
  literal: '['.repeat(depth) + ']'.repeat(depth),
  json: '['.repeat(depth) + ']'.repeat(depth),
});
const ODD_MEMBERS: Written = writtenObject([
  ['__proto__', written({ x: 1 })],
  ['constructor', written('c')],
  ['a.b', written(null)],
  ['', same('1e400')],
]);
const PROTO: Written = writtenObject([['__proto__', written(true)]]);

const text = fc
  .oneof(fc.constantFrom(...TEXTS), fc.string({ unit: 'binary', maxLength: 30 }), fc.string({ maxLength: 10 }))
  .map(writtenText);
const number = fc
  .oneof(
    fc.constantFrom(...NUMBERS),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
    fc.integer().map(String),
  )
  .map(same);
const json = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom<unknown>(...CONDITIONS).map(written) },
  {
    weight: 2,
    arbitrary: fc.constantFrom<unknown>(false, true, 'eco', 3, {}, { mode: 'eco', list: [null] }, null).map(written),
  },
  { weight: 2, arbitrary: fc.constantFrom(nested(31), nested(33), nested(300), ODD_MEMBERS, PROTO) },
  { weight: 1, arbitrary: text },
  { weight: 1, arbitrary: number },
  { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 3 }).map(written) },
);
const anything = fc.oneof(
  text,
  number,
  json,
  fc
    .constantFrom('null', 'true', '[]', '{}', 'RED', '[[1]]')
    .map((literal) => ({ literal, json: literal === 'RED' ? '"RED"' : literal })),
);

const named = (name: string): Written => ({ literal: name, json: JSON.stringify(name) });

export class HostileOperations {
  constructor(private readonly present: Present) {}

  /** Generates an operation on one root field. */
  on(
    kind: 'query' | 'mutation' | 'subscription',
    field: GraphQLField<unknown, unknown>,
  ): fc.Arbitrary<HostileOperation> {
    const root = { query: 'Query', mutation: 'Mutation', subscription: 'Subscription' }[kind];
    return this.#call(field, 3).map(({ text: selection, variables }) => {
      const declared = variables.map(({ type }, index) => `$v${index}: ${type}`).join(', ');
      let index = 0;
      const body = selection.replaceAll('\u0001', () => `$v${index++}`);
      const query = `${kind}${declared === '' ? '' : `(${declared})`} { ${body} }`;
      return {
        field: `${root}.${field.name}`,
        body: `{"query":${JSON.stringify(query)},"variables":{${variables.map(({ value }, at) => `"v${at}":${value.json}`).join(',')}}}`,
      };
    });
  }

  /** Writes a field with its arguments and selections; a variable is U+0001 until it gets its number. */
  #call(field: GraphQLField<unknown, unknown>, depth: number): fc.Arbitrary<Call> {
    const args = field.args.map((arg) => this.#argument(arg));
    return fc.tuple(fc.tuple(...args), this.#selection(field.type, depth - 1)).map(([given, selection]) => {
      const calls = given.filter((each) => each !== null);
      const list = calls.map(({ text }) => text).join(', ');
      return {
        text: `${field.name}${list === '' ? '' : `(${list})`}${selection.text}`,
        variables: [...calls, selection].flatMap(({ variables }) => variables),
      };
    });
  }

  #argument(arg: GraphQLArgument): fc.Arbitrary<Call | null> {
    const type = arg.astNode ? print(arg.astNode.type) : String(arg.type);
    const value = this.#valueOf(arg.type, arg.name);
    return fc.tuple(value, fc.integer({ min: 0, max: 19 })).map(([value, how]) => {
      if (how === 0 || (!isRequiredArgument(arg) && how < 7)) return null;
      // It is a literal where it is not too long for a document.
      if (how % 2 === 0 && value.literal.length < 2_000)
        return { text: `${arg.name}: ${value.literal}`, variables: [] };
      return { text: `${arg.name}: \u0001`, variables: [{ type, value }] };
    });
  }

  #selection(type: GraphQLOutputType, depth: number): fc.Arbitrary<Call> {
    const composite = getNamedType(type);
    if (!isCompositeType(composite)) return fc.constant({ text: '', variables: [] });
    const fields = isObjectType(composite) ? Object.values((composite as GraphQLObjectType).getFields()) : [];
    const leaves = fields.filter((field) => !isCompositeType(getNamedType(field.type)));
    const branches = depth > 0 ? fields.filter((field) => isCompositeType(getNamedType(field.type))) : [];
    const chosen = fc.tuple(
      fc.subarray(leaves),
      branches.length === 0 ? fc.constant([]) : fc.subarray(branches, { maxLength: Math.min(2, branches.length) }),
    );
    return chosen.chain(([leaves, branches]) =>
      fc.tuple(...[...leaves, ...branches].map((field) => this.#call(field, depth))).map((calls) => ({
        text: ` { ${['__typename', ...calls.map(({ text }) => text)].join(' ')} }`,
        variables: calls.flatMap(({ variables }) => variables),
      })),
    );
  }

  #valueOf(type: GraphQLInputType, name: string): fc.Arbitrary<Written> {
    const meant = this.#meant(type, name);
    return fc.oneof(
      { weight: 12, arbitrary: meant },
      { weight: 1, arbitrary: anything },
      { weight: 1, arbitrary: fc.constant(same('null')) },
    );
  }

  #meant(given: GraphQLInputType, name: string): fc.Arbitrary<Written> {
    const type = getNullableType(given);
    if (isListType(type))
      return fc.oneof(
        {
          weight: 5,
          arbitrary: fc.array(this.#valueOf(type.ofType, name), { minLength: 1, maxLength: 3 }).map(writtenList),
        },
        { weight: 1, arbitrary: fc.constant(writtenList([])) },
      );
    if (isInputObjectType(type)) return this.#object(Object.values(type.getFields()));
    const known = this.present[name];
    const hostile = this.#scalar(type);
    return known === undefined
      ? hostile
      : fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...known).map(written) }, { weight: 1, arbitrary: hostile });
  }

  #object(fields: readonly GraphQLInputField[]): fc.Arbitrary<Written> {
    const members = fields.map((field) =>
      fc
        .tuple(this.#valueOf(field.type, field.name), fc.integer({ min: 0, max: 29 }))
        .map(([value, how]) =>
          how === 0 || (!isRequiredInputField(field) && how < 15) ? [] : [[field.name, value] as const],
        ),
    );
    const odd = fc
      .integer({ min: 0, max: 40 })
      .map((how) =>
        how === 0 ? [['__proto__', written({})] as const] : how === 1 ? [['colour', written('red')] as const] : [],
      );
    return fc.tuple(fc.tuple(...members), odd).map(([members, odd]) => writtenObject([...members.flat(), ...odd]));
  }

  #scalar(type: GraphQLInputType): fc.Arbitrary<Written> {
    if (isEnumType(type)) {
      const names = type.getValues().map((value) => value.name);
      return fc.oneof(
        { weight: 8, arbitrary: fc.constantFrom(...names).map(named) },
        { weight: 1, arbitrary: fc.constantFrom(...names.map((name) => name.toLowerCase()), 'RED').map(named) },
      );
    }
    switch (isNonNullType(type) ? '' : getNamedType(type).name) {
      case 'Int':
        return fc.oneof(
          fc.integer({ min: -1, max: 200 }).map((value) => same(String(value))),
          number,
        );
      case 'Float':
        return fc.oneof(
          fc.double({ min: 0, max: 1, noNaN: true }).map((value) => same(String(value))),
          number,
        );
      case 'Boolean':
        return fc.constantFrom('true', 'false').map(same);
      case 'DateTime':
      case 'DateTimeISO':
        return fc.oneof(
          { weight: 5, arbitrary: fc.constantFrom(...TIMES).map(writtenText) },
          { weight: 1, arbitrary: number },
        );
      case 'JSON':
        return json;
      case 'ID':
        return fc.oneof(fc.uuid().map(writtenText), text, number);
      default:
        return text;
    }
  }
}

interface Call {
  readonly text: string;
  /** The variables in the order in which they appear in `text`. */
  readonly variables: readonly { readonly type: string; readonly value: Written }[];
}
