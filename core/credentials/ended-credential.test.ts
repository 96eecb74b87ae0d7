import { expect, test } from '@jest/globals';
import { isEndedCredential } from './ended-credential.ts';

const NOTHING = { position: 7, userId: null, sessionKey: null, apiKeyId: null, vin: null };

test('an event of another process is an ended credential only with all members, each of its type', () => {
  expect(isEndedCredential(NOTHING)).toBe(true);
  expect(isEndedCredential({ ...NOTHING, vin: 'KMHK281HGNU000001' })).toBe(true);
  for (const name of Object.keys(NOTHING)) {
    expect([name, isEndedCredential({ ...NOTHING, [name]: true })]).toEqual([name, false]);
    expect([name, isEndedCredential({ ...NOTHING, [name]: undefined })]).toEqual([name, false]);
  }
  expect(isEndedCredential(null)).toBe(false);
});
