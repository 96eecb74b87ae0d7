/** The texts of release policies. */
export const policies = {
  policiesLead:
    'In which stages a change of what a flag serves reaches the vehicles of an environment. Kill switches and switching off are at once in any case.',
  noPolicy: 'No stages: changes reach everybody at once.',
  changePolicy: 'Change the policy',
  changePolicyOf: (environment: string) => `Change the policy: ${environment}`,
  policyOf: (environment: string) => `Release policy: ${environment}`,
  toPolicies: 'All policies',
  policySetBy: (name: string) => `Set by ${name}`,
  policyStage: 'Stage',
  stageShare: 'Vehicles with the change',
  stageSoak: 'Watched for',
  stageReports: 'Must report before the next stage',
  canaryAlone: 'the canary group alone',
  noReports: 'none',
  vehiclesCounted: (count: number, text: string) => `${text} ${count === 1 ? 'vehicle' : 'vehicles'}`,
  noCanary: 'Nobody in particular goes first.',
  policyLimits: (vehicles: string, points: string) =>
    `A release is halted past ${vehicles} faulty vehicles, where their share is also ${points} percentage points above that of the others.`,

  // A looser policy
  policyWaits: 'A looser policy waits for a second person',
  policyProposedBy: (name: string) => `Proposed by ${name}`,
  loosensBy: 'It is looser, because',
  loosenings: {
    FEWER_LEVELS: 'flags of some safety level are no longer covered',
    SHORTER_WATCH: 'some vehicle can get a change, or a release can end, after a shorter watch',
    FEWER_REPORTS: 'some vehicle can get a change after fewer vehicles have reported it',
    OTHER_CANARY: 'other vehicles go first',
    HIGHER_FAULT_LIMIT: 'a release is halted only at more faults',
    WEAKER_GUARDS: 'a guard is missing, finds less, or no longer halts a release',
  },
  policyDifference: 'What the looser policy changes',
  ownProposal: 'You have proposed this. Another person has to approve it.',
  withdrawPolicy: 'Withdraw',

  // The form
  stageOf: (position: string) => `Stage ${position}`,
  removeStage: (position: string) => `Remove stage ${position}`,
  addStage: 'Add a stage',
  stagesHint:
    'Each stage has more vehicles than the one before, and the last has all of them: 100. Without stages changes reach everybody at once.',
  stagePercentage: 'Percentage',
  stageUnit: 'Unit',
  soakUnits: { days: 'days', hours: 'hours', minutes: 'minutes', seconds: 'seconds' },
  stageVehicles: 'Vehicles that must report',
  canaryHint: 'These vehicles have each change from the first stage on. With them, the first stage may be at 0.',
  canaryVins: 'Canary group: vehicles (VIN)',
  canaryModels: 'Canary group: models',
  canaryRegions: 'Canary group: regions',
  guardsLead: 'Measurements guard each release:',
  noGuards: 'none',
  guardsHint:
    'A guard compares what vehicles with the change measure with the others. Its metric has to be declared, and no stage begins while nothing is measured.',
  guardOf: (position: string) => `Guard ${position}`,
  addGuard: 'Add a guard',
  removeGuard: (position: string) => `Remove guard ${position}`,
  guardAction: 'When the limit is crossed',
  guardActions: { HALT: 'halt the release', HOLD: 'hold the release' },
  guardVehicles: 'Vehicles needed for the next stage',
  guardSilence: 'Minutes without a measurement until it holds',
  guardDetails: (confidence: string, vehicles: string, silence: string) =>
    `${confidence} confidence, ${vehicles} vehicles needed, silent after ${silence}`,
  levelsHint: 'Changes of flags of other levels reach everybody at once.',
  savePolicy: 'Set the policy',
  policySaved: 'The policy is set. It counts for changes from now on.',
  policyProposed:
    'The policy is looser for ASIL-D, so it waits until a second person approves it. The present one stays.',
  policyChanged: 'The policy has changed meanwhile.',
  noSuchEnvironment: 'There is no such environment.',
};
