/** A short run with faults, in the gate. Longer ones: `npm run faults` (docs/operations/faults.md). */
import { expect, test } from '@jest/globals';
import { describeUnless } from '../../core/testing/unless.ts';
import { DISTRIBUTED } from '../harness/deployment.ts';
import { run } from './run.ts';

const SEED = 20_261_128;
const FAULTS = 40;
/** A slow machine gets through fewer. */
const LIMIT_MS = 100_000;
const LEAST = 15;

describeUnless(DISTRIBUTED ? null : 'DATABASE_URL and REDIS_URL name no servers, so there may be no Redis to start')(
  'while parts of a control plane of many processes are killed, stopped and cut off',
  () => {
    test('no law of the history is broken', async () => {
      const { findings, faults, figures } = await run({
        seed: SEED,
        faults: FAULTS,
        atOnce: 4,
        vehicles: 60,
        agents: 2,
        out: null,
        limitMs: LIMIT_MS,
        log: () => undefined,
      });
      expect(findings).toEqual([]);
      // A run without these would show nothing.
      expect(faults).toBeGreaterThanOrEqual(LEAST);
      for (const name of ['requests', 'states', 'revisions', 'steps', 'approvals', 'measurements'])
        expect({ [name]: figures[name] }).not.toEqual({ [name]: 0 });
    }, 400_000);
  },
);
