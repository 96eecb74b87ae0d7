/**
 * Fixes the seed of generated input, so that a commit that passed once passes again. `TEST_SEED=random` tries
 * new input, and `TEST_SEED=<number>` repeats what such a run has found (CONTRIBUTING.md).
 */
import fc from 'fast-check';

const seed = process.env['TEST_SEED'] ?? '20261128';
if (seed !== 'random') fc.configureGlobal({ seed: Number(seed) });
