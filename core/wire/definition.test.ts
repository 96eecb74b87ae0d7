import { describe, expect, it } from '@jest/globals';
import { DEFAULT_TTL_SECONDS, DEFINITION_JWS_TYPE, STATEMENT_JWS_TYPE } from './definition.ts';

describe('the wire forms', () => {
  it('lets a flag be used for 7 days after the last verified contact', () => {
    expect(DEFAULT_TTL_SECONDS).toBe(7 * 24 * 60 * 60);
  });

  it('types definitions and statements differently, so that one is never taken for the other', () => {
    expect(DEFINITION_JWS_TYPE).not.toBe(STATEMENT_JWS_TYPE);
  });
});
