import { expect, it } from '@jest/globals';
import { checkTime } from './time.ts';

it.each([
  '0001-01-01T00:00:00.000Z',
  '0000-12-31T23:59:59-00:01',
  '1970-01-01T00:00:00Z',
  '9999-12-31T23:59:59.999Z',
  '9999-12-31T23:59:59.9999Z',
  '9999-12-31T23:59:00+23:59',
])('%s is a time', (text) => {
  expect(() => checkTime(new Date(text))).not.toThrow();
});

it.each([
  '9999-12-31T23:59:59.999-23:59',
  '9999-12-31T23:59:59.999-00:01',
  '0001-01-01T00:00:00+00:01',
  '0001-01-01T00:00:00+23:59',
  '0000-01-01T00:00:00Z',
  '+010000-01-01T00:00:00Z',
  'no time',
])('%s is not a time that can be stored', (text) => {
  expect(() => checkTime(new Date(text))).toThrow('within the years 0001 to 9999');
});
