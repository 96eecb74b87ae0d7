/** A flag as the audit log shows it, for differences between two of its states. */
import type { OneFlagQuery } from '../generated/operations.ts';

export type Flag = NonNullable<OneFlagQuery['flag']>;

/** Gives the part of a flag that people decide on. */
export function contentOf(flag: Flag): object {
  const { name, description, type, defaultValue, enabled, safetyLevel, environment, archivedAt, rules } = flag;
  return {
    name,
    description: description ?? null,
    type,
    defaultValue,
    enabled,
    safetyLevel,
    environment,
    valueSchema: flag.valueSchema ?? null,
    activation: flag.activation,
    killActivation: flag.killActivation,
    scope: flag.scope ?? null,
    requires: flag.requires.map(({ flag: { key }, variants }) => ({ flag: key, variants: variants ?? null })),
    excludes: flag.excludes.map(({ key }) => key),
    archived: archivedAt !== null && archivedAt !== undefined,
    rules: rules.map(({ id, type: kind, priority, enabled: isOn, conditions, value, variant }) => ({
      id,
      type: kind,
      priority,
      enabled: isOn,
      conditions,
      value: value ?? null,
      variant,
    })),
  };
}

/** Whether anything of the flag can be changed, and if not, which of the two states forbids it. */
export function fixedState({ draft, archivedAt }: Flag): 'isDraft' | 'isArchived' | null {
  if (draft) return 'isDraft';
  return archivedAt === null || archivedAt === undefined ? null : 'isArchived';
}
