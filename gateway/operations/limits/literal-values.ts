/**
 * Checks the values that are written in a document. graphql-js takes any literal for a scalar of ours, and what is
 * built on it does not: a number beyond all doubles is a fault there, and a list in lists takes time that doubles with
 * each.
 */
import {
  GraphQLError,
  visit,
  type ASTNode,
  type FloatValueNode,
  type IntValueNode,
  type ValidationRule,
  type ValueNode,
} from 'graphql';
import { FleetFlagError } from '../../../core/errors.ts';
import { OPERATION_LIMITS } from './operation-limits.ts';

function depthOf(value: ValueNode): number {
  let deepest = 0;
  let depth = 0;
  const levels = { enter: () => void (deepest = Math.max(deepest, ++depth)), leave: () => void depth-- };
  visit(value, { ListValue: levels, ObjectValue: levels });
  return deepest;
}

/**
 * Reports literals that would be misread: numbers that are not finite, members called `__proto__`, too much nesting.
 */
export const literalRule: ValidationRule = (context) => {
  const refuse = (node: ASTNode, message: string) =>
    context.reportError(new GraphQLError(message, { nodes: node, extensions: { code: 'BAD_USER_INPUT' } }));
  const checkNumber = (node: IntValueNode | FloatValueNode) => {
    if (!Number.isFinite(Number(node.value))) refuse(node, 'A number must be finite.');
  };
  /** Checks the depth of a value; called once for each outermost value. */
  const checkDepth = (value: ValueNode | undefined): false | undefined => {
    const limit = OPERATION_LIMITS.literalDepth;
    if (value === undefined || depthOf(value) <= limit) return undefined;
    const refusal = new FleetFlagError(
      'LIMIT_EXCEEDED',
      `A value in the document is nested more than ${limit} levels deep; send it in a variable.`,
      { limit },
    );
    context.reportError(
      new GraphQLError(refusal.message, {
        nodes: value,
        originalError: refusal,
        extensions: { code: refusal.code, ...refusal.details },
      }),
    );
    return false;
  };
  return {
    IntValue: checkNumber,
    FloatValue: checkNumber,
    ObjectField(node) {
      if (node.name.value === '__proto__') refuse(node, 'An object must not have a member named __proto__.');
    },
    Argument: ({ value }) => checkDepth(value),
    VariableDefinition: ({ defaultValue }) => checkDepth(defaultValue),
  };
};
