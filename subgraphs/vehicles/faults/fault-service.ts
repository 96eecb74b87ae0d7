/** The use cases of faults: a vehicle reports its own, and people see them by flag and by vehicle. */
import { FleetFlagError } from '../../../core/errors.ts';
import type { CallerIdentity } from '../../../core/access/caller.ts';
import type { FaultReportInput } from '../generated/resolvers.ts';
import { readFaultReport } from './fault.ts';
import type { FaultCollector } from './fault-collector.ts';
import { ReportRate } from './report-rate.ts';

/** Accepts vehicles' reports of faults. */
export class FaultService {
  readonly #rate = new ReportRate();

  constructor(private readonly collector: Pick<FaultCollector, 'add'>) {}

  /**
   * Stores faults of the calling vehicle. Resolves to true when they are stored, and to false when the vehicle is not
   * registered.
   *
   * @throws FORBIDDEN when the caller is not a vehicle, RATE_LIMITED, BAD_USER_INPUT, LIMIT_EXCEEDED, or
   * SERVICE_UNAVAILABLE with `retryAfter`
   */
  async report({ caller }: CallerIdentity, input: FaultReportInput): Promise<boolean> {
    if (caller.kind !== 'vehicle' || caller.vin === null)
      throw new FleetFlagError('FORBIDDEN', 'Only a vehicle may report faults, and only its own.');
    this.#rate.count(caller.vin);
    return this.collector.add(readFaultReport(caller.vin, caller.environment, input, Date.now()));
  }
}
