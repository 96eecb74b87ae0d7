/**
 * Stores the vehicle's state as rows. It is written in one transaction, and every signature is verified again when it
 * is read.
 */
import { createHash } from 'node:crypto';
import type { Database } from 'sql.js';
import { ENVIRONMENTS, type Environment } from '../../../core/model.ts';
import type { KeptDrive } from '../../activation/kept-drive.ts';
import type { KnownGoodCopy } from '../../activation/known-good.ts';
import type { Assignment, HeldFlag, VehicleIdentity, VehicleState, VerifiedProof } from '../../state.ts';
import { heldSet, isSetOf } from '../../sync/apply.ts';
import type { KeptTime } from '../../trust/ageing-clock.ts';
import { assignmentIn, boundPartition, checkVehicle, isIn, wrongPartition } from '../../trust/binding.ts';
import { PinnedKeys } from '../../trust/pinned-keys.ts';
import { Refusal, asRefusal } from '../../trust/refusals.ts';
import { verifyProof, verifyStatement } from '../../trust/verification.ts';
import type { DatabaseContent } from '../database-content.ts';
import { readActivation } from './activation-row.ts';
import { readKnownGood } from './known-good-row.ts';
import { putStateValue } from './state-value.ts';
import { readFlagRow, writeFlagRows } from './flag-rows.ts';
import { rows } from './rows.ts';

/** The unverified beginning of a stored state. */
export interface StoredHeader {
  readonly identity: VehicleIdentity;
  readonly pinnedKeys: PinnedKeys | null;
}

/** A stored state that has been verified. */
export interface StoredState {
  readonly state: VehicleState;
  /** The drive in which the agent was; null where it is not known. */
  readonly drive: KeptDrive | null;
  readonly knownGood: KnownGoodCopy;
  /** The time of the ageing clock; null where it is not known. */
  readonly time: KeptTime | null;
}

/**
 * The key of the digest over the values that no signature covers. It shows whether a damaged file still holds them.
 */
const DIGEST_KEY = 'digest';
/**
 * The values that the digest covered in agents that knew no partitions. `ageing_certain` is only in older files;
 * elsewhere it counts as absent.
 */
const COVERED = [
  'vin',
  'environment',
  'revision',
  'complete',
  'pinned_keys',
  'ageing_time',
  'ageing_certain',
  'clock_offset',
  'clock_measured',
];
/** The values that the digest covers in files with an assignment. */
const COVERED_WITH_ASSIGNMENT = [...COVERED, 'assignment'];
/** The values that the digest covered in agents that stored a statement and no proof. */
const COVERED_BEFORE = ['vin', 'environment', 'revision', 'complete', 'removed_ahead', 'pinned_keys', 'ageing_time'];
/** Values that only older agents wrote. */
const FORMER_VALUES = ['statement', 'removed_ahead', 'ageing_certain'];

/** Writes the differences between the rows and `content.state`. */
export function writeState(database: Database, content: DatabaseContent): void {
  const { state, keys, variantOf, agentVersion, time, now } = content;
  database.run('BEGIN');
  try {
    writeFlagRows(database, state, variantOf);
    for (const key of FORMER_VALUES) database.run('DELETE FROM agent_state WHERE key = ?', [key]);
    const values: Record<string, string> = {
      vin: state.identity.vin,
      environment: state.identity.environment,
      revision: String(state.revision),
      complete: state.complete ? '1' : '0',
      proof: state.proof?.jws ?? '',
      assignment: state.assignment?.jws ?? '',
      pinned_keys: JSON.stringify(keys),
      ageing_time: String(time.latest),
      clock_offset: String(time.offset),
      clock_measured: time.measured ? '1' : '0',
      last_sync_at: String(state.lastSyncAt),
      sync_count: String(state.syncCount),
      agent_version: agentVersion,
    };
    for (const [key, value] of Object.entries({ ...values, [DIGEST_KEY]: digestOf(new Map(Object.entries(values))) })) {
      putStateValue(database, key, value, now);
    }
    database.run('COMMIT');
  } catch (error) {
    database.run('ROLLBACK');
    throw error;
  }
}

function digestOf(values: ReadonlyMap<string, string>): string {
  const names = values.has('assignment') ? COVERED_WITH_ASSIGNMENT : values.has('proof') ? COVERED : COVERED_BEFORE;
  return createHash('sha256')
    .update(JSON.stringify(names.map((key) => values.get(key))))
    .digest('base64url');
}

/** Reads the identity and the pinned keys of a file. Rejects with an Error where they are missing or unreadable. */
export async function readHeader(database: Database): Promise<StoredHeader> {
  const values = stateValues(database);
  const environment = ENVIRONMENTS.find((name) => name === values.get('environment'));
  const vin = values.get('vin');
  if (environment === undefined || !vin) throw new Error('it does not name its vehicle and environment');
  const pinned = values.get('pinned_keys');
  return { identity: { vin, environment }, pinnedKeys: pinned ? await PinnedKeys.parse(JSON.parse(pinned)) : null };
}

/**
 * Reads the state and keeps only what verifies. A row that does not verify is left out and passed to `refuse`. The
 * state is then not `complete`; nor is it where the rows are not the set that the stored proof names. The stored proof
 * bounds the age of flags, and the signatures in the file bound the revision. Values that no signature covers are used
 * only where the digest matches. Rejects with an Error where the file cannot be used at all.
 */
export async function readState(
  database: Database,
  identity: VehicleIdentity,
  keys: PinnedKeys,
  refuse: (refusal: Refusal) => void,
): Promise<StoredState> {
  const values = stateValues(database);
  const intact = values.get(DIGEST_KEY) === digestOf(values);
  const revision = readCount(values, 'revision');
  const assignment = await readAssignment(values, identity, keys, refuse);
  const proof = await readProof(values, identity.environment, keys, assignment, refuse);
  const partition = boundPartition({ assignment });
  const flags = new Map<string, HeldFlag>();
  const stored = rows(database, 'SELECT * FROM flags_cache');
  for (const row of stored) {
    try {
      const flag = await readFlagRow(row, identity.environment, keys, proof?.issuedAt ?? 0);
      if (!isIn(flag.held, partition) || (flag.ahead !== null && !isIn(flag.ahead, partition)))
        throw wrongPartition('its definition', null);
      flags.set(flag.key, flag);
    } catch (cause) {
      refuse(new Refusal('stored-flag', `flag ${JSON.stringify(row.key)}`, { cause }));
    }
  }
  // The stored keys may be the damaged part. With them, nothing would ever verify again.
  if (flags.size === 0 && proof === null && (stored.length > 0 || !intact))
    throw new Error('no signature in it verifies');
  const proven = Math.max(proof?.revision ?? 0, ...[...flags.values()].map(({ held }) => held.revision));
  const { drive, latches } = await readActivation(database, identity.environment, keys, refuse);
  const issuedAt = proof?.issuedAt ?? 0;
  const { knownGood, returns } = await readKnownGood(database, { flags, issuedAt }, identity.environment, keys, refuse);
  const read: VehicleState = {
    identity,
    assignment,
    revision: Math.min(revision, proven),
    complete: values.get('complete') === '1',
    proof,
    flags,
    latches,
    returns,
    lastSyncAt: readCount(values, 'last_sync_at'),
    syncCount: readCount(values, 'sync_count'),
  };
  // A proof shows whether the set is complete; an older agent has only its own record of that.
  const whole =
    proof?.set == null
      ? intact && assignment === null && flags.size === stored.length
      : proof.partition === partition && proof.revision === read.revision && isSetOf(proof, heldSet(read));
  if (read.complete && !whole && flags.size === stored.length)
    refuse(new Refusal('stored-flag', `the stored flags of revision ${read.revision}`));
  return {
    state: { ...read, complete: read.complete && whole },
    drive,
    knownGood,
    time: intact ? readTime(values) : null,
  };
}

/**
 * Reads the stored assignment, which must be one of this vehicle. Null where there is none, and where it does not
 * verify: the vehicle then keeps its flags and has its partition proven again.
 */
async function readAssignment(
  values: ReadonlyMap<string, string>,
  identity: VehicleIdentity,
  keys: PinnedKeys,
  refuse: (refusal: Refusal) => void,
): Promise<Assignment | null> {
  const jws = values.get('assignment') ?? '';
  if (jws === '') return null;
  try {
    const proof = await verifyProof(jws, identity.environment, keys);
    checkVehicle(proof, identity);
    const assignment = assignmentIn(proof);
    if (assignment === null) throw new Refusal('malformed', 'assignment');
    return assignment;
  } catch (error) {
    refuse(asRefusal(error, 'assignment'));
    return null;
  }
}

/**
 * Reads the stored proof, or the statement that an older agent has stored instead, which bounds the age until the first
 * sync. With an assignment, it must be of that partition.
 */
async function readProof(
  values: ReadonlyMap<string, string>,
  environment: Environment,
  keys: PinnedKeys,
  assignment: Assignment | null,
  refuse: (refusal: Refusal) => void,
): Promise<VerifiedProof | null> {
  const [jws = '', statement = ''] = [values.get('proof'), values.get('statement')];
  try {
    if (jws !== '') {
      const proof = await verifyProof(jws, environment, keys);
      if (assignment !== null && proof.partition !== assignment.partition)
        throw wrongPartition('proof', proof.partition);
      return proof;
    }
    return statement === '' ? null : await verifyStatement(statement, environment, keys);
  } catch (error) {
    refuse(asRefusal(error, 'proof'));
    return null;
  }
}

function readTime(values: ReadonlyMap<string, string>): KeptTime {
  const offset = Number(values.get('clock_offset') ?? '0');
  return {
    latest: readCount(values, 'ageing_time'),
    offset: Number.isSafeInteger(offset) ? offset : 0,
    measured: values.get('clock_measured') === '1',
  };
}

function stateValues(database: Database): Map<string, string> {
  return new Map(
    rows(database, 'SELECT key, value FROM agent_state').map((row) => [String(row.key), String(row.value)]),
  );
}

function readCount(values: ReadonlyMap<string, string>, name: string): number {
  const text = values.get(name) ?? '';
  if (!/^\d{1,15}$/.test(text)) throw new Error(`agent_state.${name} is not a number`);
  return Number(text);
}
