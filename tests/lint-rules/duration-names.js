/**
 * A duration's name ends in its unit (docs/reference/words.md), so that a reader of a line that uses it needs no other
 * line. A constant whose docstring begins with a unit of time says it in its name, too, and so does a number of an
 * interface whose name ends in a word for a duration.
 */
const UNITS = [
  [/^\*\s+(?:\* )?(?:The )?(?:[a-z]+ )?milliseconds\b/i, /_MS$/, '_MS'],
  [/^\*\s+(?:\* )?(?:The )?(?:[a-z]+ )?seconds\b/i, /_SECONDS$/, '_SECONDS'],
];

const DURATION = /(?:Timeout|Interval|Deadline|Delay|Grace|Spread)$/;

export const durationNames = {
  meta: {
    type: 'suggestion',
    schema: [],
    messages: { unit: 'End the name {{name}} in its unit, {{unit}} (docs/reference/words.md).' },
  },
  create: (context) => ({
    'TSInterfaceBody > TSPropertySignature'(node) {
      const { name } = node.key;
      if (node.typeAnnotation?.typeAnnotation.type === 'TSNumberKeyword' && DURATION.test(name))
        context.report({ node, messageId: 'unit', data: { name, unit: 'Ms' } });
    },
    VariableDeclaration(node) {
      const [declarator] = node.declarations;
      if (declarator?.init?.type !== 'Literal' || typeof declarator.init.value !== 'number') return;
      const begin = node.parent?.type === 'ExportNamedDeclaration' ? node.parent : node;
      const docstring = context.sourceCode.getCommentsBefore(begin).at(-1);
      if (docstring === undefined) return;
      const { name } = declarator.id;
      for (const [begins, ends, unit] of UNITS)
        if (begins.test(docstring.value) && !ends.test(name))
          context.report({ node, messageId: 'unit', data: { name, unit } });
    },
  }),
};
