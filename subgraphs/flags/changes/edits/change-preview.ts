/**
 * The contents of a flag before and after a change that nobody has made yet, for other subgraphs to count vehicles by.
 */
import { randomUUID } from 'node:crypto';
import { badInput } from '../../../../core/errors.ts';
import type { JsonObject } from '../../../../core/model.ts';
import type { ProposedChangeInput } from '../../generated/resolvers.ts';
import type { Flag } from '../../flags/flag.ts';
import { evaluatedContent, type VehicleForm } from '../../flags/vehicle-form.ts';
import { fieldsEdit, type Edit } from './flag-edits.ts';
import type { PlacedChange } from '../../partitions/dependencies.ts';
import { changedRule, newRule, ruleOf, withOrder, withRule, withoutRule } from './rule-edits.ts';

/** Gives the edit that restores the content that a flag had at a revision; `path` names the revision in faults. */
export type Restoring = (flag: Flag, revision: number, path: string) => Promise<Edit>;

/** Gives a function that makes the edit of a member; none where the change does not have it. */
function edit<Value>(
  name: keyof ProposedChangeInput,
  value: Value | null | undefined,
  make: (value: Value, path: string) => Edit | Promise<Edit>,
): (() => Edit | Promise<Edit>)[] {
  return value === null || value === undefined ? [] : [() => make(value, `change.${name}`)];
}

/**
 * Gives the edit of the one member that a proposed change has: that of its mutation.
 *
 * @throws BAD_USER_INPUT at `change`
 */
function editOf(flag: Flag, change: ProposedChangeInput, restoring: Restoring): Edit | Promise<Edit> {
  const [only, another] = [
    ...edit('updateFlag', change.updateFlag, (input, path) => fieldsEdit(input, path)),
    ...edit('enabled', change.enabled, (enabled) => (of) => ({ ...of, enabled })),
    ...edit('archived', change.archived, (archived) => (of) => ({
      ...of,
      enabled: false,
      archivedAt: archived ? new Date() : null,
    })),
    ...edit(
      'createRule',
      change.createRule,
      (input, path) => (of) => withRule(of, newRule(randomUUID(), input, of.type, path), path),
    ),
    ...edit('updateRule', change.updateRule, ({ id, input }, path) => (of) => {
      const rule = ruleOf(of, id.toLowerCase(), `${path}.id`);
      return withRule(of, changedRule(rule, input, of.type, `${path}.input`), `${path}.input`);
    }),
    ...edit('deleteRule', change.deleteRule, (id, path) => (of) => withoutRule(of, id.toLowerCase(), path)),
    ...edit('reorderRules', change.reorderRules, (ids, path) => (of) => withOrder(of, ids, path)),
    ...edit('restoreRevision', change.restoreRevision, (revision, path) => restoring(flag, revision, path)),
  ];
  if (only === undefined || another !== undefined)
    throw badInput('change', 'A proposed change has exactly one member, such as updateFlag or reorderRules.');
  return only();
}

/**
 * Gives what vehicles evaluate of a flag before a change, and once it has reached all of them; null where no vehicle
 * has the flag.
 *
 * @param expanded gives a flag in the form that vehicles have, with what its segments say in place of their names
 * @throws as the change's own mutation at the path of the fault, below `change`
 */
export async function previewContents(
  flag: Flag,
  change: ProposedChangeInput,
  restoring: Restoring,
  expanded: (flag: Flag) => Promise<VehicleForm>,
  check: (changed: PlacedChange) => Promise<void>,
): Promise<{ readonly before: JsonObject | null; readonly after: JsonObject | null }> {
  const edited = (await editOf(flag, change, restoring))(flag);
  const [name] = Object.entries(change).flatMap(([member, value]) => (value == null ? [] : [member]));
  const place = { path: `change.${name}`, hasMembers: name === 'updateFlag' };
  await check({ before: flag.draft ? null : flag, after: edited, place });
  return {
    before: evaluatedContent(await expanded(flag)),
    after: evaluatedContent(await expanded({ ...edited, release: null })),
  };
}
