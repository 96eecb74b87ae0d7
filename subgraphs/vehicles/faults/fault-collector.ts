/**
 * Collects reports of faults. A fault of the whole fleet arrives within seconds; it waits in a queue that is bounded by
 * faults, and what does not fit is sent again. With the longest messages, those that are held take some 30 MB.
 */
import {
  REPORT_LIMITS,
  ReportCollector,
  type ReportLimits,
  type WriteReports,
} from '../heartbeats/report-collector.ts';
import { mergeFaultReports, type FaultReport } from './fault.ts';

/** Batches reports of faults; its limits count faults. */
export class FaultCollector extends ReportCollector<FaultReport> {
  constructor(write: WriteReports<FaultReport>, limits: ReportLimits = REPORT_LIMITS) {
    super({
      ...{ write, limits, sizeOf: ({ faults }: FaultReport) => faults.length, merge: mergeFaultReports },
      plural: 'faults',
      notStored: 'The faults were not stored; a retry is safe.',
    });
  }
}
