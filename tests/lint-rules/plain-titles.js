import { PHRASES } from './plain-words.js';

/** Words that titles of tests do without: they are sentences about behaviour, which name who does what. */
const TITLE_PHRASES = [
  ...PHRASES.slice(0, 4),
  [/\b(?:told|tells)\b/i, 'say what it gets, gives, shows or notifies'],
  [/\banew\b/, 'say “again”'],
  [/\bwhoever\b/, 'name the caller'],
  [/\bany more\b/, 'say “no longer”'],
  [/\b(?:is|are) away\b/, 'say “is down” or “does not answer”'],
  [/\blook(?:s|ed)? at\b/, 'say “check” or “read”'],
];

/** The function that is called, such as `test` of `test.each(cases)(title, …)`. */
const calledName = (callee) => {
  if (callee.type === 'CallExpression' || callee.type === 'TaggedTemplateExpression')
    return calledName(callee.callee ?? callee.tag);
  return callee.type === 'MemberExpression' ? calledName(callee.object) : callee.name;
};

export const plainTitles = {
  meta: {
    type: 'suggestion',
    schema: [],
    messages: { words: '“{{found}}”: {{advice}} (docs/reference/words.md).' },
  },
  create: (context) => ({
    CallExpression({ callee, arguments: [title] }) {
      if (title?.type !== 'Literal' || !/^(?:test|it|describe|every\w+)$/.test(calledName(callee) ?? '')) return;
      for (const [phrase, advice] of TITLE_PHRASES) {
        const found = phrase.exec(String(title.value))?.[0];
        if (found !== undefined) context.report({ node: title, messageId: 'words', data: { found, advice } });
      }
    },
  }),
};
