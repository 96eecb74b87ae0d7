import { join } from 'node:path';
import { API, TypeFlags } from 'typescript-7/unstable/sync';
import { SyntaxKind } from 'typescript-7/unstable/ast';

const ROOT = join(import.meta.dirname, '../..');

/** The programs of all sources, which one TypeScript process keeps for as long as the linter runs. */
let snapshot;

function programOf(file) {
  snapshot ??= new API({ cwd: ROOT }).updateSnapshot({
    openProjects: ['tsconfig.json', 'console/tsconfig.json', 'examples/dashboard/tsconfig.json'].map((path) =>
      join(ROOT, path),
    ),
  });
  return snapshot.getDefaultProjectForFile(file);
}

/** The expressions that are never a promise, so that the other process need not be asked. */
const NO_PROMISES = new Set([
  'ArrayExpression',
  'ArrowFunctionExpression',
  'AssignmentPattern',
  'AwaitExpression',
  'BinaryExpression',
  'FunctionExpression',
  'Literal',
  'ObjectExpression',
  'TemplateLiteral',
  'UnaryExpression',
]);

/** The types that are known to be promises or not, by program and id: most members have one of few types. */
const known = new WeakMap();

function isPromise(checker, type) {
  if (!known.has(checker)) known.set(checker, new Map());
  const types = known.get(checker);
  if (!types.has(type.id))
    types.set(
      type.id,
      type.flags & TypeFlags.Union
        ? type.getTypes().some((one) => isPromise(checker, one))
        : checker.getPropertyOfType(type, 'then') !== undefined,
    );
  return types.get(type.id);
}

/** Lists the members of all objects in a source file: where each ends, and its value. */
function membersOf(source) {
  const members = [];
  const visit = (node) => {
    if (node.kind === SyntaxKind.PropertyAssignment) members.push({ end: node.end, value: node.initializer });
    if (node.kind === SyntaxKind.ShorthandPropertyAssignment) members.push({ end: node.end, value: node.name });
    node.forEachChild(visit);
  };
  visit(source);
  return members;
}

/** Gives the types of values. TypeScript 7.0.2 fails for some tuples, which are no promises: those have undefined. */
function typesOf(checker, values) {
  try {
    return checker.getTypeAtLocation(values);
  } catch (error) {
    if (!String(error).includes('not *checker.TupleType')) throw error;
    return values.length === 1 ? [undefined] : values.flatMap((value) => typesOf(checker, [value]));
  }
}

/**
 * A promise that an object carries is awaited by who reads that member, and nobody has to: a client that does not
 * select the field leaves it floating, and its rejection ends the process. What is loaded lazily has a resolver of its
 * own.
 */
export const noPromiseInObject = {
  meta: {
    type: 'problem',
    schema: [],
    messages: {
      eager:
        'This begins a promise that nobody may ever await: load it where it is asked for (a resolver, a function).',
    },
  },
  create(context) {
    const properties = [];
    return {
      'ObjectExpression > Property'(property) {
        if (!NO_PROMISES.has(property.value.type)) properties.push(property);
      },
      // At the end, so that one question to the other process serves for the whole file.
      'Program:exit'() {
        if (properties.length === 0) return;
        const { checker, program } = programOf(context.filename);
        const members = new Map(
          membersOf(program.getSourceFile(context.filename)).map(({ end, value }) => [end, value]),
        );
        const values = properties.map(({ range }) => members.get(range[1]));
        const types = typesOf(checker, values);
        for (const [index, { value }] of properties.entries())
          if (types[index] !== undefined && isPromise(checker, types[index]))
            context.report({ node: value, messageId: 'eager' });
      },
    };
  },
};
