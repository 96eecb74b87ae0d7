/**
 * What a client, a burst or a failing part may cost at most. All times are milliseconds, all sizes bytes.
 */
export interface SubscriptionLimits {
  /** The largest message that a client may send; a larger one closes its socket with 1009. */
  readonly maxPayload: number;
  /** From the upgrade to connection_init; past it the socket is closed with 4408. */
  readonly connectionInitTimeout: number;
  readonly maxSocketsPerAddress: number;
  /**
   * Messages (and ping and pong frames) that a client may send in a second on average, and at once; past it its socket
   * is closed with 1013. A vehicle sends one in ten seconds, and a handful when it connects.
   */
  readonly messagesPerSecond: number;
  readonly messageBurst: number;
  /** Operations open at once on one socket; one more is refused with LIMIT_EXCEEDED. */
  readonly maxOperationsPerSocket: number;
  /** Mutations of vehicles that wait for their turn; one more is refused with SERVICE_UNAVAILABLE and `retryAfter`. */
  readonly maxWaitingReports: number;
  /** Of an operation's id as it stands in a message; each distinct length costs one copy of the frame. */
  readonly maxIdBytes: number;
  /**
   * What may wait in this process for one socket before it is dropped, beside the answer to one query of its own
   * (the kernel hides about 4 MB more).
   */
  readonly bufferedBytes: number;
  readonly pingInterval: number;
  /** From a ping to the pong; past it the socket is terminated. A large answer before the ping gives it longer. */
  readonly pongDeadline: number;
  /** From our close frame to the client's; past it the socket is terminated. */
  readonly closeTimeout: number;
  /** How long a result waits for others to travel in the same write. */
  readonly flushWindow: number;
  /** Results that together exceed this travel in several writes. */
  readonly batchBytes: number;
  /** Sockets written to before other work of the process gets its turn. */
  readonly socketsPerTurn: number;
  /** Events of one distinct operation that may wait for execution; past it its clients must resync. */
  readonly maxQueuedEvents: number;
  /** Of one subgraph request made for an event. */
  readonly executionTimeout: number;
  /** From opening an upstream to its being established; past it it counts as lost. */
  readonly establishmentTimeout: number;
  /** How long an upstream that cannot tell when it is established counts as not yet so. */
  readonly establishmentGrace: number;
  /** The longest time over which the sockets of a lost upstream are closed (a millisecond for each, up to this). */
  readonly lossSpread: number;
}

export const DEFAULT_LIMITS: SubscriptionLimits = {
  maxPayload: 256 * 1024,
  connectionInitTimeout: 3_000,
  maxSocketsPerAddress: 20_000,
  messagesPerSecond: 50,
  messageBurst: 200,
  maxOperationsPerSocket: 32,
  maxWaitingReports: 1_000,
  maxIdBytes: 256,
  bufferedBytes: 1024 * 1024,
  pingInterval: 25_000,
  pongDeadline: 20_000,
  closeTimeout: 5_000,
  flushWindow: 4,
  batchBytes: 256 * 1024,
  socketsPerTurn: 1_000,
  maxQueuedEvents: 1_000,
  executionTimeout: 10_000,
  establishmentTimeout: 10_000,
  establishmentGrace: 250,
  lossSpread: 2_000,
};
