/** The texts of the list of flags and of one flag. */
import { number, vehicles } from './counts.ts';

export const flags = {
  flag: 'Flag',
  flags: 'Flags',
  toFlags: 'All flags',
  toFlag: 'To the flag',
  noSuchFlag: 'There is no flag with this key.',
  searchFlags: 'Find by key or words',
  searchFlagsHint: 'lane_keep, "rain mode", 조향',
  flagsFound: (count: number, text: string) => `${text} ${count === 1 ? 'flag' : 'flags'}`,
  clearFilters: 'Show all',
  noFlags: 'There are no flags yet.',
  noFlagsInUse: 'No flag is in use yet. Drafts and archived flags are under “State”.',
  noFlagsFound: 'No flag fits. Try fewer words, or another filter.',
  pagesOfFlags: 'Pages of the list of flags',
  state: 'State',
  states: {
    all: 'All in use',
    enabled: 'On',
    disabled: 'Off',
    killed: 'Killed',
    rollout: 'In a rollout',
    stale: 'Not used for 30 days',
    draft: 'Draft',
    archived: 'Archived',
  },
  environment: 'Environment',
  environments: { PRODUCTION: 'Production', STAGING: 'Staging', DEVELOPMENT: 'Development' },
  safetyLevel: 'Safety level',
  levels: { ASIL_D: 'ASIL-D', ASIL_B: 'ASIL-B', SAFETY_RELEVANT: 'Safety-relevant', NON_CRITICAL: 'Non-critical' },
  type: 'Type',
  types: { BOOLEAN: 'Boolean', STRING: 'Text', NUMBER: 'Number', JSON: 'JSON' },
  order: 'Order',
  orders: { updated: 'Last changed', created: 'Newest', key: 'Key', name: 'Name' },
  changed: 'Last changed',
  vehicles: 'Vehicles',

  enableFlag: 'Switch on',
  enableFlagLead: 'The rules decide which vehicles get the feature, from now on.',
  disableFlag: 'Switch off',
  disableFlagLead: 'All vehicles get the default value, whatever the rules say.',
  needsSecondPerson: 'This flag is ASIL-D: the change waits until a second person approves it.',
  killedTitle: 'The kill switch is pulled.',
  killedLead: (value: string) => `All vehicles get the default value ${value}, whatever the rules say.`,
  draftLead: 'This flag is a draft: it waits for its first approval, and no vehicle has it.',
  archivedLead: 'This flag is archived, and no vehicle has it. Archived:',
  changesOfFlagWait: (count: number) =>
    count === 1
      ? 'A change of this flag waits for approval.'
      : `${number.format(count)} changes of this flag wait for approval.`,
  toWaitingChanges: 'Waiting changes',
  lastChange: 'The last change in the fleet',
  noVehicles: 'No vehicle belongs to this environment yet.',
  vehiclesHaveIt: (applied: string, total: string, percent: string) =>
    `${applied} of ${total} vehicles have it (${percent}).`,
  vehiclesMissing: (count: number, text: string) =>
    `${text} ${count === 1 ? 'does' : 'do'} not have it yet; those that are offline get it when they connect.`,
  rolloutStatus: {
    WAITING_FOR_APPROVAL: 'Rollout waits for approval',
    RUNNING: 'Rollout runs',
    PAUSED: 'Rollout is paused',
    COMPLETED: 'Rollout is complete',
    CANCELLED: 'Rollout was cancelled',
    PULLED_BACK: 'Rollout was pulled back by its guard',
  },
  releaseRuns: 'Release runs',
  releaseHolds: 'Release holds',
  formDuringRelease:
    'A release of this flag is under way, and what you see is its new content. A further change takes its place, and begins at the first stage.',
  waitInVehicles: (count: number, text: string) =>
    `In ${text} ${vehicles(count)} it is stored, and waits until the vehicle may change over.`,
  nextStep: 'Next step',
  history: 'History',
  noHistory: 'Nothing has happened yet.',
  pagesOfHistory: 'Pages of the history',
  theSystem: 'the control plane',
};
