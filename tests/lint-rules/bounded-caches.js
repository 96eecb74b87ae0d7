/**
 * A cache with the option `max` of lru-cache reserves memory for all of its entries when it is made;
 * core/bounded-cache.ts makes one that grows. A cache that also counts bytes has `maxSize` and few entries.
 */
export const boundedCaches = {
  meta: {
    type: 'problem',
    schema: [],
    messages: {
      reserved: 'This reserves the memory of all entries at once: use boundedCache (core/bounded-cache.ts).',
    },
  },
  create(context) {
    return {
      'NewExpression[callee.name="LRUCache"] > ObjectExpression'(node) {
        const names = node.properties.map(({ key }) => key?.name);
        if (names.includes('max') && !names.includes('maxSize')) context.report({ node, messageId: 'reserved' });
      },
    };
  },
};
