import type { EndPlans } from '../between-subgraphs/ended-plans.ts';

/** Ends nothing, in tests of the audit subgraph alone: there no person has change requests or rollouts. */
export const endNoPlans: EndPlans = async () => ({
  cancelledChangeRequests: [],
  pausedRollouts: [],
  record: async () => undefined,
});
