import { describe } from '@jest/globals';
import { createInProcessRateLimiter } from './rate-limiter.ts';
import { rateLimiterContract } from '../testing/rate-limiter-contract.ts';

describe('the rate limiter in one process', () => {
  rateLimiterContract(async () => {
    const limiter = createInProcessRateLimiter();
    return { here: limiter, there: limiter, close: async () => undefined };
  });
});
