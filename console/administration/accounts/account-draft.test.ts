import { expect, test } from '@jest/globals';
import type { AccountFragment } from '../../generated/operations.ts';
import { accountDraftOf, changedAccountMembers } from './account-draft.ts';

const ACCOUNT: AccountFragment = {
  id: '1',
  email: 'ann@example.com',
  name: 'Ann',
  role: 'WRITE',
  department: null,
  isActive: true,
  lastLoginAt: null,
  createdAt: '2026-11-29T09:00:00.000Z',
  updatedAt: '2026-11-29T10:00:00.000Z',
};

test('a form that was not touched changes nothing', () => {
  for (const account of [ACCOUNT, { ...ACCOUNT, department: 'ADAS' }])
    expect(changedAccountMembers(accountDraftOf(account), account)).toEqual({});
});

test('what was typed is trimmed, and an empty department clears it', () => {
  const draft = { name: ' Anna ', role: 'SAFETY', department: ' Chassis ' } as const;
  expect(changedAccountMembers(draft, ACCOUNT)).toEqual({ name: 'Anna', role: 'SAFETY', department: 'Chassis' });
  const inDepartment = { ...ACCOUNT, department: 'ADAS' };
  expect(changedAccountMembers({ ...accountDraftOf(inDepartment), department: ' ' }, inDepartment)).toEqual({
    department: null,
  });
});
