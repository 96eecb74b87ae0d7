/** Answers `POST /v1/fault`, by which a program in any language reports that something is wrong under a flag. */
import { badInput } from '../../core/errors.ts';
import type { FaultSeverity } from '../../core/wire/vehicle/fault.ts';
import { readFaultSeverity } from '../assembly/program-reports.ts';
import type { LocalAnswer } from './ofrep.ts';
import { answerReport } from './report-answer.ts';

/** The part of the agent that the endpoint needs. */
export interface FaultReporter {
  /** Reports a fault. Throws a FleetFlagError where an argument is invalid. */
  reportFault(flagKey: string, message: string, severity: FaultSeverity): void;
  /** Resolves when the faults that were reported so far are on disk. */
  faultsWritten(): Promise<void>;
}

/** Answers a request with the body `{"flagKey", "message", "severity"?}`, as `answerReport` does. */
export function reportFault(reporter: FaultReporter, body: string): LocalAnswer {
  return answerReport(body, ({ flagKey, message, severity = null }) => {
    if (typeof flagKey !== 'string') throw badInput('flagKey', 'A flag key must be a string.');
    if (typeof message !== 'string') throw badInput('message', 'A message must be a string.');
    reporter.reportFault(flagKey, message, readFaultSeverity(severity));
  });
}
