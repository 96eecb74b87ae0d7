import { expect, test } from '@jest/globals';
import { localTime } from '../parts/local-time.ts';
import { momentOf, readAuditChoice } from './audit-choice.ts';

test('a choice is read from an address, and what is no moment is no filter', () => {
  expect(
    readAuditChoice('?action=KILL_SWITCH&flag=a.b&person=1&name=%EA%B9%80&from=2026-11-28T10:00:00.000Z&to=soon'),
  ).toEqual({
    action: 'KILL_SWITCH',
    flag: 'a.b',
    person: '1',
    name: '김',
    from: '2026-11-28T10:00:00.000Z',
    to: null,
  });
  expect(readAuditChoice('')).toEqual({ action: null, flag: '', person: null, name: '', from: null, to: null });
});

test('a field for local times gives the moment that it shows', () => {
  for (const moment of ['2026-11-28T10:30:00.000Z', '2026-07-01T23:59:00.000Z', '1999-12-31T00:00:00.000Z'])
    expect(momentOf(localTime(new Date(moment)))).toBe(moment);
  expect(momentOf('')).toBeNull();
});
