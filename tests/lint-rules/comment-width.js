/** The most characters of a line (house.md, habit 14). */
const MOST_CHARACTERS = 120;

/**
 * The lines of a comment are as wide as those of code. The formatter wraps code, but no comments. Directives for the
 * linter stay on one line.
 */
export const commentWidth = {
  meta: {
    type: 'layout',
    schema: [],
    messages: { wide: 'This line of a comment has {{characters}} characters: wrap it at {{most}}.' },
  },
  create: ({ sourceCode, report }) => ({
    Program() {
      for (const comment of sourceCode.getAllComments()) {
        if (/^\s*(?:oxlint|@ts|istanbul|c8)/.test(comment.value)) continue;
        for (let line = comment.loc.start.line; line <= comment.loc.end.line; line += 1) {
          const characters = sourceCode.lines[line - 1].trimEnd().length;
          if (characters <= MOST_CHARACTERS) continue;
          const loc = { start: { line, column: 0 }, end: { line, column: characters } };
          report({ loc, messageId: 'wide', data: { characters: String(characters), most: String(MOST_CHARACTERS) } });
        }
      }
    },
  }),
};
