/**
 * Syncs: a vehicle gets the smallest set of signed definitions and tombstones that brings it from its revision up to
 * date.
 */
import { FleetFlagError, badInput } from '../../../core/errors.ts';
import type { Environment } from '../../../core/model.ts';
import type { Caller } from '../../../core/access/caller.ts';
import { OTHER_MODELS } from '../../../core/partitions/partition.ts';
import { isNonce } from '../../../core/wire/vehicle/proof.ts';
import type { AnswerNotes } from '../../shared/subgraph/subgraph.ts';
import { NonceAdmission } from './nonce-admission.ts';
import type { PositionSignatures, ProofReceiver } from '../signing/position-signatures.ts';
import { notFresh, type Changes, type EnvironmentSnapshots } from './snapshots/snapshots.ts';
import type { Delta } from './sync-store.ts';

/** The answer to a sync. */
export interface FlagSync {
  readonly environment: Environment;
  readonly revision: number;
  /** Whether `flags` is everything and replaces what the vehicle has. */
  readonly full: boolean;
  readonly flags: readonly Delta[];
  /**
   * Signs the statement, issued at the time when the database last confirmed `revision`; while the database is down,
   * that time lies in the past. For agents older than the proof.
   */
  statement(): Promise<string>;
  /**
   * Signs the proof of the receiver's flags at `revision`, issued at the same time; with the vehicle's nonce where it
   * sent one.
   *
   * @param partitioned whether the proof names the partition
   */
  proof(partitioned?: boolean): Promise<string>;
}

/** Gives the partition of a vehicle, registered in `environment`; null for one that is not known. */
export type FindPartition = (environment: Environment, vin: string) => Promise<string | null>;

/** Gives the partition that a caller gets; null for callers that are no vehicles, who get the whole environment. */
export function partitionFor(caller: Caller): string | null {
  return caller.kind === 'vehicle' ? (caller.partition ?? OTHER_MODELS) : null;
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
    private readonly findPartition: FindPartition = async () => null,
    private readonly nonces: NonceAdmission = new NonceAdmission(),
  ) {}

  /**
   * Gives the changes of a partition after `since`.
   *
   * @param partition null for the whole environment
   * @param since the revision that the vehicle has stored; 0 for none. A vehicle above the environment's own revision
   * (after the database was restored) gets everything, with the lower revision, so that it notices and refuses.
   * @param notes receives whether the answer is as last read
   * @throws BAD_USER_INPUT below 0; SERVICE_UNAVAILABLE when neither the database nor a snapshot can answer
   */
  async sync(
    environment: Environment,
    partition: string | null,
    since: number,
    notes?: AnswerNotes,
  ): Promise<FlagSync> {
    checkSince(since);
    return this.#answer(await this.snapshots.since(environment, partition, since, notes), null);
  }

  /**
   * Gives the changes to a vehicle that needs an answer to itself: by a read of the database that began after this
   * call, with a proof that contains `nonce`. A vehicle gets the partition that its registered model has then, whatever
   * the gateway took it for; the proof in the form that names the partition assigns it to the vehicle.
   *
   * @throws BAD_USER_INPUT; RATE_LIMITED or SERVICE_UNAVAILABLE with `retryAfter`
   */
  async syncFor(caller: Caller, nonce: string, environment: Environment, since: number): Promise<FlagSync> {
    checkSince(since);
    checkNonce(nonce);
    this.nonces.admit(caller);
    await this.snapshots.renew(environment);
    const { partition, vin } = await this.#receiver(caller, environment);
    return this.#answer(await this.snapshots.known(environment, partition, since), { nonce, vin });
  }

  /** Gives the current proof of a partition; when the database does not answer, that of its last answer. */
  async proof(
    environment: Environment,
    partition: string | null,
    partitioned: boolean,
    notes?: AnswerNotes,
  ): Promise<string> {
    return this.signatures.proof(await this.snapshots.standing(environment, partition, notes), partitioned);
  }

  /**
   * Looks the vehicle up after the snapshot was read: a model that was named in between finds its partition in both.
   */
  async #receiver(caller: Caller, environment: Environment): Promise<{ partition: string | null; vin: string | null }> {
    if (caller.kind !== 'vehicle' || caller.vin === null) return { partition: partitionFor(caller), vin: null };
    const { vin } = caller;
    let partition: string | null;
    try {
      partition = await this.findPartition(environment, vin);
    } catch (cause) {
      throw notFresh(cause);
    }
    if (partition === null)
      throw new FleetFlagError('NOT_FOUND', 'This vehicle is not registered, so its model is not known.');
    return { partition, vin };
  }

  #answer({ deltas, full, ...position }: Changes, receiver: ProofReceiver | null): FlagSync {
    const { environment, revision, verifiedAt } = position;
    const { signatures } = this;
    return {
      environment,
      revision,
      full,
      flags: deltas,
      statement: () => signatures.statement(environment, revision, verifiedAt),
      proof: (partitioned = false) =>
        receiver === null
          ? signatures.proof(position, partitioned)
          : signatures.proofFor(receiver, position, partitioned),
    };
  }
}

function checkSince(since: number): void {
  if (since < 0) throw badInput('since', 'since must be a revision: 0 or more.');
}
