import type { EndPlans } from '../between-subgraphs/ended-plans.ts';

/** For tests of the audit subgraph alone: nobody has requests or rollouts that could end. */
export const endNoPlans: EndPlans = async () => ({
  cancelledChangeRequests: [],
  pausedRollouts: [],
  record: async () => undefined,
});
