/** The environments in the order in which pages offer them. */
import type { Environment } from '../generated/operations.ts';

export const ENVIRONMENTS: readonly Environment[] = ['PRODUCTION', 'STAGING', 'DEVELOPMENT'];
