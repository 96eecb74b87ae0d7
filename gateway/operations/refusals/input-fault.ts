/**
 * Finds the place in the input of a fault of GraphQL's own validation, as the dotted path that our refusals carry in
 * `extensions.field`: `input.conditions` for an argument, `createFlag.flag.nam` for a selection.
 */
import { BREAK, Kind, visit, type ASTNode, type DocumentNode, type GraphQLError } from 'graphql';
import { membersOf } from '../../../core/json/json-value.ts';

/** graphql-js names the place of a faulty variable in its message only, after the value, which may be any text. */
const AT = /^Variable "\$([^"]+)" got invalid value .*? at "(\1[.[][^"]*)"; /s;
const VARIABLE = /^Variable "\$([^"]+)"/;
const MEMBER = /; Field "([^"]+)" (?:is not defined by type|of required type)/s;

function variableField(message: string): string | null {
  const variable = VARIABLE.exec(message)?.[1];
  if (variable === undefined) return null;
  const place = AT.exec(message)?.[2] ?? variable;
  const member = MEMBER.exec(message)?.[1];
  return (member === undefined ? place : `${place}.${member}`).replaceAll(/\[(\d+)\]/g, '.$1');
}

/** The text of a name in a document. */
const nameIn = (name: unknown) => {
  const { value } = membersOf(name);
  return typeof value === 'string' ? value : '';
};

/**
 * The names on the way to a node: argument, member names and places in lists below the argument, response keys above.
 */
function pathOf(document: DocumentNode, keys: readonly (string | number)[]): string {
  let names: string[] = [];
  let at: unknown = document;
  let inList = false;
  for (const key of keys) {
    at = Array.isArray(at) ? at[Number(key)] : membersOf(at)[key];
    if (Array.isArray(at)) {
      inList = key === 'values';
      continue;
    }
    const node = membersOf(at);
    if (inList) names.push(`${key}`);
    inList = false;
    if (node['kind'] === Kind.ARGUMENT) names = [nameIn(node['name'])];
    else if (node['kind'] === Kind.FIELD) names.push(nameIn(node['alias'] ?? node['name']));
    else if (node['kind'] === Kind.OBJECT_FIELD) names.push(nameIn(node['name']));
    else if (node['kind'] === Kind.VARIABLE_DEFINITION) names.push(nameIn(membersOf(node['variable'])['name']));
  }
  return names.join('.');
}

function nodeField(document: DocumentNode, wanted: ASTNode): string | null {
  let found: string | null = null;
  visit(document, {
    enter(node, _key, _parent, path) {
      if (node !== wanted) return undefined;
      found = pathOf(document, path);
      return BREAK;
    },
  });
  return found === '' ? null : found;
}

/** The name of a required argument that is missing, which stands at the field. */
const MISSING_ARGUMENT = /^Field "[^"]+" argument "([^"]+)" of type/;
const MISSING_MEMBER = /^Field "[^"]*\.([^".]+)" of required type/;

/**
 * Finds the place of a fault in the input.
 *
 * @returns the dotted path, or null where the fault has no place in the input (a syntax error)
 */
export function faultField(error: GraphQLError, document: DocumentNode | undefined): string | null {
  const variable = variableField(error.message);
  if (variable !== null) return variable;
  const node = error.nodes?.[0];
  if (document === undefined || node === undefined) return null;
  const argument = MISSING_ARGUMENT.exec(error.message)?.[1];
  if (argument !== undefined) return argument;
  const place = nodeField(document, node);
  const member = MISSING_MEMBER.exec(error.message)?.[1];
  return place !== null && member !== undefined ? `${place}.${member}` : place;
}
