/** The checker: all laws over one recording. */
import { exchangesOf, type Finding, type Law, type Recording } from './history.ts';
import {
  acknowledgedChangesStay,
  changesAreMadeOnce,
  changesKeepTheirOrder,
  expectedRevisionsHold,
  revisionsAreWhole,
} from './laws/changes.ts';
import { measurementsCountOnce, presenceIsTrue, stepsAreAppliedOnce, twoPeopleDecide } from './laws/once.ts';
import { readsGoForward } from './laws/reads.ts';
import {
  calmReturns,
  nothingHonestIsRefused,
  nothingIsUnforeseen,
  vehiclesHoldWhatTheyReport,
} from './laws/vehicles.ts';

const LAWS: readonly Law[] = [
  acknowledgedChangesStay,
  changesAreMadeOnce,
  changesKeepTheirOrder,
  expectedRevisionsHold,
  revisionsAreWhole,
  readsGoForward,
  vehiclesHoldWhatTheyReport,
  nothingHonestIsRefused,
  nothingIsUnforeseen,
  calmReturns,
  measurementsCountOnce,
  twoPeopleDecide,
  stepsAreAppliedOnce,
  presenceIsTrue,
];

/** Gives every breach of a law in a recording. */
export function check(recording: Recording): Finding[] {
  const exchanges = exchangesOf(recording.entries);
  return LAWS.flatMap((law) => law(recording, exchanges));
}
