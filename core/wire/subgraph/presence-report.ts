/** Reports of gateways to the vehicles subgraph (docs/decisions/streams/presence.md). */

/** The gateway and the number of a report. */
export interface ReportNumber {
  /** A UUID, which is a new one after each start of the gateway process. */
  readonly gateway: string;
  /** The report's number, 1 or more; it rises with each report. */
  readonly sequence: number;
  /** The number of the last report that the gateway knows to be stored; 0 for none. */
  readonly since: number;
}

/** A gateway's report about its sockets. */
export interface PresenceReport extends ReportNumber {
  /**
   * The VINs that have opened a socket at the gateway (`opened`), and those whose last socket there has closed
   * (`closed`). Other VINs are as in the report before.
   */
  readonly opened: readonly string[];
  readonly closed: readonly string[];
  /** Whether the gateway stops and has closed all its sockets. */
  readonly leaving: boolean;
}
