/**
 * Keeps a backup of the vehicle's database at the control plane, and restores from it, after a loss of the database,
 * what a sync does not bring. Failures here do not disturb the sync. Source: docs/decisions/vehicle/vehicle-backup.md.
 */
import { createHash } from 'node:crypto';
import { spreadInterval } from '../../core/async/spread.ts';
import { membersOf } from '../../core/json/json-value.ts';
import { describeError, type Log } from '../log.ts';
import { retryAfterMs, type GatewayLink } from '../link/gateway-link.ts';
import { LinkWait } from '../link/link-wait.ts';
import type { VehicleIdentity, VerifiedProof } from '../state.ts';
import { Refusal, asRefusal } from '../trust/refusals.ts';
import { decodeBackup, encodeBackup, type BackupContent } from './backup-content.ts';

/** The query for the stored backup. */
export const BACKUP_QUERY = 'query Backup($agent: String!) { vehicleBackup(agent: $agent) { content digest } }';
/** The operation that stores a backup. */
export const BACKUP_MUTATION = 'mutation BackUp($input: VehicleBackupInput!) { backUpVehicleState(input: $input) }';

/** The milliseconds for which the first sync of an agent that has lost its database waits for the backup. */
const RESTORE_MS = 3_000;
/** The milliseconds after which a backup is sent again although nothing has changed; it is kept for 7 days. */
const RENEW_MS = 86_400_000;
/** The share of the time between two backups over which the backups of a fleet are spread. */
const SPREAD = 0.1;

/** The options of the backups of one agent. */
export interface VehicleBackupsOptions {
  /** The name of this agent among those of the vehicle. */
  readonly agent: string;
  readonly identity: () => VehicleIdentity;
  /** Says whether the metrics queue is not restored yet: it came neither from the database nor from a backup. */
  readonly lacksQueue: () => boolean;
  /** Says whether a batch of the queue is being sent, with which the rows of a backup must not mix. */
  readonly isSending: () => boolean;
  /** Gives the content of a backup that is made now. */
  readonly content: () => BackupContent;
  /**
   * Seals the rows of `content`, so that later measurements do not change them (metric-queue.ts). Resolves to whether
   * that is on disk. The rows are sealed before it returns.
   */
  readonly seal: () => Promise<boolean>;
  /** Gives the revision whose set the vehicle holds. */
  readonly revision: () => number;
  /** Verifies the proof in a backup; rejects with a Refusal. */
  readonly verifyProof: (jws: string) => Promise<VerifiedProof>;
  /**
   * Restores what a backup holds, and stores it.
   *
   * @param content the backup; null where there is none, with which the agent goes on as it is
   * @param proof its proof; null where it has none that verifies
   * @param isBeforeSync whether no sync has begun, so that the vehicle's revision may become that of the proof
   */
  readonly restore: (
    content: BackupContent | null,
    proof: VerifiedProof | null,
    isBeforeSync: boolean,
  ) => Promise<void>;
  /** Counts and logs refused data. */
  readonly refuse: (refusal: Refusal) => void;
  /** The least milliseconds between two backups; up to a tenth is added at random. */
  readonly intervalMs: number;
  /** A source of random numbers, uniform in [0, 1). */
  readonly random: () => number;
  readonly log: Log;
}

/** The parts of a link that backups need. */
export type BackupLink = Pick<GatewayLink, 'request' | 'ended'>;

/** Makes backups and restores from them; lives as long as the agent. */
export class VehicleBackups {
  readonly #options: VehicleBackupsOptions;
  /** The fingerprint and the time of the last backup since the start; null before the first. */
  #stored: { readonly fingerprint: string; readonly atMs: number } | null = null;
  /** The reading of `performance.now()` before which no backup is made or requested. */
  #dueAtMs = -Infinity;
  /** Whether a sync was applied over the present link. */
  #isSynced = false;
  /** Whether the sync of the present link may have begun. */
  #mayHaveBegun = false;
  /** The fault of the last attempt, which is logged once; null where it succeeded. */
  #fault: string | null = null;
  /** The restore that waits for its answer; null for none. */
  #restoring: Promise<void> | null = null;

  constructor(options: VehicleBackupsOptions) {
    this.#options = options;
  }

  /**
   * Requests the backup before the first sync of an agent that has lost its database. Resolves when the sync may begin:
   * with the answer, or after 3 s without one. Never rejects.
   */
  async beforeSync(link: BackupLink): Promise<void> {
    this.#isSynced = false;
    this.#mayHaveBegun = false;
    if (this.#options.lacksQueue()) {
      const wait = new LinkWait(link.ended);
      await Promise.race([this.#restore(link, wait), wait.pause(RESTORE_MS)]);
    }
    this.#mayHaveBegun = true;
  }

  /** Records that a sync was applied over the present link: from now on backups may be made. */
  synced(): void {
    this.#isSynced = true;
  }

  /** Makes backups until the link ends, and restores from one where that is still due; never rejects. */
  async run(link: BackupLink): Promise<void> {
    const { intervalMs, random, lacksQueue } = this.#options;
    const wait = new LinkWait(link.ended);
    while (!wait.ended) {
      await wait.pause(intervalMs * SPREAD * random());
      if (wait.ended) return;
      if (!this.#isSynced || performance.now() < this.#dueAtMs) await wait.pause(intervalMs * SPREAD);
      else if (lacksQueue()) await this.#restore(link, wait);
      else await this.#backUp(link, wait);
    }
  }

  /** Requests the backup and restores from it. Calls during a request wait for the same answer. */
  #restore(link: BackupLink, wait: LinkWait): Promise<void> {
    this.#restoring ??= this.#requestAndRestore(link, wait).finally(() => (this.#restoring = null));
    return this.#restoring;
  }

  async #requestAndRestore(link: BackupLink, wait: LinkWait): Promise<void> {
    const { agent, identity, lacksQueue, isSending, restore, log } = this.#options;
    try {
      const { vehicleBackup } = membersOf(await link.request(BACKUP_QUERY, { agent }));
      // While a batch is being sent, `run` requests the backup again later.
      if (!lacksQueue() || isSending()) return;
      const content = vehicleBackup === null ? null : await this.#read(vehicleBackup, identity());
      const proof = content === null ? null : await this.#proofOf(content);
      await restore(content, proof, !this.#mayHaveBegun);
      this.#fault = null;
      if (content === null) return;
      const { rows } = content.queue;
      log('info', 'restored from the backup what a sync does not bring', {
        measurements: rows.length,
        ...(proof !== null && { revision: proof.revision }),
      });
    } catch (error) {
      this.#failed('cannot ask for a backup of the lost database; asking again later', error, wait);
    }
  }

  /** Reads an answer; null where it is no backup of this vehicle, which is refused. */
  async #read(answer: unknown, identity: VehicleIdentity): Promise<BackupContent | null> {
    try {
      return await readBackup(answer, identity);
    } catch (error) {
      const refusal = asRefusal(error, 'backup');
      // The vehicle has changed its environment. That is no attack, so it is not counted as a refusal.
      if (refusal.reason === 'wrong-environment') this.#options.log('info', 'the backup is of another environment');
      else this.#options.refuse(refusal);
      return null;
    }
  }

  /** Verifies the proof in a backup; null where it has none, or none that verifies, which is refused. */
  async #proofOf({ proof }: BackupContent): Promise<VerifiedProof | null> {
    if (proof === null) return null;
    return this.#options.verifyProof(proof).catch((error: unknown) => {
      this.#options.refuse(asRefusal(error, 'proof of the backup'));
      return null;
    });
  }

  async #backUp(link: BackupLink, wait: LinkWait): Promise<void> {
    const { agent, content, seal, revision, log } = this.#options;
    const now = content();
    const fingerprint = fingerprintOf(now, revision());
    const last = this.#stored;
    if (last?.fingerprint === fingerprint && performance.now() - last.atMs < RENEW_MS) return;
    try {
      if (!(await seal())) return this.#later();
      const bytes = await encodeBackup(now);
      const { backUpVehicleState } = membersOf(
        await link.request(BACKUP_MUTATION, { input: { agent, content: bytes.toString('base64') } }),
      );
      if (backUpVehicleState !== true) throw new Error('this vehicle is not registered');
      this.#stored = { fingerprint, atMs: performance.now() };
      if (this.#fault !== null) log('info', 'the control plane keeps a backup of the database again');
      this.#fault = null;
      this.#later();
    } catch (error) {
      this.#failed('the control plane keeps no backup of the database; trying again later', error, wait);
    }
  }

  /** Logs a fault once: an older control plane does not know backups, and would refuse each. */
  #failed(message: string, error: unknown, wait: LinkWait): void {
    const { log, random } = this.#options;
    // The next link tries at once.
    if (wait.ended) return;
    const fault = describeError(error);
    if (fault !== this.#fault) log('info', `${message}: ${fault}`);
    this.#fault = fault;
    this.#later(retryAfterMs(error, random));
  }

  #later(leastMs = 0): void {
    const { intervalMs, random } = this.#options;
    this.#dueAtMs = performance.now() + Math.max(leastMs, spreadInterval(intervalMs, random));
  }
}

/** Reads the answer to the query. Rejects with a Refusal where it is no backup of this vehicle. */
async function readBackup(answer: unknown, identity: VehicleIdentity): Promise<BackupContent> {
  const { content, digest } = membersOf(answer);
  if (typeof content !== 'string' || typeof digest !== 'string') throw new Refusal('malformed', 'backup');
  const bytes = Buffer.from(content, 'base64');
  if (createHash('sha256').update(bytes).digest('hex') !== digest) throw new Refusal('malformed', 'backup');
  return decodeBackup(bytes, identity);
}

/** Gives a digest of what is worth a new backup: not the proof and the number of syncs, which each sync changes. */
function fingerprintOf({ lifetime, queue }: BackupContent, revision: number): string {
  const { origin, rows, inBatch } = queue;
  return createHash('sha256')
    .update(JSON.stringify([revision, lifetime, origin, inBatch, rows]))
    .digest('base64url');
}
