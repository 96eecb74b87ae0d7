import importX, { createNodeResolver } from 'eslint-plugin-import-x';
import tseslint from 'typescript-eslint';

/** A room, and all that it may import from beside itself and packages (house.md, "Rooms and arrows"). */
export const rooms = {
  './core': [],
  './subgraphs/shared': ['./core', './prisma'],
  './subgraphs/flags': ['./core', './subgraphs/shared', './prisma'],
  './subgraphs/vehicles': ['./core', './subgraphs/shared', './prisma'],
  './subgraphs/experiments': ['./core', './subgraphs/shared', './prisma'],
  './subgraphs/audit': ['./core', './subgraphs/shared', './prisma'],
  './gateway': ['./core'],
  './agent': ['./core'],
  './prisma': [],
};

const arrows = Object.entries(rooms).map(([target, allowed]) => ({
  target,
  from: '.',
  except: [target, ...allowed, './node_modules', './agent/node_modules'],
  message: `${target} may import only from ${['itself', ...allowed].join(', ')}.`,
}));

/** Arrows within the gateway: a transport reads, calls the pipeline and answers; what it calls knows of no transport. */
const gatewayArrows = [
  ['./gateway/operations', './gateway/transports'],
  ['./gateway/operations', './gateway/subscriptions', './testing'],
  ['./gateway/operations', './gateway/gateway.ts'],
  ['./gateway/credentials', './gateway/transports'],
  ['./gateway/subscriptions', './gateway/transports'],
].map(([target, from, ...except]) => ({ target, from, except, message: `${target} may not import from ${from}.` }));

/**
 * A promise that an object carries is awaited by who reads that member, and nobody has to: a client that does not
 * select the field leaves it floating, and its rejection ends the process. What is loaded lazily has a resolver of its
 * own.
 */
const noPromiseInObject = {
  meta: {
    type: 'problem',
    schema: [],
    messages: {
      eager:
        'This begins a promise that nobody may ever await: load it where it is asked for (a resolver, a function).',
    },
  },
  create(context) {
    const { program, esTreeNodeToTSNodeMap } = context.sourceCode.parserServices;
    const checker = program.getTypeChecker();
    const isPromise = (type) => (type.isUnion() ? type.types.some(isPromise) : type.getProperty('then') !== undefined);
    return {
      'ObjectExpression > Property'({ value }) {
        if (value.type.endsWith('FunctionExpression') || value.type === 'AssignmentPattern') return;
        if (isPromise(checker.getTypeAtLocation(esTreeNodeToTSNodeMap.get(value))))
          context.report({ node: value, messageId: 'eager' });
      },
    };
  },
};

/**
 * Texts and names that a reader stumbles over, and what to say instead (docs/reference/words.md). Only what is wrong
 * wherever it stands is in here.
 */
const PHRASES = [
  [/\b(?:is|are) told\b/, 'say what it gets, or who is notified'],
  [/\bsomebody else than\b/, 'name who may'],
  [/\bto nobody\b/, 'say who does not get it'],
  [/\bwho(?:ever)? asks\b/, 'say “the caller” or “the client”'],
  [/\b(?:audit|the) trail\b/, 'say “audit log”'],
  [/\bis tried again\b/, 'say who retries, and when'],
  [/\bnot [a-z ]{0,30}any more\b/, 'say “no longer”'],
  [/\bThis must\b|\bThis is an? (?:text|list|number|object)\b/, 'say “Expected …”'],
  [/\bknown are\b/, 'say “expected one of”'],
  [/; it takes\b|\btakes? (?:one of|from|[0-9])/, 'say “must be”'],
];
const NAMES = /^(?:Looks|Repetition|Follower|Seen[A-Z]\w*|\w*Keeper|inTime)$/;

const plainWords = {
  meta: { type: 'suggestion', schema: [], messages: { words: '“{{found}}”: {{advice}} (docs/reference/words.md).' } },
  create(context) {
    const check = (node, text) => {
      for (const [phrase, advice] of PHRASES) {
        const found = phrase.exec(text)?.[0];
        if (found !== undefined) context.report({ node, messageId: 'words', data: { found, advice } });
      }
    };
    return {
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

const TESTS = ['**/*.test.ts', '**/testing/**', 'tests/**', 'e2e/**', 'benchmarks/**'];

/**
 * Rooms in which a guard or a typed reader proves a type, and nothing claims it: a cast is a debt (house.md, habit 12).
 * One that has to stay says why, behind eslint-disable-next-line.
 */
const WITHOUT_CASTS = ['core', 'agent', 'commands', 'main', 'prisma', 'subgraphs'].map((room) => `${room}/**/*.ts`);

export default tseslint.config(
  {
    ignores: ['node_modules/', '**/node_modules/', 'coverage/', '.fleetflag/', 'dist/', 'agent/dist/', '**/generated/'],
  },
  ...tseslint.configs.recommendedTypeChecked,
  {
    files: ['**/*.ts'],
    plugins: { 'import-x': importX },
    settings: {
      'import-x/resolver-next': [createNodeResolver({ extensions: ['.ts', '.js', '.json'] })],
      'import-x/extensions': ['.ts'],
    },
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      'import-x/no-restricted-paths': ['error', { zones: [...arrows, ...gatewayArrows] }],
      'import-x/no-cycle': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/require-await': 'off',
    },
  },
  {
    files: ['**/*.ts'],
    ignores: TESTS,
    plugins: { fleetflag: { rules: { 'no-promise-in-object': noPromiseInObject, 'plain-words': plainWords } } },
    rules: {
      // Not even with `void`: core/async/unattended.ts names the work to the last handler.
      '@typescript-eslint/no-floating-promises': ['error', { ignoreVoid: false, ignoreIIFE: false }],
      '@typescript-eslint/no-misused-promises': [
        'error',
        { checksConditionals: true, checksSpreads: true, checksVoidReturn: true },
      ],
      'fleetflag/no-promise-in-object': 'error',
      'fleetflag/plain-words': 'error',
    },
  },
  {
    files: WITHOUT_CASTS,
    ignores: ['**/*.contract.ts', ...TESTS],
    rules: { '@typescript-eslint/consistent-type-assertions': ['error', { assertionStyle: 'never' }] },
  },
  { files: ['**/*.{js,mjs}'], ...tseslint.configs.disableTypeChecked },
  {
    files: ['**/*.ts'],
    ignores: ['main/configuration.ts', 'agent/command/configuration.ts', ...TESTS, 'jest.config.ts'],
    rules: {
      'no-restricted-properties': [
        'error',
        {
          object: 'process',
          property: 'env',
          message: 'Settings are read once, in main/configuration.ts (the agent: agent/command/configuration.ts).',
        },
      ],
    },
  },
  {
    // A write that blocks, or one whose failure nobody takes, would end what runs for years (core/log/line-sink.ts).
    files: ['{core,gateway,agent,subgraphs}/**/*.ts', 'main/*.ts', 'commands/*.ts'],
    ignores: [
      'main/log.ts',
      'agent/log.ts',
      'commands/{admin,build,demo,generate,migrate,schema}.ts',
      'subgraphs/shared/postgres/schema/migrate-command.ts',
      '**/*.test.ts',
      '**/*.contract.ts',
      '**/testing/**',
    ],
    rules: {
      'no-console': 'error',
      'no-restricted-syntax': [
        'error',
        {
          selector: 'MemberExpression[object.name="process"][property.name=/^(stdout|stderr)$/]',
          message: 'Lines go through main/log.ts (the agent: agent/log.ts), which lose them rather than block.',
        },
      ],
    },
  },
);
