/**
 * Fixes the seed of generated input, so that a commit that passed once passes again. `TEST_SEED=random` looks for
 * input that nobody has tried yet, and `TEST_SEED=<number>` repeats what such a run has found (CONTRIBUTING.md).
 */
import fc from 'fast-check';

const seed = process.env['TEST_SEED'] ?? '20261128';
if (seed !== 'random') fc.configureGlobal({ seed: Number(seed) });
