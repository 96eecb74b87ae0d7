/** Wires the backups of an agent to its parts. */
import { basename } from 'node:path';
import type { CompleteAgentOptions } from '../assembly/agent-options.ts';
import type { PresentFlags } from '../evaluate/present-flags.ts';
import type { VehicleState, VerifiedProof } from '../state.ts';
import type { VehicleStore } from '../store/vehicle-store.ts';
import type { LifetimeCounts } from '../telemetry/lifetime-counts.ts';
import type { MetricQueue } from '../telemetry/metrics/metric-queue.ts';
import type { AgeingClock } from '../trust/ageing-clock.ts';
import type { PinnedKeys } from '../trust/pinned-keys.ts';
import { Refusal } from '../trust/refusals.ts';
import { verifyProof } from '../trust/verification.ts';
import type { BackupContent } from './backup-content.ts';
import { VehicleBackups } from './vehicle-backups.ts';

/** The parts of an agent that are backed up and restored. */
export interface BackedUpParts {
  readonly options: CompleteAgentOptions;
  /** The flags; they have a state before the first link. */
  readonly flags: PresentFlags;
  /** Gives the trusted keys, which are known before the first link. */
  readonly keys: () => PinnedKeys;
  readonly store: VehicleStore;
  readonly queue: MetricQueue;
  readonly lifetime: LifetimeCounts;
  readonly ageingClock: AgeingClock;
  /** Counts and logs refused data. */
  readonly refuse: (refusal: Refusal) => void;
}

/** Makes the backups of an agent. They are named after its database file, which outlives the file's content. */
export function agentBackups(parts: BackedUpParts): VehicleBackups {
  const { options, flags, keys, store, queue, lifetime } = parts;
  const identity = () => flags.state!.identity;
  return new VehicleBackups({
    agent: basename(options.databaseFile),
    identity,
    lacksQueue: () => store.lacksQueue,
    isSending: () => queue.batchLength > 0,
    content: () => contentOf(flags.state!, queue, lifetime),
    seal: () => {
      queue.seal();
      return store.saveQueue();
    },
    revision: () => flags.state!.revision,
    verifyProof: (jws) => verifyProof(jws, identity().environment, keys()),
    restore: (content, proof, isBeforeSync) => restore(parts, content, proof, isBeforeSync),
    refuse: parts.refuse,
    intervalMs: options.timings.resyncMs,
    random: options.random,
    log: options.log,
  });
}

function contentOf(
  { identity, proof, syncCount }: VehicleState,
  { origin, rows, batchLength: inBatch, nextId }: MetricQueue,
  lifetime: LifetimeCounts,
): BackupContent {
  return {
    identity,
    // What an older agent has stored as a proof names no set, and proves nothing.
    proof: proof?.set == null ? null : proof.jws,
    syncCount,
    lifetime: lifetime.totals(),
    // The rows are copied, because the queue changes while the backup is made.
    queue: { origin, rows: [...rows], inBatch, nextId },
  };
}

/** Restores what a backup holds; see VehicleBackupsOptions. */
async function restore(
  { flags, keys, store, lifetime, ageingClock, refuse }: BackedUpParts,
  content: BackupContent | null,
  proof: VerifiedProof | null,
  isBeforeSync: boolean,
): Promise<void> {
  store.adoptQueue(content?.queue ?? null);
  if (content === null) return;
  lifetime.restore(content.lifetime);
  // It cannot be earlier now than it was when the control plane signed the proof.
  if (proof !== null) ageingClock.resumeAt(proof.issuedAt);
  const state = flags.state!;
  if (!isBeforeSync) {
    // A sync was applied before the backup came. Where the backup proves a later revision, the vehicle has no flags of
    // that revision, and would refuse all changes if it adopted the number alone. So this only notifies operators.
    if (proof !== null && proof.revision > state.revision)
      refuse(new Refusal('revision-below-backup', `revision ${proof.revision} of the backup`));
    await store.saveQueue();
    return;
  }
  const next: VehicleState = {
    ...state,
    syncCount: state.syncCount + content.syncCount,
    // The flags of that revision are lost, so the set is not complete, and the sync asks for everything.
    ...(proof !== null && proof.revision > state.revision && { revision: proof.revision, complete: false, proof }),
  };
  // A sync may be applied while the disk does not answer: a state from before it must not come after it.
  flags.replace(next);
  await store.save(next, keys());
}
