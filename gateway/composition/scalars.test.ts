import { expect, test } from '@jest/globals';
import { buildSchema, getVariableValues, parse, printSchema, validate, type OperationDefinitionNode } from 'graphql';
import { faultField } from '../operations/refusals/input-fault.ts';
import { API_SCHEMA } from '../testing/api-schema.ts';
import { giveScalars } from './scalars.ts';

const SCHEMA = buildSchema(printSchema(API_SCHEMA));
giveScalars(SCHEMA);

const BESIDE = 'flagKey: "a", name: "E", sampleSize: 5, primaryMetric: "m"';

function faults(query: string, variables: Record<string, unknown>): (readonly [string | null, string])[] {
  const document = parse(query);
  const found = validate(SCHEMA, document);
  const [operation] = document.definitions as OperationDefinitionNode[];
  const errors =
    found.length > 0
      ? found
      : (getVariableValues(SCHEMA, operation?.variableDefinitions ?? [], variables).errors ?? []);
  return errors.map((error) => [faultField(error, document), error.message] as const);
}

test.each([
  '9999-12-31T23:59:59.999-23:59',
  '0001-01-01T00:00:00+23:59',
  '0000-01-01T00:00:00Z',
  '2024-02-30T00:00:00Z',
])('a time of %s is refused at its field, in a document and in variables', (at) => {
  const literal = faults(
    `mutation { createExperiment(input: { ${BESIDE}, startDate: "2040-01-01T00:00:00Z", endDate: "${at}" }) { id } }`,
    {},
  );
  const variable = faults('mutation ($input: CreateApiKeyInput!) { createApiKey(input: $input) { key } }', {
    input: { name: 'd', role: 'READ', expiresAt: at },
  });
  expect([literal.map(([field]) => field), variable.map(([field]) => field)]).toEqual([
    ['input.endDate'],
    ['input.expiresAt'],
  ]);
});
