import {
  OperationTypeNode,
  valueFromASTUntyped,
  type DocumentNode,
  type FieldNode,
  type OperationDefinitionNode,
} from 'graphql';
import { isJsonObject } from '../../../core/json/json-value.ts';
import { mayKill } from '../../../core/evaluation/rules/kill-switch.ts';
import { rootFieldsOf } from '../authorize.ts';

/** The mutations that kill, or may: whether a rule does depends on its input. */
const MUTATION = /\b(?:killSwitch|createRule|updateRule)\b/;

/** Whether a field of Mutation pulls a kill switch, or (updateRule) may. */
function kills({ name, arguments: given = [] }: FieldNode, variables: Readonly<Record<string, unknown>>): boolean {
  if (name.value === 'killSwitch') return true;
  if (name.value !== 'createRule' && name.value !== 'updateRule') return false;
  const node = given.find((argument) => argument.name.value === 'input');
  const input = node === undefined ? undefined : valueFromASTUntyped(node.value, variables);
  if (!isJsonObject(input)) return false;
  // An update has no type, and leaves out what stays; what is created is enabled unless it says otherwise.
  if (name.value === 'updateRule') return mayKill(input);
  return input['type'] === 'KILL_SWITCH' && mayKill({ enabled: true, ...input });
}

/**
 * Whether an operation does nothing but pull kill switches, in whichever way that is written: it goes before all
 * others, at the gateway and behind it.
 *
 * @param variables as the request gives them
 */
export function isKillSwitch(
  document: DocumentNode,
  operation: OperationDefinitionNode,
  variables: Readonly<Record<string, unknown>>,
): boolean {
  if (operation.operation !== OperationTypeNode.MUTATION) return false;
  const fields = rootFieldsOf(document, operation).filter(({ name }) => name.value !== '__typename');
  if (fields.length === 0) return false;
  const defaults = (operation.variableDefinitions ?? []).flatMap(({ variable, defaultValue }) =>
    defaultValue === undefined ? [] : [[variable.name.value, valueFromASTUntyped(defaultValue)] as const],
  );
  const values = { ...Object.fromEntries(defaults), ...variables };
  return fields.every((field) => kills(field, values));
}

/** Whether a text may be a kill switch at all: a look that is cheap enough for every request. */
export function mayBeKillSwitch(text: string): boolean {
  return MUTATION.test(text);
}
