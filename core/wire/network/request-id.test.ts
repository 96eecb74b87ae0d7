import { expect, test } from '@jest/globals';
import { requestIdOf } from './request-id.ts';

const OWN = '0b9c7a54-7c2e-4f0a-9d0e-3d7f4a1b2c3d';
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

test('a request keeps the id that it brings, if that is a UUID', () => {
  expect(requestIdOf({ 'x-request-id': OWN })).toBe(OWN);
});

test.each([undefined, '', 'mine', `${OWN}\n{"level":50}`, `${OWN}${OWN}`])(
  'a request without a well-formed id gets a new one: %j',
  (given) => {
    const headers = given === undefined ? {} : { 'x-request-id': given };
    expect(requestIdOf(headers)).toMatch(UUID);
    expect(requestIdOf(headers)).not.toBe(requestIdOf(headers));
  },
);
