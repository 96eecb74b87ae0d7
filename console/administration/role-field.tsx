/** The field for a role, with what the role may do. */
import type { ComponentChildren } from 'preact';
import type { Role } from '../generated/operations.ts';
import { Select } from '../parts/select.tsx';
import { useAdministrationWords } from '../words/use-administration-words.ts';

interface RoleFieldProps {
  readonly roles: readonly Role[];
  readonly role: Role;
  readonly onChoose: (role: Role) => void;
  /** Stands after what the role may do. */
  readonly children?: ComponentChildren;
}

/** Shows the roles to choose from, and below them what the chosen one may do. */
export function RoleField({ roles, role, onChoose, children }: RoleFieldProps) {
  const { words, own } = useAdministrationWords();
  return (
    <>
      <Select
        label={own.role}
        value={role}
        options={roles.map((one) => [one, words.roles[one]])}
        onChoose={(next) => next !== null && onChoose(next)}
      />
      <p class="quiet">
        {own.roleEffects[role]} {children}
      </p>
    </>
  );
}
