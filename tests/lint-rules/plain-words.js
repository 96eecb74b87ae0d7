/**
 * Texts and names that a reader stumbles over, and what to say instead (docs/reference/words.md). Only what is wrong
 * wherever it stands is in here.
 */
export const PHRASES = [
  [/\b(?:is|are) told\b/, 'say what it gets, or who is notified'],
  [/\bsomebody else than\b/, 'name who may'],
  [/\bto nobody\b/, 'say who does not get it'],
  [/\bwho(?:ever)? asks\b/, 'say “the caller” or “the client”'],
  [/\b(?:audit|the) trail\b/, 'say “audit log”'],
  [/\bis tried again\b/, 'say who retries, and when'],
  [/\bnot [a-z ]{0,30}any more\b/, 'say “no longer”'],
  [/\bThis must\b|\bThis is an? (?:text|list|number|object)\b/, 'say “Expected …”'],
  [/\bknown are\b/, 'say “expected one of”'],
  [/\b(?:agents?|control planes?|programs?|secrets?) from before\b/, 'say “older”, or “former”'],
  [/; it takes\b|\btakes? (?:one of|from|[0-9])/, 'say “must be”'],
];
/** The same for comments, whose words have no reader at night, but one who does not know the code yet. */
const COMMENT_PHRASES = [
  [/\b(?:told|tells|telling)\b/i, 'say what it gives, shows or notifies'],
  [/\b(?:agents?|control planes?|programs?|secrets?) from before\b/i, 'say “older”, or “former”'],
  [/\bso many (?:milliseconds|seconds|minutes|bytes)\b/, 'name the parameter'],
  [/\bcapitals\b/i, 'say “capital letters”'],
  [/\banew\b/, 'say “again”'],
  [/\bpatience\b/i, 'say “timeout”'],
  [/\bwhoever\b/i, 'name the caller'],
  [/\blook(?:s|ed)? (?:at|for)\b/, 'say “check”, “read” or “search”'],
  [/\bany more\b/, 'say “no longer”'],
  [/\b(?:is|are) away\b/, 'say “is down” or “does not answer”'],
  [
    /^\*\s+(?:\* )?(?:What|How|Who|Why|Where|When|Which|While|Whatever|Whom|Whose|That|Those|Of|From|On|By|Up|Beyond|Enough|To|Until)\b/,
    'begin a docstring with a noun or a verb',
  ],
];
const NAMES = /^(?:Looks|Repetition|Follower|Seen[A-Z]\w*|\w*Keeper|inTime)$/;

export const plainWords = {
  meta: {
    type: 'suggestion',
    schema: [{ type: 'object' }],
    messages: { words: '“{{found}}”: {{advice}} (docs/reference/words.md).' },
  },
  create(context) {
    const check = (node, text, phrases = PHRASES) => {
      for (const [phrase, advice] of phrases) {
        const found = phrase.exec(text)?.[0];
        if (found !== undefined) context.report({ loc: node.loc, messageId: 'words', data: { found, advice } });
      }
    };
    return {
      Program() {
        if (context.options[0]?.comments === false) return;
        for (const comment of context.sourceCode.getAllComments()) check(comment, comment.value, COMMENT_PHRASES);
      },
      Literal: (node) => typeof node.value === 'string' && check(node, node.value),
      TemplateElement: (node) => check(node, node.value.cooked ?? ''),
      'ClassDeclaration > Identifier.id, FunctionDeclaration > Identifier.id, TSInterfaceDeclaration > Identifier.id'(
        node,
      ) {
        if (NAMES.test(node.name))
          context.report({ node, messageId: 'words', data: { found: node.name, advice: 'use the word of the field' } });
      },
    };
  },
};
