import { expect, test } from '@jest/globals';
import { faultAt, indexAt } from './fault-fields.ts';

const fault = (field: string | null) =>
  ({ code: 'BAD_USER_INPUT', message: 'Wrong.', field, retryAfter: null, requestId: null }) as const;

test('a fault belongs to the field of its path, whichever argument it names, and to no other', () => {
  for (const argument of ['input', 'change.updateFlag', 'change.createRule', 'change.updateRule.input']) {
    expect(faultAt(fault(`${argument}.conditions.models.2`), 'conditions.models')).toBe('Wrong.');
    expect(faultAt(fault(`${argument}.priority`), 'priority')).toBe('Wrong.');
  }
  expect(faultAt(fault('input.conditions.models'), 'conditions.model')).toBeNull();
  expect(faultAt(fault(null), 'priority')).toBeNull();
  expect(faultAt(null, 'priority')).toBeNull();
});

test('a fault within JSON names its place', () => {
  expect(faultAt(fault('input.valueSchema.properties.limit.minimum'), 'valueSchema')).toBe(
    'properties.limit.minimum: Wrong.',
  );
  expect(faultAt(fault('change.updateFlag.defaultValue.limit'), 'defaultValue')).toBe('limit: Wrong.');
  expect(faultAt(fault('input.valueSchema'), 'valueSchema')).toBe('Wrong.');
  expect(faultAt(fault('input.value.limit'), 'valueSchema')).toBeNull();
});

test('a fault of a list names its item', () => {
  expect(indexAt(fault('input.conditions.vins.3'), 'conditions.vins')).toBe(3);
  expect(indexAt(fault('input.conditions.vins'), 'conditions.vins')).toBeNull();
  expect(indexAt(null, 'conditions.vins')).toBeNull();
});
