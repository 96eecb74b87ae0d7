/**
 * Nobody knows what a statement in SQL gives: TypeScript believes whatever its reader claims. So rows are read with a
 * guard for each column (subgraphs/shared/postgres/rows.ts; `readRows` for other drivers).
 */
export const guardedRows = {
  meta: {
    type: 'problem',
    schema: [],
    messages: {
      raw: 'Read rows with rowsOf of subgraphs/shared/postgres/rows.ts, which checks their columns.',
      claim: 'Nothing checks this type: give the rows to readRows of core/json/shape.ts.',
    },
  },
  create(context) {
    return {
      'MemberExpression[property.name=/^\\$queryRaw(?:Unsafe)?$/]'(node) {
        context.report({ node, messageId: 'raw' });
      },
      'CallExpression[typeArguments][callee.property.name=/^(?:query|json)$/]'(node) {
        context.report({ node, messageId: 'claim' });
      },
    };
  },
};
