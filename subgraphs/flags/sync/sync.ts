/** What a vehicle asks for to be up to date: the smallest set of signed definitions since the revision that it has. */
import { badInput } from '../../../core/errors.ts';
import type { Environment } from '../../../core/model.ts';
import type { Caller } from '../../../core/access/caller.ts';
import { isNonce } from '../../../core/wire/proof.ts';
import { NonceAdmission } from './nonce-admission.ts';
import type { PositionSignatures } from '../signing/position-signatures.ts';
import type { Changes, EnvironmentSnapshots } from './snapshots.ts';
import type { Delta } from './sync-store.ts';

export interface FlagSync {
  readonly environment: Environment;
  readonly revision: number;
  /** Whether `flags` is everything and replaces what the vehicle has. */
  readonly full: boolean;
  readonly flags: readonly Delta[];
  /**
   * Issued when the database last said that `revision` is the environment's: while it is away, that is in the past. For
   * agents from before the proof.
   */
  readonly statement: string;
  /**
   * What the environment consists of at `revision`, issued at the same time; with the vehicle's nonce where it gave
   * one.
   */
  readonly proof: string;
}

/** Throws BAD_USER_INPUT where `nonce` has another form than a vehicle's. */
export function checkNonce(nonce: string): void {
  if (!isNonce(nonce))
    throw badInput('nonce', 'A nonce is 16 random bytes in base64url: 22 letters, digits, "-" and "_".');
}

export class SyncService {
  constructor(
    private readonly snapshots: EnvironmentSnapshots,
    private readonly signatures: PositionSignatures,
    private readonly nonces: NonceAdmission = new NonceAdmission(),
  ) {}

  /**
   * @param since the revision that the vehicle has stored; 0 for none. One above the environment's own (a vehicle of
   * before a restore) gets everything, with the lower revision: the vehicle is to see it and refuse.
   * @throws BAD_USER_INPUT below 0; SERVICE_UNAVAILABLE where neither the database nor a snapshot can say
   */
  async sync(environment: Environment, since: number): Promise<FlagSync> {
    checkSince(since);
    const changes = await this.snapshots.since(environment, since);
    return this.#answer(since, changes, await this.signatures.proof(changes));
  }

  /**
   * The same for a vehicle that cannot tell by its clock how old a proof is: from a look at the database that began
   * after this call, with a proof that holds `nonce`.
   *
   * @throws BAD_USER_INPUT; RATE_LIMITED or SERVICE_UNAVAILABLE with `retryAfter`
   */
  async syncFor(caller: Caller, nonce: string, environment: Environment, since: number): Promise<FlagSync> {
    checkSince(since);
    checkNonce(nonce);
    this.nonces.admit(caller);
    const changes = await this.snapshots.freshSince(environment, since);
    return this.#answer(since, changes, await this.signatures.proofFor(nonce, changes));
  }

  /** The proof of now: where the database does not answer, of when it last did. */
  async proof(environment: Environment): Promise<string> {
    return this.signatures.proof(await this.snapshots.standing(environment));
  }

  async #answer(
    since: number,
    { environment, revision, deltas, verifiedAt }: Changes,
    proof: string,
  ): Promise<FlagSync> {
    const statement = await this.signatures.statement(environment, revision, verifiedAt);
    return { environment, revision, full: since === 0 || since > revision, flags: deltas, statement, proof };
  }
}

function checkSince(since: number): void {
  if (since < 0) throw badInput('since', 'since is a revision: 0 or more.');
}
