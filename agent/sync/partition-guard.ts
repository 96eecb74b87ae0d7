/** Lets a session use only what belongs to the vehicle's partition, and reports the rest. Source: trust/binding.ts. */
import type { VerifiedProof } from '../state.ts';
import { bindingOf, boundPartition, concerns, wrongPartition, type Binding } from '../trust/binding.ts';
import { asRefusal } from '../trust/refusals.ts';
import type { VerifiedFlag } from '../trust/verification.ts';
import type { SyncSessionOptions } from './sync-session-options.ts';

/** The options of a guard: those of its session, and what it calls. */
export interface PartitionGuardOptions extends Pick<SyncSessionOptions, 'state' | 'freshness' | 'refuse'> {
  /** Whether the control plane of this link is older than partitions. */
  readonly isFormer: () => boolean;
  /** Schedules a sync within `milliseconds`. */
  readonly syncWithin: (milliseconds: number) => void;
}

/** Separates what is of the vehicle's partition from what is not. */
export class PartitionGuard {
  readonly #options: PartitionGuardOptions;

  constructor(options: PartitionGuardOptions) {
    this.#options = options;
  }

  /**
   * Gives the relation of a verified proof to this vehicle; null where it was refused. A proof of another partition
   * calls for a nonce, because this vehicle may have got another one.
   */
  bind(proof: VerifiedProof): Binding | null {
    const { state, freshness, refuse, isFormer, syncWithin } = this.#options;
    const { assignment } = state();
    try {
      const isOpen = (nonce: string) => freshness.isOpen(nonce);
      const binding = bindingOf(proof, { state: state(), former: isFormer(), isOpen });
      if (binding !== 'foreign') return binding;
      // Before the first assignment, the proof of any partition is as expected.
      if (assignment !== null || proof.partition === null) refuse(wrongPartition('proof', proof.partition));
      if (isFormer()) return binding;
      freshness.assignment.want();
      syncWithin(freshness.assignment.waitMs);
      return binding;
    } catch (error) {
      refuse(asRefusal(error, 'proof'));
      return null;
    }
  }

  /** Gives a proof that is about this vehicle's partition; null for any other. */
  own(proof: VerifiedProof): VerifiedProof | null {
    const binding = this.bind(proof);
    const assigned = boundPartition(this.#options.state());
    return binding === 'own' || (binding === 'assigns' && proof.partition === assigned) ? proof : null;
  }

  /**
   * Gives the changes that concern a partition. The others are refused.
   *
   * @param isReported false where that would only repeat the refusal of their proof
   */
  mine(flags: readonly VerifiedFlag[], partition: string | null, isReported: boolean): VerifiedFlag[] {
    return flags.filter((flag) => {
      const isMine = concerns(flag, partition);
      const subject = `flag ${JSON.stringify(flag.key)} of revision ${flag.revision}`;
      if (!isMine && isReported) this.#options.refuse(wrongPartition(subject, flag.left));
      return isMine;
    });
  }
}
