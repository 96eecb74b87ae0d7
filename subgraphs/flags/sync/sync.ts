/**
 * Syncs: a vehicle gets the smallest set of signed definitions and tombstones that brings it from its revision up to
 * date.
 */
import { badInput } from '../../../core/errors.ts';
import type { Environment } from '../../../core/model.ts';
import type { Caller } from '../../../core/access/caller.ts';
import { isNonce } from '../../../core/wire/proof.ts';
import type { AnswerNotes } from '../../shared/subgraph/subgraph.ts';
import { NonceAdmission } from './nonce-admission.ts';
import type { PositionSignatures } from '../signing/position-signatures.ts';
import type { Changes, EnvironmentSnapshots } from './snapshots.ts';
import type { Delta } from './sync-store.ts';

/** The answer to a sync. */
export interface FlagSync {
  readonly environment: Environment;
  readonly revision: number;
  /** Whether `flags` is everything and replaces what the vehicle has. */
  readonly full: boolean;
  readonly flags: readonly Delta[];
  /**
   * The statement, issued at the time when the database last confirmed `revision`; while the database is down, that
   * time lies in the past. For agents older than the proof.
   */
  readonly statement: string;
  /**
   * The proof of the environment's content at `revision`, issued at the same time; with the vehicle's nonce where it
   * sent one.
   */
  readonly proof: string;
}

/** Throws BAD_USER_INPUT when `nonce` does not have the form that vehicles use. */
export function checkNonce(nonce: string): void {
  if (!isNonce(nonce))
    throw badInput('nonce', 'A nonce must be 16 random bytes in base64url: 22 letters, digits, "-" and "_".');
}

/** The use cases of vehicles that sync. */
export class SyncService {
  constructor(
    private readonly snapshots: EnvironmentSnapshots,
    private readonly signatures: PositionSignatures,
    private readonly nonces: NonceAdmission = new NonceAdmission(),
  ) {}

  /**
   * Gives the changes after `since`.
   *
   * @param since the revision that the vehicle has stored; 0 for none. A vehicle above the environment's own revision
   * (from before a restore) gets everything, with the lower revision, so that it notices and refuses.
   * @param notes told when the answer is as last read
   * @throws BAD_USER_INPUT below 0; SERVICE_UNAVAILABLE when neither the database nor a snapshot can answer
   */
  async sync(environment: Environment, since: number, notes?: AnswerNotes): Promise<FlagSync> {
    checkSince(since);
    const changes = await this.snapshots.since(environment, since, notes);
    return this.#answer(since, changes, await this.signatures.proof(changes));
  }

  /**
   * Gives the changes to a vehicle whose clock cannot tell a proof's age: by a read of the database that began after
   * this call, with a proof that contains `nonce`.
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

  /** Gives the current proof; when the database does not answer, that of its last answer. */
  async proof(environment: Environment, notes?: AnswerNotes): Promise<string> {
    return this.signatures.proof(await this.snapshots.standing(environment, notes));
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
  if (since < 0) throw badInput('since', 'since must be a revision: 0 or more.');
}
