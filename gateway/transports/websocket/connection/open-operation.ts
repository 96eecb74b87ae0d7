/** An operation that a client has open. */
export abstract class OpenOperation {
  /** The next of the connection's. A list of a few costs less than a map of one. */
  next: OpenOperation | null = null;

  constructor(readonly id: string) {}

  /** Releases what the operation holds, because its client has ended it. Nothing further is sent. */
  abstract end(): void;
}
