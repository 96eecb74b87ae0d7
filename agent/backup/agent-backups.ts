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
    isLacking: () => store.lacksQueue,
    isSending: () => queue.batchLength > 0,
    content: () => contentOf(flags.state!, queue, lifetime),
    seal: () => {
      queue.seal();
      return store.saveQueue();
    },
    revision: () => flags.state!.revision,
    verifyProof: (jws) => verifyProof(jws, identity().environment, keys()),
    adopt: (content, proof, isFirst) => adopt(parts, content, proof, isFirst),
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
    // A statement of an older agent's file names no set, and is no proof.
    proof: proof?.set == null ? null : proof.jws,
    syncCount,
    lifetime: lifetime.totals(),
    // The queue goes on while the backup is made.
    queue: { origin, rows: [...rows], inBatch, nextId },
  };
}

/** Adopts a backup; see VehicleBackupsOptions. */
async function adopt(
  { flags, keys, store, lifetime, ageingClock, refuse }: BackedUpParts,
  content: BackupContent | null,
  proof: VerifiedProof | null,
  isFirst: boolean,
): Promise<void> {
  store.adoptQueue(content?.queue ?? null);
  if (content === null) return;
  lifetime.restore(content.lifetime);
  // It cannot be earlier now than it was when the control plane signed the proof.
  if (proof !== null) ageingClock.resumeAt(proof.issuedAt);
  const state = flags.state!;
  if (!isFirst) {
    // The sync was applied before the backup could be asked for. The vehicle has no flags of the later revision to go
    // back to, and with the later revision alone it would refuse all changes; so this only notifies its operators.
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
  await store.save(next, keys());
  flags.replace(next);
}
