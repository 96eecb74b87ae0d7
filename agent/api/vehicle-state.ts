/** Answers `PUT /v1/vehicle-state`, by which a program in any language reports the state of the vehicle. */
import type { LocalAnswer } from './ofrep.ts';
import { answerApplied } from './report-answer.ts';

/** The part of the agent that the endpoint needs. */
export interface VehicleStateTaker {
  /** Takes a report. Rejects with a FleetFlagError where a member is invalid, or the agent is closed. */
  setVehicleState(state: object): Promise<void>;
}

/**
 * Answers a request with the body `{"ignition": "on" | "off", "moving": boolean, "validForSeconds"?: number}`, as
 * `answerApplied` does: the report is then on disk, and the flags have changed over.
 */
export function putVehicleState(taker: VehicleStateTaker, body: string): Promise<LocalAnswer> {
  return answerApplied(body, (members) => taker.setVehicleState(members));
}
