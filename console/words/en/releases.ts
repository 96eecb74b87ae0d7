/** The texts of the releases of a flag. */
import { vehicles } from './counts.ts';

export const releases = {
  release: {
    title: 'Release under way',
    lead: 'What you see on this page is the new content. The vehicles that the release has not reached keep the stable one.',
    status: 'Release',
    statuses: {
      RUNNING: 'Runs',
      HOLDING: 'Holds',
      COMPLETED: 'Completed',
      HALTED: 'Halted',
      SUPERSEDED: 'Superseded',
    },
    running: 'Its next stage begins by itself when the soak of this one is over.',
    runningLast: 'It is complete when the soak of this stage is over.',
    holds: (reason: string) => `It holds: ${reason}`,
    share: 'Vehicles with the new content',
    canaryAlone: 'the canary group alone',
    startedBy: 'Change by',
    startedAt: 'Began',
    stageSince: 'In this stage since',
    stages: 'Stages of the release',
    stage: 'Stage',
    soak: 'Watched for',
    reports: 'Must report before the next stage',
    noReports: 'none',
    vehiclesCounted: (count: number, text: string) => `${text} ${vehicles(count)}`,
    place: 'Where it is',
    places: { passed: 'passed', present: 'now', ahead: 'to come' },

    difference: 'Stable and new content',
    differenceLead:
      'Vehicles with the new content have what stands under “After”, all others what stands under “Before”.',

    figures: 'Faulty vehicles with the new content and of the others',
    figuresLead: (most: string, points: string) =>
      `The release is halted when more than ${most} of the vehicles with the new content are faulty, and their share is more than ${points} percentage points above that of the others.`,
    side: 'Who has what',
    ring: 'With the new content',
    rest: 'With the stable content',
    counted: 'Vehicles that have the change',
    faultyCounted: 'Faulty since it began',
    faultyShare: 'Share',
    noShare: 'none',
    guards: 'Guards',
    guardActions: { HALT: 'halts the release', HOLD: 'holds the release' },
    guardReason: (reason: string) => `Added to this release: “${reason}”`,
    addGuards: 'Guard the release',
    addGuardsLead:
      'Guards of this change alone, beside those that it has. They count what was measured since the present stage began, and nobody can take them from it.',
    guardMeans: (ring: string, ringAll: string, rest: string, restAll: string) =>
      `${ring} in ${ringAll} vehicles with the new content, ${rest} in ${restAll} others`,

    faults: 'Faults that vehicles have reported',
    faultsLead: 'In the last 30 days, of all vehicles, whichever content they have.',
    noFaults: 'No vehicle has reported a fault of this flag in the last 30 days.',
    fault: 'Fault',
    faultyVehicles: 'Vehicles',
    newestFault: 'Newest report',
    faultKinds: {
      NOT_SERVABLE: 'The agent cannot evaluate the definition',
      OUTSIDE_CONTRACT: 'A value is outside the value contract',
      EVALUATION_ERROR: 'A program has asked for another type',
      RESTARTS: 'The agent has started again and again',
      REPORTED_BY_PROGRAM: 'A program reports it',
      RETURNED: 'The vehicle has gone back to its last known good',
    },

    halt: 'Halt the release',
    haltLead: 'Everybody gets the stable content back, by a new revision. No second person is needed.',
    haltSwitches: 'A release that has switched the flag on is halted by switching it off; its rules stay as they are.',
    haltWaits: 'Vehicles in which the flag changes over later get it then, and not in the middle of a drive.',
    promote: 'Promote the release',
    promoteLead:
      'Move it on at once, without waiting for the soak or for reports of vehicles. The soak begins again there.',
    percentage: 'Percentage',
    percentageHint: (least: string) => `Above ${least}, up to 100.`,
    killedHolds: 'The kill switch is pulled, so the release holds. Release the switch first.',
    disabledHolds: 'The flag is switched off, so the release holds. Switch it on first.',
    isEverywhere: 'All vehicles have the new content already.',
    hasEnded: 'The release has ended. It is the first of the earlier releases below.',
    isAnother: 'Another change has taken the place of this release meanwhile.',
    hasMoved: (share: string) => `The release has moved on meanwhile, to ${share}.`,
    goOn: 'Go on with the present one',

    ended: 'Earlier releases',
    endedAt: 'Ended',
    reached: 'Reached',
    because: (reason: string) => `Reason: ${reason}`,
    content: 'Its content',
    pages: 'Pages of earlier releases',
    reasons: {
      killed: 'the kill switch is pulled.',
      disabled: 'the flag is switched off.',
      silent: (reported: string, needed: string) => `${reported} of ${needed} vehicles report the new content.`,
      unevaluated: (evaluated: string, needed: string) =>
        `${evaluated} of ${needed} vehicles have evaluated the new content.`,
      faulty: 'too many vehicles report faults.',
      unseen: 'the control plane was away, and vehicles have a minute to report what they saw meanwhile.',
      pastLimit: (ring: string, ringAll: string, rest: string, restAll: string) =>
        `vehicles report faults: ${ring} of ${ringAll} with the new content, ${rest} of ${restAll} others.`,
      guardCompared: (metric: string, ring: string, ringAll: string, rest: string, restAll: string, limit: string) =>
        `the guard of ${metric} is crossed: ${ring} in ${ringAll} vehicles with the new content, ${rest} in ${restAll} others; the limit is ${limit}% worse.`,
      guardBound: (metric: string, ring: string, ringAll: string, bound: string) =>
        `the guard of ${metric} is crossed: ${ring} in ${ringAll} vehicles with the new content; the bound is ${bound}.`,
      guardUnwatched: (metric: string) => `the guard of ${metric} has no fresh verdict.`,
      guardUnmeasured: (metric: string) => `no vehicle with the new content measures ${metric}.`,
      guardUncounted: (metric: string, ring: string, rest: string, needed: string) =>
        `the guard of ${metric} counts ${ring} vehicles with the new content and ${rest} others, and needs ${needed}.`,
      archived: 'the flag was archived.',
      moved: (environment: string) => `the flag was moved to ${environment}.`,
      noPolicy: (environment: string) => `${environment} no longer has a release policy.`,
      switchedOn: 'the flag was switched on again.',
      takenBack: 'a change has brought the stable content back.',
      later: 'a later change has taken its place.',
    },
  },
};
