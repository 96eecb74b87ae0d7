import { describe, expect, test } from '@jest/globals';
import type { GraphQLError } from 'graphql';
import { Kind, getVariableValues, parse, validate, type OperationDefinitionNode } from 'graphql';
import { API_SCHEMA } from '../../testing/api-schema.ts';
import { faultField } from './input-fault.ts';

/** The first fault that graphql-js finds in an operation, in its document or in its variables. */
function fault(query: string, variables?: Record<string, unknown>): { message: string; field: string | null } {
  const document = parse(query);
  let errors: readonly GraphQLError[] | undefined = validate(API_SCHEMA, document);
  if (variables !== undefined) {
    expect(errors).toEqual([]);
    const operation = document.definitions.find(
      (node): node is OperationDefinitionNode => node.kind === Kind.OPERATION_DEFINITION,
    );
    errors = getVariableValues(API_SCHEMA, operation?.variableDefinitions ?? [], variables).errors;
  }
  const [error] = errors ?? [];
  if (error === undefined) throw new Error('no fault');
  return { message: error.message, field: faultField(error, document) };
}

const CREATE = 'mutation ($input: CreateFlagInput!) { createFlag(input: $input) { applied } }';
const REGISTER = 'mutation ($input: [RegisterVehicleInput!]!) { registerVehicles(input: $input) { vin } }';
const PAGE = 'query ($first: Int, $filter: FlagFilter) { flags(first: $first, filter: $filter) { totalCount } }';
const KEY = 'query ($key: String!) { flag(key: $key) { key } }';
const input = (over: Record<string, unknown>) => ({
  input: {
    key: 'a',
    name: 'A',
    type: 'BOOLEAN',
    defaultValue: false,
    safetyLevel: 'ASIL_B',
    environment: 'STAGING',
    ...over,
  },
});
const vehicle = { vin: 'KMHK281HGNU000001', model: 'A', swVersion: '1.0.0', region: 'EU' };

describe('the place of a fault in the variables', () => {
  test.each<[string, string, Record<string, unknown>, RegExp, string]>([
    ['a required variable that is missing', KEY, {}, /of required type "String!" was not provided/, 'key'],
    ['null for what cannot be', KEY, { key: null }, /of non-null type "String!" must not be null/, 'key'],
    ['a scalar of a wrong type', KEY, { key: 7 }, /String cannot represent a non string value/, 'key'],
    ['a number that is no integer', PAGE, { first: 1.5 }, /Int cannot represent non-integer/, 'first'],
    ['a number that is too large', PAGE, { first: 2 ** 40 }, /non 32-bit signed integer/, 'first'],
    ['what is no object', CREATE, { input: 'x' }, /Expected type "CreateFlagInput" to be an object/, 'input'],
    ['a member of a wrong type', CREATE, input({ name: 5 }), /at "input\.name"; String cannot represent/, 'input.name'],
    [
      'a member that is null',
      CREATE,
      input({ name: null }),
      /at "input\.name"; Expected non-nullable type/,
      'input.name',
    ],
    [
      'a member that is missing',
      CREATE,
      { input: { ...input({}).input, name: undefined } },
      /Field "name" of required type "String!" was not provided/,
      'input.name',
    ],
    ['an unknown member', CREATE, input({ colour: 'red' }), /Field "colour" is not defined by type/, 'input.colour'],
    [
      'a member that there is nearly',
      CREATE,
      input({ nam: 'A' }),
      /Field "nam" is not defined.*Did you mean/s,
      'input.nam',
    ],
    [
      'a word that no enum has',
      CREATE,
      input({ environment: 'MARS' }),
      /Value "MARS" does not exist in "Environment" enum/,
      'input.environment',
    ],
    [
      'a number for an enum',
      CREATE,
      input({ environment: 1 }),
      /Enum "Environment" cannot represent non-string value/,
      'input.environment',
    ],
    [
      'a member of a nullable object',
      PAGE,
      { filter: { enabled: 'yes' } },
      /at "filter\.enabled"; Boolean cannot represent/,
      'filter.enabled',
    ],
    ['an item of a list', REGISTER, { input: [vehicle, 7] }, /at "input\[1\]"; Expected type/, 'input.1'],
    [
      'a member of an item of a list',
      REGISTER,
      { input: [vehicle, { ...vehicle, vin: 7 }] },
      /at "input\[1\]\.vin"/,
      'input.1.vin',
    ],
    [
      'a missing member of an item of a list',
      REGISTER,
      { input: [vehicle, { vin: 'x' }] },
      /at "input\[1\]"; Field "model" of required type/,
      'input.1.model',
    ],
    [
      'an unknown member of an item of a list',
      REGISTER,
      { input: [{ ...vehicle, owner: 'me' }] },
      /at "input\[0\]"; Field "owner" is not defined/,
      'input.0.owner',
    ],
    ['a value that looks like a place', CREATE, input({ name: ['x at '] }), /at "input\.name"/, 'input.name'],
    ['a value that quotes a place', CREATE, input({ name: ['at "input.key"; '] }), /at "input\.name"/, 'input.name'],
    ['a value of several lines', CREATE, input({ name: ['a\nb'] }), /at "input\.name"/, 'input.name'],
  ])('is found for %s', (_what, query, variables, message, field) => {
    const found = fault(query, variables);
    expect(found.message).toMatch(message);
    expect(found.field).toBe(field);
  });
});

describe('the place of a fault in the document', () => {
  test.each<[string, string, RegExp, string | null]>([
    ['an unknown field', '{ flags { nodes { colour } } }', /Cannot query field "colour"/, 'flags.nodes.colour'],
    [
      'a field under an alias',
      '{ all: flags { mine: nodes { shade: colour } } }',
      /Cannot query field/,
      'all.mine.shade',
    ],
    [
      'a field in a fragment',
      '{ flags { ...F } } fragment F on FlagConnection { nodes { colour } }',
      /Cannot query field/,
      'nodes.colour',
    ],
    ['a selection that is missing', '{ flags }', /must have a selection of subfields/, 'flags'],
    ['a selection of a scalar', '{ flags { totalCount { x } } }', /must not have a selection/, 'flags.totalCount'],
    ['an unknown argument', '{ flag(key: "a", colour: 1) { key } }', /Unknown argument "colour"/, 'colour'],
    ['an argument that is missing', '{ flag { key } }', /argument "key" of type "String!" is required/, 'key'],
    ['a scalar of a wrong type', '{ flag(key: 7) { key } }', /String cannot represent a non string value/, 'key'],
    [
      'a word that no enum has',
      '{ flagSync(environment: MARS) { revision } }',
      /Value "MARS" does not exist/,
      'environment',
    ],
    [
      'text for an enum',
      '{ flagSync(environment: "STAGING") { revision } }',
      /cannot represent non-enum value/,
      'environment',
    ],
    ['null for what cannot be', '{ flag(key: null) { key } }', /Expected value of type "String!", found null/, 'key'],
    [
      'an unknown member',
      '{ flags(filter: { colour: 1 }) { totalCount } }',
      /Field "colour" is not defined/,
      'filter.colour',
    ],
    [
      'a member of a wrong type',
      '{ flags(filter: { enabled: "yes" }) { totalCount } }',
      /Boolean cannot represent/,
      'filter.enabled',
    ],
    [
      'a member that is missing',
      'mutation { createFlag(input: { key: "a" }) { applied } }',
      /Field "CreateFlagInput.name" of required type/,
      'input.name',
    ],
    [
      'a member given twice',
      '{ flags(filter: { enabled: true, enabled: false }) { totalCount } }',
      /only one input field named "enabled"/,
      'filter.enabled',
    ],
    ['an argument given twice', '{ flag(key: "a", key: "b") { key } }', /only one argument named "key"/, 'key'],
    [
      'a member of an item of a list',
      'mutation { registerVehicles(input: [{ vin: "a", model: "b", swVersion: "c", region: "d" }, { vin: 7, model: "b", swVersion: "c", region: "d" }]) { vin } }',
      /String cannot represent/,
      'input.1.vin',
    ],
    [
      'a missing member of an item of a list',
      'mutation { registerVehicles(input: [{ vin: "a", model: "b", swVersion: "c" }]) { vin } }',
      /required type/,
      'input.0.region',
    ],
    ['a variable that is not declared', '{ flag(key: $key) { key } }', /Variable "\$key" is not defined/, 'key'],
    ['a variable that is not used', 'query ($key: String) { __typename }', /Variable "\$key" is never used/, 'key'],
    [
      'a variable of another type',
      'query ($k: Int!) { flag(key: $k) { key } }',
      /Variable "\$k" of type "Int!" used in position/,
      'k',
    ],
    [
      'a variable of no input type',
      'query ($k: Flag) { flag(key: $k) { key } }',
      /Variable "\$k" cannot be non-input type|used in position/,
      'k',
    ],
    ['a default of a wrong type', 'query ($k: String! = 7) { flag(key: $k) { key } }', /String cannot represent/, 'k'],
    ['an unknown type', 'query ($k: Nothing) { __typename }', /Unknown type "Nothing"/, 'k'],
    ['an unknown fragment', '{ flags { ...F } }', /Unknown fragment "F"/, 'flags'],
    [
      'an operation that is not alone',
      'query A { __typename } query A { __typename }',
      /only one operation named "A"/,
      null,
    ],
  ])('is found for %s', (_what, query, message, field) => {
    const found = fault(query);
    expect(found.message).toMatch(message);
    expect(found.field).toBe(field);
  });

  test('is nowhere for what is not GraphQL, or without the document', () => {
    const syntax = (() => {
      try {
        return parse('{ flag(');
      } catch (error) {
        return error as GraphQLError;
      }
    })();
    expect(faultField(syntax as GraphQLError, undefined)).toBeNull();
    const document = parse('{ nothing }');
    const [error] = validate(API_SCHEMA, document);
    expect(faultField(error as GraphQLError, undefined)).toBeNull();
    expect(faultField(error as GraphQLError, parse('{ nothing }'))).toBeNull();
  });
});
