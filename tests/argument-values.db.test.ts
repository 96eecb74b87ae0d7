/**
 * Every text and every number that the public schema takes: no text keeps an invisible character, and no whole number
 * is rounded without a word.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import {
  getNamedType,
  getNullableType,
  isEnumType,
  isInputObjectType,
  isLeafType,
  isListType,
  isRequiredArgument,
  isRequiredInputField,
  print,
  type GraphQLField,
  type GraphQLInputType,
} from 'graphql';
import { sampled } from '../core/testing/rounds.ts';
import { readApiSchema } from '../gateway/composition/supergraph.ts';
import { EveryCaller, SAMPLE_VIN } from './testing/every-caller.ts';

const API = readApiSchema();
const OF_VEHICLES = new Set(['agentHeartbeat', 'backUpVehicleState', 'reportFaults', 'reportMetrics']);
/** The arguments that are not stored as they come, but compared with what is stored, or hashed. */
const NOT_KEPT: ReadonlySet<string> = new Set([
  'login.email',
  'login.password',
  'changePassword.current',
  'changePassword.new',
  'createUser.input.password',
]);
/** The arguments that name something that exists, or whose form excludes unusual characters. */
const LOOKED_UP = new Set(['key', 'flagKey', 'vin', 'enableFlag', 'disableFlag']);

/** Good values, by the name of an argument, of a member of an input, or else by its type. */
const VALUES: Record<string, unknown> = {
  String: 'text',
  ID: '0198f0aa-0000-7000-8000-000000000000',
  Int: 60,
  Float: 0.25,
  Boolean: true,
  DateTime: '2040-01-01T00:00:00.000Z',
  flagKey: 'lane_keep',
  key: 'lane_keep',
  'RequirementInput.flagKey': 'base',
  'applyChanges.environment': 'STAGING',
  vin: SAMPLE_VIN,
  email: 'new@example.com',
  password: 'a long enough password',
  defaultValue: false,
  conditions: { regions: ['EU'] },
  manifest: {},
  // No metric may be planned twice in an experiment.
  primaryMetric: 'another',
  RuleType: 'VEHICLE_TARGET',
  safetyLevel: 'NON_CRITICAL',
  confidenceLevel: 0.95,
  variant: 'treatment',
  batchId: 'b1',
  percentage: 10,
  'ReleaseStageInput.percentage': 100,
  Duration: 'PT1H',
  sampleSize: 100,
};

/** The optional member of an input without which its other members are not checked. */
const ALSO_GIVEN: Readonly<Record<string, string>> = {
  ...{ RolloutGuardInput: 'bound', ReleaseGuardInput: 'bound' },
};

/** A value within an argument: the names and positions on the way to it, the argument's first. */
type Path = readonly string[];

/** The places of all values of a scalar in an argument of `type`. */
function placesOf(scalar: string, type: GraphQLInputType, path: Path): Path[] {
  const named = getNamedType(type);
  if (isListType(getNullableType(type))) return placesOf(scalar, named, [...path, '0']);
  if (isInputObjectType(named))
    return Object.values(named.getFields()).flatMap((field) => placesOf(scalar, field.type, [...path, field.name]));
  return named.name === scalar ? [path] : [];
}

function valueOf(given: GraphQLInputType, name: string, path: Path | null, text: unknown): unknown {
  const type = getNullableType(given);
  if (isListType(type)) return [valueOf(type.ofType, name, path && path.slice(1), text)];
  if (isInputObjectType(type))
    return Object.fromEntries(
      Object.values(type.getFields())
        .filter(
          (field) =>
            [path?.[0], path?.[0] === 'maxWorsePercent' ? '' : ALSO_GIVEN[type.name]].includes(field.name) ||
            isRequiredInputField(field),
        )
        .map((field) => [
          field.name,
          valueOf(
            field.type,
            Object.hasOwn(VALUES, `${type.name}.${field.name}`) ? `${type.name}.${field.name}` : field.name,
            field.name === path?.[0] ? path.slice(1) : null,
            text,
          ),
        ]),
    );
  if (path !== null) return text;
  if (Object.hasOwn(VALUES, name)) return VALUES[name];
  return VALUES[type.name] ?? (isEnumType(type) ? type.getValues()[0]!.name : undefined);
}

/** The operation with `text` at `path`, and a good value for whatever else it needs. */
function operationWith(field: GraphQLField<unknown, unknown>, path: Path, text: unknown) {
  const args = field.args.filter((arg) => isRequiredArgument(arg) || arg.name === path[0]);
  const declared = args.map((arg) => `$${arg.name}: ${arg.astNode ? print(arg.astNode.type) : String(arg.type)}`);
  const given = args.map(({ name }) => `${name}: $${name}`);
  const selected = isLeafType(getNamedType(field.type)) ? '' : ' { __typename }';
  return {
    query: `mutation (${declared.join(', ')}) { ${field.name}(${given.join(', ')})${selected} }`,
    variables: Object.fromEntries(
      args.map((arg) => {
        const own = `${field.name}.${arg.name}`;
        const name = Object.hasOwn(VALUES, own) ? own : arg.name;
        return [arg.name, valueOf(arg.type, name, arg.name === path[0] ? path.slice(1) : null, text)];
      }),
    ),
  };
}

interface Answer {
  readonly errors?: readonly {
    readonly message: string;
    readonly extensions: { readonly code: string; readonly field?: string };
  }[];
}

let every: EveryCaller;

/**
 * Sends an operation as a caller who may run it.
 *
 * @param operation an object, or the body as text
 */
async function run(operation: object | string, field = ''): Promise<Answer> {
  const { headers } = await every.as(OF_VEHICLES.has(field) ? 'another vehicle' : 'ADMIN');
  const response = await fetch(every.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof operation === 'string' ? operation : JSON.stringify(operation),
  });
  return (await response.json()) as Answer;
}

beforeAll(async () => {
  every = await EveryCaller.start();
  for (const query of [
    'mutation { createFlag(input: { key: "lane_keep", name: "Lane", type: BOOLEAN, defaultValue: false, safetyLevel: NON_CRITICAL, environment: STAGING }) { applied } }',
    'mutation { createExperiment(input: { flagKey: "lane_keep", name: "E", startDate: "2040-01-01T00:00:00Z", sampleSize: 100, primaryMetric: "m" }) { id } }',
    'mutation { createRule(flagKey: "lane_keep", input: { type: PERCENTAGE_ROLLOUT, conditions: { rollout_percentage: 5 } }) { applied } }',
  ])
    expect((await run({ query })).errors).toBeUndefined();
  const [rule, experiment] = [
    await every.prisma.rule.findFirstOrThrow(),
    await every.prisma.experiment.findFirstOrThrow(),
  ];
  Object.assign(VALUES, { id: rule.id, ruleId: rule.id, 'updateExperiment.id': experiment.id });
});
afterAll(() => every?.close());

const MUTATIONS = Object.values(API.getMutationType()!.getFields());
/** All values of a scalar in the arguments of `fields`, each with its name. */
const allOf = (scalar: string, fields: readonly GraphQLField<unknown, unknown>[]) =>
  fields.flatMap((field) =>
    field.args
      .flatMap((arg) => placesOf(scalar, arg.type, [arg.name]))
      .map((path) => [`${field.name}.${path.join('.')}`, field, path] as const),
  );
const TEXTS = allOf('String', MUTATIONS).filter(([name]) => !NOT_KEPT.has(name));
/** The numbers that are stored. Queries are left out: requiredSampleSize calculates in doubles. */
const NUMBERS = allOf('Float', MUTATIONS);

test('there are values to try, and what is not kept is there', () => {
  expect(TEXTS.length).toBeGreaterThan(40);
  expect(NUMBERS.length).toBeGreaterThan(5);
  const all: readonly string[] = allOf('String', MUTATIONS).map(([name]) => name);
  expect([...NOT_KEPT].filter((name) => !all.includes(name))).toEqual([]);
});

test.each(sampled(NUMBERS, 4))(
  '%s refuses a whole number that a double cannot hold, and names the argument',
  async (_, field, path) => {
    // As text: no number of JavaScript is it.
    const body = JSON.stringify(operationWith(field, path, 'WHOLE')).replace('"WHOLE"', '9007199254740993');
    const { errors } = await run(body, field.name);
    expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', field: path.join('.') } }]);
  },
);

test.each(sampled(TEXTS, 4))('%s refuses an invisible character, and names the argument', async (name, field, path) => {
  for (const text of ['lane\u200bkeep', '\u202elane', 'lane\u200dkeep']) {
    const { errors = [] } = await run(operationWith(field, path, text), field.name);
    const extensions = errors[0]?.extensions ?? { code: 'none', field: '' };
    const isLookedUp = LOOKED_UP.has(path.at(-1)!) && extensions.code === 'NOT_FOUND';
    expect({ name, text, code: extensions.code, field: extensions.field }).toEqual({
      name,
      text,
      code: isLookedUp ? 'NOT_FOUND' : 'BAD_USER_INPUT',
      field: path.join('.'),
    });
  }
});

test.each([
  ['KILL_SWITCH', { force_disabled: true, reason: 'smo\u200bke' }, 'input.conditions.reason'],
  ['VEHICLE_TARGET', { models: ['EV6', 'EV\u200b9'] }, 'input.conditions.models.1'],
  ['VEHICLE_TARGET', { regions: ['E\u202eU'] }, 'input.conditions.regions.0'],
  ['PERCENTAGE_ROLLOUT', { rollout_percentage: 5, models: ['\ufeffEV9'] }, 'input.conditions.models.0'],
])('conditions of a %s are texts of people, too: %j', async (type, conditions, field) => {
  const query = 'mutation ($input: RuleInput!) { createRule(flagKey: "lane_keep", input: $input) { applied } }';
  const { errors } = await run({ query, variables: { input: { type, conditions } } });
  expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', field } }]);
});

test('what shows is kept: a name with an emoji of several characters, a reason with a non-joiner', async () => {
  const name = 'Lane \u{1f469}\u{1f3fd}\u200d\u{1f527} \u2764\ufe0f';
  const reason = '\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645';
  const rename = `mutation ($name: String!) { updateFlag(key: "lane_keep", input: { name: $name }) { flag { name } } }`;
  expect(await run({ query: rename, variables: { name } })).toEqual({ data: { updateFlag: { flag: { name } } } });
  const kill = `mutation ($input: RuleInput!) { createRule(flagKey: "lane_keep", input: $input) { flag { rules { conditions } } } }`;
  const conditions = { force_disabled: true, reason };
  expect(
    await run({
      query: kill,
      variables: { input: { type: 'KILL_SWITCH', conditions: { ...conditions, reason: ` ${reason}\n` } } },
    }),
  ).toEqual({ data: { createRule: { flag: { rules: expect.arrayContaining([{ conditions }]) } } } });
});
