/**
 * What this instance signs of where an environment stands: each statement and each proof once for all who are told the
 * same within a second, and a proof for one vehicle that asks with a nonce of its own.
 */
import { LRUCache } from 'lru-cache';
import type { Environment } from '../../../core/model.ts';
import type { Signer } from './signing.ts';

/** Statements and proofs that are kept: those of the last looks, for each environment. */
const MAX_KEPT = 100;

/** Where an environment stands, and since when that is known. */
export interface Standing {
  readonly environment: Environment;
  readonly revision: number;
  /** The digest of what lives there at `revision` (core/wire/proof.ts). */
  readonly set: string;
  /** Unix seconds at which the database said so. */
  readonly verifiedAt: number;
}

export class PositionSignatures {
  readonly #kept = new LRUCache<string, Promise<string>>({ max: MAX_KEPT });

  constructor(private readonly signer: Signer) {}

  /** The statement that `environment` stood at `revision` at `issuedAt` (Unix seconds). */
  statement(environment: Environment, revision: number, issuedAt: number): Promise<string> {
    return this.#once(`statement:${environment}:${revision}:${issuedAt}`, () =>
      this.signer.statement(environment, revision, issuedAt),
    );
  }

  /** The proof of what `standing` says. */
  proof({ environment, revision, set, verifiedAt: issuedAt }: Standing): Promise<string> {
    // By the set, too: a restored database comes to the same revision with other content.
    return this.#once(`proof:${environment}:${revision}:${issuedAt}:${set}`, () =>
      this.signer.proof({ environment, revision, issuedAt, set }),
    );
  }

  /** The same for one vehicle alone: signed each time. */
  proofFor(nonce: string, { environment, revision, set, verifiedAt: issuedAt }: Standing): Promise<string> {
    return this.signer.proof({ environment, revision, issuedAt, set, nonce });
  }

  #once(id: string, sign: () => Promise<string>): Promise<string> {
    let signed = this.#kept.get(id);
    if (signed === undefined) this.#kept.set(id, (signed = sign()));
    return signed;
  }
}
