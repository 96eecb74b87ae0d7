import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { Kind, buildSchema, parse, validate } from 'graphql';
import { NIGHT_TASKS } from './night-tasks.ts';

const schema = buildSchema(readFileSync(new URL('../../../schema.graphql', import.meta.url), 'utf8'));
const TASKS = NIGHT_TASKS.flatMap(({ tasks }) => tasks);

test.each(TASKS.map((task) => [task.title, task] as const))(
  'The task "%s" is one named operation that the schema accepts, with its variables',
  (_, { operation, variables }) => {
    const document = parse(operation);
    expect(validate(schema, document)).toEqual([]);
    const [definition, ...others] = document.definitions;
    expect(others).toEqual([]);
    if (definition?.kind !== Kind.OPERATION_DEFINITION) throw new Error('The task is no operation.');
    expect(definition.name?.value).toMatch(/^[A-Z]\w+$/);
    expect(Object.keys(variables).sort()).toEqual(
      (definition.variableDefinitions ?? []).map(({ variable }) => variable.name.value).sort(),
    );
  },
);

test('Tasks have different titles and operations of different names, and say when to use them', () => {
  expect(new Set(TASKS.map(({ title }) => title)).size).toBe(TASKS.length);
  expect(new Set(TASKS.map(({ operation }) => /\w+ (\w+)/.exec(operation)?.[1])).size).toBe(TASKS.length);
  for (const { explanation } of TASKS) expect(explanation).toMatch(/^[A-Z].{20,100}\.$/);
});
