import { defineConfig } from 'oxlint';

/**
 * The rules that typescript-eslint recommends for code whose types are known. oxlint has TypeScript's compiler check
 * them (`--type-aware`).
 */
const RULES = {
  'no-array-constructor': 'error',
  'no-unused-expressions': 'error',
  'no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
  'no-var': 'error',
  'prefer-const': 'error',
  'prefer-rest-params': 'error',
  'prefer-spread': 'error',
  'import/no-cycle': 'error',
  'typescript/ban-ts-comment': 'error',
  'typescript/consistent-type-imports': 'error',
  'typescript/no-duplicate-enum-values': 'error',
  'typescript/no-empty-object-type': 'error',
  'typescript/no-explicit-any': 'error',
  'typescript/no-extra-non-null-assertion': 'error',
  'typescript/no-misused-new': 'error',
  'typescript/no-namespace': 'error',
  'typescript/no-non-null-asserted-optional-chain': 'error',
  'typescript/no-require-imports': 'error',
  'typescript/no-this-alias': 'error',
  'typescript/no-unnecessary-type-constraint': 'error',
  'typescript/no-unsafe-declaration-merging': 'error',
  'typescript/no-unsafe-function-type': 'error',
  'typescript/no-wrapper-object-types': 'error',
  'typescript/prefer-as-const': 'error',
  'typescript/prefer-namespace-keyword': 'error',
  'typescript/triple-slash-reference': 'error',
};

const RULES_WITH_TYPES = {
  'typescript/await-thenable': 'error',
  'typescript/no-array-delete': 'error',
  'typescript/no-base-to-string': 'error',
  'typescript/no-duplicate-type-constituents': 'error',
  'typescript/no-floating-promises': 'error',
  'typescript/no-for-in-array': 'error',
  'typescript/no-implied-eval': 'error',
  'typescript/no-misused-promises': 'error',
  'typescript/no-redundant-type-constituents': 'error',
  'typescript/no-unnecessary-type-assertion': 'error',
  'typescript/no-unsafe-argument': 'error',
  'typescript/no-unsafe-assignment': 'error',
  'typescript/no-unsafe-call': 'error',
  'typescript/no-unsafe-enum-comparison': 'error',
  'typescript/no-unsafe-member-access': 'error',
  'typescript/no-unsafe-return': 'error',
  'typescript/no-unsafe-unary-minus': 'error',
  'typescript/only-throw-error': 'error',
  'typescript/prefer-promise-reject-errors': 'error',
  'typescript/restrict-plus-operands': 'error',
  'typescript/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
  'typescript/unbound-method': 'error',
};

const TESTS = ['**/*.test.ts', '**/testing/**', 'tests/**', 'e2e/**', 'benchmarks/**'];

/** Settings are read once. */
const CONFIGURATIONS = ['main/configuration.ts', 'agent/command/configuration.ts'];
const ENVIRONMENT = {
  object: 'process',
  property: 'env',
  message: 'Settings are read once, in main/configuration.ts (the agent: agent/command/configuration.ts).',
};
const STREAMS = ['stdout', 'stderr'].map((property) => ({
  object: 'process',
  property,
  message: 'Lines go through main/process/log.ts (the agent: agent/log.ts), which lose them rather than block.',
}));
/** What runs for years: a write that blocks, or whose failure nobody takes, would end it (core/log/line-sink.ts). */
const LASTING = ['{core,gateway,agent,subgraphs}/**/*.ts', 'main/**/*.ts', 'commands/*.ts'];
const MAY_WRITE = [
  'main/process/log.ts',
  'agent/log.ts',
  'commands/{admin,build,demo,generate,migrate,schema}.ts',
  'subgraphs/shared/postgres/schema/migrate-command.ts',
  '**/*.test.ts',
  '**/*.contract.ts',
  '**/testing/**',
];

export default defineConfig({
  plugins: ['typescript', 'import'],
  jsPlugins: ['./tests/lint-rules/plugin.js'],
  // Only what is named here: a new version brings no new rule by itself.
  categories: { correctness: 'off' },
  ignorePatterns: ['coverage/', '.fleetflag/', 'dist/', 'agent/dist/', '**/generated/'],
  rules: { ...RULES, 'fleetflag/comment-width': 'error' },
  overrides: [
    { files: ['**/*.{ts,tsx}'], rules: { ...RULES_WITH_TYPES, 'fleetflag/arrows': 'error' } },
    {
      files: ['**/*.{ts,tsx}'],
      excludeFiles: TESTS,
      rules: {
        // Not even with `void`: core/last-handler/unattended.ts names the work to the last handler.
        'typescript/no-floating-promises': ['error', { ignoreVoid: false, ignoreIIFE: false }],
        'typescript/no-misused-promises': [
          'error',
          { checksConditionals: true, checksSpreads: true, checksVoidReturn: true },
        ],
        'fleetflag/bounded-caches': 'error',
        'fleetflag/duration-names': 'error',
        'fleetflag/guarded-rows': 'error',
        'fleetflag/no-promise-in-object': 'error',
        'fleetflag/plain-words': 'error',
      },
    },
    {
      files: TESTS,
      // It checks the list with sentences that break it.
      excludeFiles: ['tests/repository/page-words.test.ts'],
      rules: { 'fleetflag/duration-names': 'error', 'fleetflag/plain-words': 'error' },
    },
    {
      files: ['**/*.test.ts'],
      rules: { 'fleetflag/no-fixed-wait': 'error', 'fleetflag/plain-titles': 'error' },
    },
    {
      // Their rows of ClickHouse are still claimed.
      files: [
        'subgraphs/experiments/exposures/exposure-recorder.ts',
        'subgraphs/experiments/metrics/metric-store.ts',
        'subgraphs/experiments/settled/settled-vehicles.ts',
      ],
      rules: { 'fleetflag/guarded-rows': 'off' },
    },
    {
      // A guard or a typed reader proves a type, and nothing claims it: a cast is a debt (house.md, habit 12). One that
      // has to stay says why, behind oxlint-disable-next-line.
      files: ['**/*.{ts,tsx}'],
      excludeFiles: ['**/*.contract.ts', ...TESTS],
      rules: { 'typescript/consistent-type-assertions': ['error', { assertionStyle: 'never' }] },
    },
    {
      files: ['**/*.ts'],
      excludeFiles: [...CONFIGURATIONS, ...TESTS, 'jest.config.ts'],
      rules: { 'no-restricted-properties': ['error', ENVIRONMENT] },
    },
    {
      files: LASTING,
      excludeFiles: [...CONFIGURATIONS, ...MAY_WRITE],
      rules: { 'no-console': 'error', 'no-restricted-properties': ['error', ENVIRONMENT, ...STREAMS] },
    },
    {
      files: CONFIGURATIONS,
      rules: { 'no-console': 'error', 'no-restricted-properties': ['error', ...STREAMS] },
    },
    { files: ['**/*.cjs'], rules: { 'typescript/no-require-imports': 'off' } },
  ],
});
