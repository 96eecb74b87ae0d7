/**
 * Collects heartbeats. The queue is bounded by the number of vehicles: each has at most one waiting heartbeat, into
 * which later ones are merged.
 */
import { mergeHeartbeats, type Heartbeat } from './heartbeat.ts';
import { REPORT_LIMITS, ReportCollector, type ReportLimits, type WriteReports } from './report-collector.ts';

/** Batches heartbeats; its limits count vehicles. */
export class HeartbeatCollector extends ReportCollector<Heartbeat> {
  constructor(write: WriteReports<Heartbeat>, limits: ReportLimits = REPORT_LIMITS) {
    super({
      ...{ write, limits, sizeOf: () => 1, merge: mergeHeartbeats },
      plural: 'heartbeats',
      notStored: 'The heartbeat was not stored; a retry is safe.',
    });
  }
}
