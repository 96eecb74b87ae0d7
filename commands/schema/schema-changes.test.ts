import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { releasedPage, schemaChanges, withUnreleased } from './schema-changes.ts';

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

const RELEASED = `
  type Query { flags(filter: Filter, first: Int = 20): [Flag!]! old: Int @deprecated(reason: "Use flags.") }
  type Flag implements Node { id: ID! key: String! value: Value name: String }
  interface Node { id: ID! }
  input Filter { key: String limit: Int = 5 }
  enum Value { ON OFF WARM @deprecated(reason: "Use ON.") }
  type Mutation { kill(key: String!): Flag }
`;
const breaking = async (from: string, to: string) => {
  expect(RELEASED).toContain(from);
  return (await schemaChanges(RELEASED, RELEASED.replace(from, to))).map(({ isBreaking }) => isBreaking);
};

test('No change since the last release breaks a client', async () => {
  const changes = await schemaChanges(read('docs/reference/released-schema.graphql'), read('schema.graphql'));
  expect(changes.filter(({ isBreaking }) => isBreaking)).toEqual([]);
});

describe('A change breaks clients', () => {
  test.each([
    ['a field that is gone', 'name: String', ''],
    ['a field that was not null', 'key: String!', 'key: String'],
    ['a field of another type', 'name: String', 'name: Int'],
    ['a new argument that is required', 'filter: Filter', 'filter: Filter, environment: String!'],
    ['an argument that becomes required', 'first: Int = 20', 'first: Int!'],
    ['an argument that is gone', 'filter: Filter, ', ''],
    ['another default of an argument', 'first: Int = 20', 'first: Int = 100'],
    ['a default that is gone', 'first: Int = 20', 'first: Int'],
    ['another default of an input field', 'limit: Int = 5', 'limit: Int = 6'],
    ['a new input field that is required', 'key: String limit', 'key: String region: String! limit'],
    ['an input field that is gone', 'input Filter { key: String', 'input Filter {'],
    ['an enum value that is gone', 'ON OFF', 'ON'],
    ['an interface that is gone', 'Flag implements Node', 'Flag'],
    ['a mutation that is gone', 'kill(key: String!): Flag', 'pull(key: String!): Flag'],
    ['a root type that is gone', 'type Mutation { kill(key: String!): Flag }', ''],
  ])('by %s', async (_, from, to) => {
    expect(await breaking(from, to)).toContain(true);
  });
});

describe('A change does not break clients', () => {
  test.each([
    ['a new field', 'name: String', 'name: String draft: Boolean!'],
    ['a new optional argument', 'filter: Filter', 'filter: Filter, order: String'],
    ['a new argument with a default', 'filter: Filter', 'filter: Filter, order: String! = "key"'],
    ['a new optional input field', 'key: String limit', 'key: String region: String limit'],
    ['a new enum value', 'ON OFF', 'ON OFF AUTO'],
    ['a field that can no longer be null', 'name: String', 'name: String!'],
    ['an argument that is no longer required', 'kill(key: String!)', 'kill(key: String)'],
    ['a deprecation', 'name: String', 'name: String @deprecated(reason: "Use key.")'],
    ['a field that the release has as deprecated and that is gone', 'old: Int @deprecated(reason: "Use flags.")', ''],
    ['an enum value that the release has as deprecated and that is gone', 'WARM @deprecated(reason: "Use ON.")', ''],
  ])('by %s', async (_, from, to) => {
    const found = await breaking(from, to);
    expect(found.length).toBeGreaterThan(0);
    expect(found).not.toContain(true);
  });

  test('by a description, which is not listed', async () => {
    expect(await breaking('name: String', '"What people call it." name: String')).toEqual([]);
  });
});

describe('The page of changes', () => {
  const page = read('docs/reference/schema-changes.md');

  test('lists what has changed since the release, in the order of names', async () => {
    const changes = await schemaChanges(RELEASED, RELEASED.replace('name: String', 'draft: Boolean!'));
    const written = withUnreleased(page, changes);
    expect(written).toContain(
      '## Unreleased\n\n- `Flag.draft`: Field `draft` was added to object type `Flag`.\n- `Flag.name`: Field `name` was removed from object type `Flag`. **Breaks clients.**\n\n## ',
    );
    expect(withUnreleased(written, changes)).toBe(written);
    expect(() => withUnreleased('# Another page\n', [])).toThrow('has no heading "## Unreleased"');
  });

  test('names the version and the day at a release, and begins again', async () => {
    const changes = await schemaChanges(RELEASED, RELEASED.replace('name: String', 'name: String draft: Boolean!'));
    const written = releasedPage(withUnreleased(page, changes), '0.2.0', new Date('2027-01-08T23:00:00Z'));
    expect(written).toContain('## Unreleased\n\nNone.\n\n## 0.2.0, 2027-01-08\n\n- `Flag.draft`:');
    expect(written).toContain('\n\n## 0.1.0\n');
    expect(withUnreleased(written, [])).toBe(written);
  });
});
