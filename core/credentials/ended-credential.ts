/**
 * What the audit subgraph tells gateways, in the order of the trail (`Subscription.endedCredentials`): a credential
 * that has ended. At most one of the four that are not the position is given; none: only how far the trail has been
 * read.
 */
export interface EndedCredential {
  /** In the trail; what to go on after. */
  readonly position: number;
  /** All sessions of this user. */
  readonly userId: string | null;
  /** One session, by the key under which it is kept (core/credentials/session.ts). */
  readonly sessionKey: string | null;
  readonly apiKeyId: string | null;
  /** The tokens of this vehicle. */
  readonly vin: string | null;
}
