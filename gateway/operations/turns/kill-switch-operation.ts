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

/**
 * Matches the mutations that pull a kill switch or may do so, and the halt of a release: for createRule and updateRule
 * that depends on the input.
 */
const MUTATION = /\b(?:killSwitch|haltRelease|createRule|updateRule)\b/;

/** Checks whether a field of Mutation pulls a kill switch, or (updateRule) may, or halts a release. */
function kills({ name, arguments: given = [] }: FieldNode, variables: Readonly<Record<string, unknown>>): boolean {
  if (name.value === 'killSwitch' || name.value === 'haltRelease') return true;
  if (name.value !== 'createRule' && name.value !== 'updateRule') return false;
  const node = given.find((argument) => argument.name.value === 'input');
  const input = node === undefined ? undefined : valueFromASTUntyped(node.value, variables);
  if (!isJsonObject(input)) return false;
  // The input of updateRule has no type, and omits what stays as it is. createRule enables the rule unless the input
  // says otherwise.
  if (name.value === 'updateRule') return mayKill(input);
  return input['type'] === 'KILL_SWITCH' && mayKill({ enabled: true, ...input });
}

/**
 * Checks whether an operation does nothing but pull kill switches, by whichever mutation, and halt releases: it goes
 * before all others, at the gateway and in the subgraphs.
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

/** Checks whether a text may be a kill switch at all: cheap enough for every request. */
export function mayBeKillSwitch(text: string): boolean {
  return MUTATION.test(text);
}
