/** The edits of a set of changes, as the API gives them. Each is that of its own mutation. */
import { randomUUID } from 'node:crypto';
import { FleetFlagError, badInput } from '../../../../core/errors.ts';
import { isUuid } from '../../../../core/wire/api/pagination.ts';
import type { ChangeInput } from '../../generated/resolvers.ts';
import { fieldsEdit } from '../edits/flag-edits.ts';
import type { GivenScope } from '../change.ts';
import { changedRule, newRule, ruleContentIn, ruleOf, withRule, withoutRule } from '../edits/rule-edits.ts';
import type { SetEdit } from './change-set.ts';

/** The most changes of one set that the API takes. */
export const MAX_CHANGES = 200;

type Present<Name extends keyof ChangeInput> = NonNullable<ChangeInput[Name]>;

/** Makes the edit of each member of `ChangeInput`; `path` names the member in faults. */
const EDITS: { readonly [Name in keyof Required<ChangeInput>]: (value: Present<Name>, path: string) => SetEdit } = {
  updateFlag: ({ key, input }, path) => ({
    flag: { key, field: `${path}.key` },
    ...at(path, `${path}.input`),
    action: 'UPDATE_FLAG',
    edit: fieldsEdit(input, `${path}.input`),
  }),
  createRule({ flagKey, input }, path) {
    const id = randomUUID();
    return {
      flag: { key: flagKey, field: `${path}.flagKey` },
      ...at(path, `${path}.input`),
      reasonField: `${path}.input.conditions.reason`,
      action: 'CREATE_RULE',
      edit: (flag) => withRule(flag, newRule(id, input, flag.type, `${path}.input`), `${path}.input`),
      record: (_before, after) => ({ before: null, after: ruleContentIn(after, id) }),
    };
  },
  updateRule({ id: given, input }, path) {
    const id = ruleId(given, `${path}.id`);
    return {
      flag: { ruleId: id, field: `${path}.id` },
      ...at(path, `${path}.input`),
      reasonField: `${path}.input.conditions.reason`,
      action: 'UPDATE_RULE',
      edit: (flag) =>
        withRule(flag, changedRule(ruleOf(flag, id, `${path}.id`), input, flag.type, `${path}.input`), `${path}.input`),
      record: (before, after) => ({ before: ruleContentIn(before, id), after: ruleContentIn(after, id) }),
    };
  },
  deleteRule(given, path) {
    const id = ruleId(given, path);
    return {
      flag: { ruleId: id, field: path },
      ...at(path),
      action: 'DELETE_RULE',
      edit: (flag) => withoutRule(flag, id, path),
      record: (before) => ({ before: ruleContentIn(before, id), after: null }),
    };
  },
  enableFlag: (key, path) => ({
    flag: { key, field: path },
    ...at(path),
    action: 'ENABLE_FLAG',
    edit: (flag) => ({ ...flag, enabled: true }),
  }),
  disableFlag: (key, path) => ({
    flag: { key, field: path },
    ...at(path),
    action: 'DISABLE_FLAG',
    edit: (flag) => ({ ...flag, enabled: false }),
  }),
};

/** Gives the places of an edit's faults. `input` is the path of an object with a flag's members, where there is one. */
function at(path: string, input?: string): Pick<SetEdit, 'path' | 'place'> {
  return { path, place: { path: input ?? path, hasMembers: input !== undefined } };
}

function ruleId(id: string, field: string): string {
  if (!isUuid(id)) throw new FleetFlagError('NOT_FOUND', 'This rule does not exist.', { field });
  return id.toLowerCase();
}

/** Gives the edit of one member; none where the change does not have it. */
function editOf<Name extends keyof ChangeInput>(change: ChangeInput, name: Name, path: string): (() => SetEdit)[] {
  const value = change[name];
  return value === null || value === undefined ? [] : [() => EDITS[name](value, `${path}.${name}`)];
}

/**
 * Gives the edits of a set.
 *
 * @throws BAD_USER_INPUT at `changes.<index>` unless a change has exactly one member, and at `changes` for none;
 *   LIMIT_EXCEEDED for more than 200; as the mutations, below that
 */
export function setEdits(changes: readonly ChangeInput[]): SetEdit[] {
  if (changes.length === 0) throw badInput('changes', 'A set has at least one change.');
  if (changes.length > MAX_CHANGES)
    throw new FleetFlagError('LIMIT_EXCEEDED', `A set may have at most ${MAX_CHANGES} changes.`, {
      field: 'changes',
      limit: MAX_CHANGES,
    });
  return changes.map((change, index) => {
    const path = `changes.${index}`;
    const [only, another] = [
      ...editOf(change, 'updateFlag', path),
      ...editOf(change, 'createRule', path),
      ...editOf(change, 'updateRule', path),
      ...editOf(change, 'deleteRule', path),
      ...editOf(change, 'enableFlag', path),
      ...editOf(change, 'disableFlag', path),
    ];
    if (only === undefined || another !== undefined)
      throw badInput(path, 'A change has exactly one member, such as updateFlag or createRule.');
    return only();
  });
}

/** Gives the scopes that changes set, for warnings. */
export function givenScopes(changes: readonly ChangeInput[]): GivenScope[] {
  return changes.flatMap(({ updateFlag }, index) => {
    const models = updateFlag?.input.scope;
    return models == null ? [] : [{ field: `changes.${index}.updateFlag.input.scope`, models }];
  });
}
