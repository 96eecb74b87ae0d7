import { readFileSync } from 'node:fs';
import { buildSchema } from 'graphql';

/** The public API, as clients see it. */
export const API_SCHEMA = buildSchema(readFileSync(new URL('../../schema.graphql', import.meta.url), 'utf8'));
