/**
 * This instance's signatures of environments' positions. Each statement and proof is signed once for all callers of the
 * same second; a vehicle that sends a nonce gets a proof of its own.
 */
import { LRUCache } from 'lru-cache';
import type { Environment } from '../../../core/model.ts';
import type { Signer } from './signing.ts';

/** The most statements and proofs kept: those of the last reads of each environment. */
const MAX_KEPT = 100;

/** An environment's position, and the time when the database confirmed it. */
export interface Standing {
  readonly environment: Environment;
  readonly revision: number;
  /** The digest of its living flags at `revision` (core/wire/proof.ts). */
  readonly set: string;
  /** Unix seconds of the database's confirmation. */
  readonly verifiedAt: number;
}

/** Signs statements and proofs, and caches those that many callers share. */
export class PositionSignatures {
  readonly #kept = new LRUCache<string, Promise<string>>({ max: MAX_KEPT });

  constructor(private readonly signer: Signer) {}

  /** Gives the statement that `environment` had `revision` at `issuedAt` (Unix seconds). */
  statement(environment: Environment, revision: number, issuedAt: number): Promise<string> {
    return this.#once(`statement:${environment}:${revision}:${issuedAt}`, () =>
      this.signer.statement(environment, revision, issuedAt),
    );
  }

  /** Gives the proof of a standing. */
  proof({ environment, revision, set, verifiedAt: issuedAt }: Standing): Promise<string> {
    // The cache key contains the set, too: a restored database reaches the same revision with other content.
    return this.#once(`proof:${environment}:${revision}:${issuedAt}:${set}`, () =>
      this.signer.proof({ environment, revision, issuedAt, set }),
    );
  }

  /** Gives a proof for one vehicle, with its nonce; signed on each call. */
  proofFor(nonce: string, { environment, revision, set, verifiedAt: issuedAt }: Standing): Promise<string> {
    return this.signer.proof({ environment, revision, issuedAt, set, nonce });
  }

  #once(id: string, sign: () => Promise<string>): Promise<string> {
    let signed = this.#kept.get(id);
    if (signed === undefined) this.#kept.set(id, (signed = sign()));
    return signed;
  }
}
