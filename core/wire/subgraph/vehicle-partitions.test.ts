import { expect, test } from '@jest/globals';
import { readVehiclePartitions } from './vehicle-partitions.ts';

test('partitions are read by VIN', () => {
  expect(readVehiclePartitions({ KMHK281HGNU000001: 'Model_X', KMHK281HGNU000002: '*' })).toEqual(
    new Map([
      ['KMHK281HGNU000001', 'Model_X'],
      ['KMHK281HGNU000002', '*'],
    ]),
  );
});

test.each([[null], ['*'], [['*']], [{ KMHK281HGNU000001: null }], [{ KMHK281HGNU000001: '' }]])(
  'anything else is none: %j',
  (value) => {
    expect(readVehiclePartitions(value)).toBeNull();
  },
);
