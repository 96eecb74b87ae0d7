import type { EndPlans } from '../between-subgraphs/ended-plans.ts';

/** For an audit subgraph alone: nobody has asked for anything that could end. */
export const endNoPlans: EndPlans = async () => ({
  cancelledChangeRequests: [],
  pausedRollouts: [],
  record: async () => undefined,
});
