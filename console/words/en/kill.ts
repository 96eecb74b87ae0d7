/** The texts of the kill switch. */
import { vehicles } from './counts.ts';

export const kill = {
  kill: 'Pull a kill switch',
  killShort: 'Kill switch',
  killNow: 'Pull the kill switch now',
  killChooseLead: 'Choose the feature to stop. Nothing happens yet.',
  killMoreFlags: 'There are more: type a part of the key or the name.',
  chooseFlag: 'Choose a flag',
  killEffect: 'What it does',
  killReaches: (count: number, text: string, environment: string) =>
    `${text} ${vehicles(count)} of ${environment} ${count === 1 ? 'has' : 'have'} connected so far, and ${count === 1 ? 'gets' : 'get'} the default value at once, whatever the rules say:`,
  stableDefault: 'the one from before the release that is under way.',
  killWhenParked:
    'This kill switch acts in a vehicle once it is parked, as the flag says. Until then the vehicle keeps what it has.',
  killedLeadStable: 'All vehicles get the default value from before the release, whatever the rules say.',
  beginsAnotherRelease:
    'This begins another release, with the new content. To go back to what was before, halt the release under way first.',
  killOffline:
    'Vehicles that are offline, or have never connected, get it as soon as they connect. No approval is needed, whatever the safety level.',
  killNoRules: 'The flag has no active rules: all vehicles have the default value already.',
  killDisabledFlag: 'The flag is switched off: all vehicles have the default value already.',
  killNoVehicle: 'No vehicle has this flag; there is nothing to stop.',
  killedAlready: 'There is nothing more to stop.',
  mayNotKill: 'Your role may not pull or release kill switches. An editor, a safety reviewer or an administrator may.',
  reason: 'Reason',
  killReasonHint: 'What has happened, with the incident’s number. It stays in the audit log.',
  reasonMissing: 'Say why: the audit log needs a reason.',
  typeKey: 'Type the flag’s key',
  typeKeyHint: 'To be sure that it is the right one:',
  keyDiffers: 'This is not the key of the flag.',
  onItsWay: 'On its way to the fleet',
  ofTheFleet: 'of the vehicles have it',
  sinceChange: 'since the change',
  untilLast: 'until the last vehicle',
  missing: 'are missing',
  missingLead: 'Vehicles that are missing are offline or have not yet reported. Each gets it as soon as it connects.',
  allHaveIt: (count: number, text: string) =>
    count === 0
      ? 'No vehicle belongs to this environment.'
      : count === 1
        ? 'The only vehicle has it.'
        : `All ${text} vehicles have it.`,
  releaseKillSwitch: 'Release the kill switch',
  releaseReasonHint: 'Why the feature is safe again. It stays in the audit log.',
  releaseEffect: 'What vehicles get once it is released',
  releaseDisabledFlag: 'The flag is switched off, so releasing changes no value:',
  releaseWaits: 'Until a second person approves the release, the flag stays at its default value.',
  waitsTitle: 'It waits for approval.',
  notKilled: 'No kill switch holds this flag.',
  killReleasedSince: 'If it was pulled, it has been released since.',
};
