/**
 * This instance's signatures of environments' positions. Each statement and proof is signed once for all callers of the
 * same second; a vehicle that sends a nonce gets a proof of its own.
 */
import { boundedCache } from '../../../core/bounded-cache.ts';
import type { Environment } from '../../../core/model.ts';
import type { Signer } from './signing.ts';

/** The most statements and proofs kept: those of the last reads of each partition, in both forms. */
const MAX_KEPT = 1_000;

/** A partition's position, and the time when the database confirmed it. */
export interface VerifiedPosition {
  readonly environment: Environment;
  /** Null for the whole environment. */
  readonly partition: string | null;
  /** The environment's revision. */
  readonly revision: number;
  /** Gives the digest of the partition's living flags at `revision` (core/wire/vehicle/proof.ts). */
  readonly set: () => string;
  /** Unix seconds of the database's confirmation. */
  readonly verifiedAt: number;
}

/** The one vehicle for which a proof is signed. */
export interface ProofReceiver {
  readonly nonce: string;
  /** The VIN to which the proof assigns the partition; null where it assigns none. */
  readonly vin: string | null;
}

/** Signs statements and proofs, and caches those that many callers share. */
export class PositionSignatures {
  readonly #kept = boundedCache<string, Promise<string>>(MAX_KEPT);

  constructor(private readonly signer: Signer) {}

  /** Gives the statement that `environment` had `revision` at `issuedAt` (Unix seconds). */
  statement(environment: Environment, revision: number, issuedAt: number): Promise<string> {
    return this.#once(`statement:${environment}:${revision}:${issuedAt}`, () =>
      this.signer.statement(environment, revision, issuedAt),
    );
  }

  /**
   * Gives the proof of a position, which callers without a nonce share.
   *
   * @param partitioned whether it names the partition; older agents know no proof that does
   */
  proof(position: VerifiedPosition, partitioned = false): Promise<string> {
    const payload = payloadOf(position, partitioned);
    const { environment, partition, revision, issuedAt, set } = payload;
    // The cache key contains the set, too: a restored database reaches the same revision with other content.
    return this.#once(`proof:${environment}:${partition ?? ''}:${revision}:${issuedAt}:${set}`, () =>
      this.signer.proof(payload),
    );
  }

  /** Gives a proof for one vehicle, with its nonce; signed on each call. It assigns only a partition that it names. */
  proofFor({ nonce, vin }: ProofReceiver, position: VerifiedPosition, partitioned = false): Promise<string> {
    const payload = payloadOf(position, partitioned);
    return this.signer.proof({ ...payload, nonce, ...(payload.partition !== null && vin !== null && { vin }) });
  }

  #once(id: string, sign: () => Promise<string>): Promise<string> {
    let signed = this.#kept.get(id);
    if (signed === undefined) this.#kept.set(id, (signed = sign()));
    return signed;
  }
}

function payloadOf({ environment, partition, revision, set, verifiedAt }: VerifiedPosition, partitioned: boolean) {
  return { environment, partition: partitioned ? partition : null, revision, issuedAt: verifiedAt, set: set() };
}
