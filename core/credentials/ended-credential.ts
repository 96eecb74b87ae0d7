import { is, type Guard } from '../json/shape.ts';

/**
 * A revoked credential, as the audit subgraph reports it to gateways in the order of the audit log
 * (`Subscription.endedCredentials`). At most one member beside `position` is not null. Where all are null, the event
 * only says how far the log has been read.
 */
export interface EndedCredential {
  /** The position in the audit log, after which a gateway resumes the stream. */
  readonly position: number;
  /** The user whose sessions have all ended. */
  readonly userId: string | null;
  /** The session that has ended, by the key under which it is stored (core/credentials/session.ts). */
  readonly sessionKey: string | null;
  readonly apiKeyId: string | null;
  /** The vehicle whose tokens have all ended. */
  readonly vin: string | null;
}

/** Says whether a value, such as an event of another process, is a revoked credential. */
export const isEndedCredential = is.shape({
  position: is.number,
  userId: is.nullable(is.string),
  sessionKey: is.nullable(is.string),
  apiKeyId: is.nullable(is.string),
  vin: is.nullable(is.string),
}) satisfies Guard<EndedCredential>;
