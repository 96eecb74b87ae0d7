import { expect, test } from '@jest/globals';
import { readPasted } from './pasted-operations.ts';

test('a single operation is registered under the given id, or under its name, with its text as it is', () => {
  const text = '# query Old is gone\n  query Fleet($a: Int) {\n  fleet { total }\n}\n';
  expect(readPasted(text, '')).toEqual({ manifest: { Fleet: text }, fault: null });
  expect(readPasted(text, ' fleet-1 ')).toEqual({ manifest: { 'fleet-1': text }, fault: null });
  expect(readPasted('subscription S { auditTrail { id } }', '').manifest).toHaveProperty('S');
  expect(readPasted('fragment F on Flag { key } mutation Do { logout }', '').manifest).toHaveProperty('Do');
});

test('a manifest is taken as JSON, whatever tool wrote it', () => {
  const apollo = { format: 'apollo-persisted-query-manifest', version: 1, operations: [] };
  expect(readPasted(JSON.stringify(apollo, null, 2), 'not used')).toEqual({ manifest: apollo, fault: null });
  expect(readPasted('{"abc": "query A { me { kind } }"}', '')).toEqual({
    manifest: { abc: 'query A { me { kind } }' },
    fault: null,
  });
});

test.each([
  ['', 'missing'],
  [' \n', 'missing'],
  ['{"abc": ', 'notJson'],
  ['[]', 'notJson'],
  ['{ me { kind } }', 'noName'],
  ['query { me { kind } }', 'noName'],
  ['hello', 'noName'],
])('%j gives no manifest: %s', (text, fault) => {
  expect(readPasted(text, '')).toEqual({ manifest: null, fault });
});
