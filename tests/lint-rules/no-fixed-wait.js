/**
 * A test that waits for a time either waits too short on a busy machine or too long on an idle one, and proves nothing
 * about what did not happen. It waits for a condition: `eventually` of core/testing/eventually.ts.
 */
export const noFixedWait = {
  meta: {
    type: 'problem',
    schema: [],
    messages: { fixed: 'Wait for a condition (core/testing/eventually.ts), not for a time.' },
  },
  create(context) {
    const report = (node) => context.report({ node, messageId: 'fixed' });
    return {
      'AwaitExpression > CallExpression[callee.name=/^(?:delay|sleep)$/]': report,
      'AwaitExpression > NewExpression[callee.name="Promise"] CallExpression[callee.name="setTimeout"]': report,
    };
  },
};
