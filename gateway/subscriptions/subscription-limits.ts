/**
 * The limits of what a client, a burst or a failing part may cost. All times are in milliseconds and all sizes in
 * bytes.
 */
export interface SubscriptionLimits {
  /** The largest message that a client may send; a larger one closes its socket with 1009. */
  readonly maxPayload: number;
  /** The time from the upgrade to connection_init, after which the socket is closed with 4408. */
  readonly connectionInitTimeoutMs: number;
  readonly maxSocketsPerAddress: number;
  /**
   * The messages (and ping and pong frames) that a client may send in a second on average. `messageBurst` is the number
   * that it may send at once. Beyond either, its socket is closed with 1013. A vehicle sends one message in ten
   * seconds, and a handful when it connects.
   */
  readonly messagesPerSecond: number;
  readonly messageBurst: number;
  /** The operations that may be open on one socket; one more is refused with LIMIT_EXCEEDED. */
  readonly maxOperationsPerSocket: number;
  /** The mutations of vehicles that may wait; one more is refused with SERVICE_UNAVAILABLE and `retryAfter`. */
  readonly maxWaitingReports: number;
  /** The size of an operation's id in a message. Each distinct length costs one copy of the frame. */
  readonly maxIdBytes: number;
  /**
   * The data that may wait in this process for one socket, beside the answer to one query of its own. (About 4 MB more
   * wait in the kernel.) Beyond it a client that can notice what it missed skips to the newest event, and any other is
   * dropped.
   */
  readonly bufferedBytes: number;
  /**
   * The time for which a socket may be silent before it is pinged. It is less than the minute after which proxies
   * commonly close a silent connection. A client that speaks by itself, as agents do, is never pinged.
   */
  readonly pingIntervalMs: number;
  /** The timeout of a pong, after which the socket is terminated. It is longer after a large answer. */
  readonly pongDeadlineMs: number;
  /** The time from the gateway's close frame to the client's, after which the socket is terminated. */
  readonly closeTimeoutMs: number;
  /** The time for which a result waits for others to join the same write. */
  readonly flushWindowMs: number;
  /** The size of the results of one write; larger batches are sent in several writes. */
  readonly batchBytes: number;
  /** The events of one distinct operation that may wait for execution; beyond it, its clients have to resync. */
  readonly maxQueuedEvents: number;
  /** The timeout of one subgraph request for an event. */
  readonly executionTimeoutMs: number;
  /** The time that an upstream may take to be established, after which it counts as lost. */
  readonly establishmentTimeoutMs: number;
  /** The time after which an upstream counts as established if it cannot report that itself. */
  readonly establishmentGraceMs: number;
  /** The longest time over which the sockets of a lost upstream are closed: a millisecond for each, up to this. */
  readonly lossSpreadMs: number;
}

/** The limits of a gateway; tests use smaller ones. */
export const DEFAULT_LIMITS: SubscriptionLimits = {
  maxPayload: 256 * 1024,
  connectionInitTimeoutMs: 3_000,
  maxSocketsPerAddress: 20_000,
  messagesPerSecond: 50,
  messageBurst: 200,
  maxOperationsPerSocket: 32,
  maxWaitingReports: 1_000,
  maxIdBytes: 256,
  bufferedBytes: 1024 * 1024,
  pingIntervalMs: 45_000,
  pongDeadlineMs: 20_000,
  closeTimeoutMs: 5_000,
  flushWindowMs: 4,
  batchBytes: 256 * 1024,
  maxQueuedEvents: 1_000,
  executionTimeoutMs: 10_000,
  establishmentTimeoutMs: 10_000,
  establishmentGraceMs: 250,
  lossSpreadMs: 2_000,
};
