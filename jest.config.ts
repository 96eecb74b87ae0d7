/** @jest-config-loader esbuild-register */
import type { Config } from 'jest';

const shared = {
  rootDir: '.',
  extensionsToTreatAsEsm: ['.ts'],
  // Jest's own pair makes every file load all packages again, which took half of the tests' processor time.
  testEnvironment: '<rootDir>/tests/testing/worker-realm/environment.cjs',
  runtime: '<rootDir>/tests/testing/worker-realm/runtime.cjs',
  testRunner: '<rootDir>/tests/testing/worker-realm/runner.cjs',
  injectGlobals: false,
  setupFiles: ['<rootDir>/tests/testing/generated-input.ts'],
  modulePathIgnorePatterns: ['<rootDir>/.fleetflag', '<rootDir>/coverage', '<rootDir>/dist'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: { parser: { syntax: 'typescript', decorators: false }, target: 'es2022' },
        module: { type: 'es6' },
        sourceMaps: 'inline',
      },
    ],
  },
} satisfies Config;

/**
 * Three projects: `unit` needs no server, `database` shares one embedded PostgreSQL started by its global setup
 * (each file has a database of its own in it), `e2e` drives the real processes. `npm test` leaves out `*.long.test.ts`
 * and `*.long.db.test.ts`, which have no place in its five minutes; `.ci/run` runs them.
 */
const config: Config = {
  projects: [
    {
      ...shared,
      displayName: 'unit',
      // The pattern excludes them here, because `npm test` sets testPathIgnorePatterns for all projects.
      testMatch: ['<rootDir>/{core,agent,console,gateway,subgraphs,main,commands,tests}/**/!(*.db).test.ts'],
    },
    {
      ...shared,
      displayName: 'database',
      testMatch: ['<rootDir>/{prisma,subgraphs,gateway,main,commands,tests}/**/*.db.test.ts'],
      globalSetup: '<rootDir>/subgraphs/shared/testing/database-setup.ts',
      globalTeardown: '<rootDir>/subgraphs/shared/testing/database-teardown.ts',
    },
    {
      ...shared,
      displayName: 'e2e',
      testMatch: ['<rootDir>/e2e/**/*.test.ts'],
      globalSetup: '<rootDir>/e2e/harness/prepare.ts',
      globalTeardown: '<rootDir>/e2e/harness/clean-up.ts',
    },
  ],
  // A limit against tests that hang, and no measurement: with all rounds some have ten times as much to do, and a
  // longer run (`TEST_ROUNDS` is a number) has as many times more.
  testTimeout: process.env['TEST_ROUNDS'] === undefined ? 60_000 : 600_000 * (Number(process.env['TEST_ROUNDS']) || 1),
  // The end of a worker on a busy machine takes longer than Jest's half second; one that something keeps never ends.
  workerGracefulExitTimeout: 5_000,
  testSequencer: '<rootDir>/tests/testing/waiting-first.js',
  reporters: [
    'default',
    '<rootDir>/tests/testing/skipped-reporter.js',
    '<rootDir>/tests/testing/cost-reporter.js',
    '<rootDir>/tests/testing/failed-suites-reporter.js',
  ],
  // One more than the gate has cores: end-to-end tests spend half of their time waiting for processes and their
  // intervals.
  maxWorkers: 3,
  // With --coverage: the pure part is covered to the last branch by the suites of core (house.md, habit 11).
  collectCoverageFrom: ['core/**/*.ts', '!core/**/*.test.ts', '!core/testing/**'],
  coverageDirectory: 'coverage',
  coverageThreshold: { global: {}, './core/': { statements: 100, branches: 100, functions: 100, lines: 100 } },
};

export default config;
