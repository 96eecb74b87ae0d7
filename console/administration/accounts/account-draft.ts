/** An account as it stands in its form, and what of it the API is asked to change. */
import type { AccountFragment, Role, UpdateUserInput } from '../../generated/operations.ts';

/** An account as it is typed. Its password is no part of this, as forms that are left are kept. */
export interface AccountDraft {
  readonly name: string;
  readonly role: Role;
  readonly department: string;
}

/** A new account as it is typed. */
export interface NewAccountDraft extends AccountDraft {
  readonly email: string;
}

/** Gives an account as it stands in its form. */
export const accountDraftOf = ({ name, role, department }: AccountFragment): AccountDraft => ({
  ...{ name, role, department: department ?? '' },
});

/** Gives what differs from the account as the person has seen it. */
export function changedAccountMembers(draft: AccountDraft, seen: AccountFragment): UpdateUserInput {
  const [name, department] = [draft.name.trim(), draft.department.trim()];
  return {
    ...(name !== seen.name && { name }),
    ...(draft.role !== seen.role && { role: draft.role }),
    ...(department !== (seen.department ?? '') && { department: department === '' ? null : department }),
  };
}
