/**
 * The agent's GraphQL operations, and the readers of their answers, which are untrusted JSON.
 */
import { isCount, isObject, membersOf, type Members } from '../../core/json/json-value.ts';
import type { Environment } from '../../core/model.ts';
import { Refusal } from '../trust/refusals.ts';

/** The operations by which an agent gets flags. OPERATIONS and FORMER_OPERATIONS have the same variables. */
export interface FlagOperations {
  /** The subscription has the same text and variables in all vehicles of a partition, so the gateway runs it once. */
  readonly changes: string;
  readonly sync: string;
  /** The sync query whose proof is signed for this vehicle alone. */
  readonly nonceSync: string;
  /** The query for the present proof. */
  readonly proof: string;
}

/**
 * Makes the operations.
 *
 * @param proof the field `proof` with its arguments
 * @param newerFields the fields of a change event that older control planes do not know, each after a space
 * @param proofArguments the arguments of `flagProof`
 */
function flagOperations(proof: string, newerFields: string, proofArguments: string): FlagOperations {
  const selection = `{ environment revision full flags { key revision removed jws } ${proof} }`;
  return {
    changes: `subscription Changes($environment: Environment!) { flagChanges(environment: $environment) { environment revision previousRevision signed { key revision removed jws } ${proof}${newerFields} } }`,
    sync: `query Sync($environment: Environment!, $since: Int) { flagSync(environment: $environment, since: $since) ${selection} }`,
    nonceSync: `query Sync($environment: Environment!, $since: Int, $nonce: String) { flagSync(environment: $environment, since: $since, nonce: $nonce) ${selection} }`,
    proof: `query Proof($environment: Environment!) { flagProof(${proofArguments}) }`,
  };
}

/** The operations whose proofs name the partition that they are about. */
export const OPERATIONS = flagOperations(
  'proof(partitioned: true)',
  ' spreadSeconds',
  'environment: $environment, partitioned: true',
);

/** The operations that a control plane older than partitions knows. Its proofs name no partition. */
export const FORMER_OPERATIONS = flagOperations('proof', '', 'environment: $environment');

/** A flag as it is sent. Only `jws` is signed; the other members must agree with it. */
export interface SignedFlag {
  readonly key: string;
  readonly revision: number;
  readonly removed: boolean;
  readonly jws: string;
}

/** The answer to a sync. */
export interface SyncAnswer {
  readonly revision: number;
  /** Whether `flags` are all flags, and not only those that changed. */
  readonly full: boolean;
  readonly flags: readonly SignedFlag[];
  readonly proof: string;
}

/** An event of the stream of changes. */
export interface ChangeEvent {
  readonly revision: number;
  readonly previousRevision: number;
  readonly signed: SignedFlag;
  readonly proof: string;
  /**
   * The seconds over which vehicles spread their syncs, where this event stands for more changes than are sent; null
   * where it does not.
   */
  readonly spreadSeconds: number | null;
}

/** Gives GraphQL's spelling of an environment. */
export function environmentVariable(environment: Environment): string {
  return environment.toUpperCase();
}

/** Reads `data` of the sync query. Throws a Refusal when it is malformed or for another environment. */
export function readSyncAnswer(data: unknown, environment: Environment): SyncAnswer {
  const answer = member(data, 'flagSync', 'sync');
  expectEnvironment(answer, environment, 'sync');
  const { revision, full, flags, proof } = answer;
  if (!isCount(revision) || typeof full !== 'boolean' || typeof proof !== 'string' || !Array.isArray(flags)) {
    throw new Refusal('malformed', 'sync');
  }
  return { revision, full, proof, flags: flags.map((flag) => readSignedFlag(flag, 'sync')) };
}

/** Reads `data` of one event of the subscription. Throws a Refusal when it is malformed or for another environment. */
export function readChangeEvent(data: unknown, environment: Environment): ChangeEvent {
  const event = member(data, 'flagChanges', 'change');
  expectEnvironment(event, environment, 'change');
  const { revision, previousRevision, proof, spreadSeconds = null } = event;
  if (!isCount(revision) || !isCount(previousRevision) || previousRevision >= revision || typeof proof !== 'string') {
    throw new Refusal('malformed', 'change');
  }
  if (spreadSeconds !== null && !isCount(spreadSeconds)) throw new Refusal('malformed', 'change');
  return { revision, previousRevision, proof, signed: readSignedFlag(event.signed, 'change'), spreadSeconds };
}

/** Reads `data` of the proof query. Throws a Refusal when it is malformed. */
export function readProofAnswer(data: unknown): string {
  const { flagProof } = membersOf(data);
  if (typeof flagProof !== 'string') throw new Refusal('malformed', 'proof');
  return flagProof;
}

function readSignedFlag(value: unknown, subject: string): SignedFlag {
  const { key, revision, removed, jws } = membersOf(value);
  if (typeof key !== 'string' || !isCount(revision) || typeof removed !== 'boolean' || typeof jws !== 'string') {
    throw new Refusal('malformed', subject);
  }
  return { key, revision, removed, jws };
}

function member(data: unknown, name: string, subject: string): Members {
  const value = membersOf(data)[name];
  if (!isObject(value)) throw new Refusal('malformed', subject);
  return value;
}

function expectEnvironment(value: Members, environment: Environment, subject: string): void {
  if (value.environment !== environmentVariable(environment)) throw new Refusal('wrong-environment', subject);
}
