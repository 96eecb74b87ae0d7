/** Guards that are watched, whatever they guard: rollouts or releases. */
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import type { MetricDefinition } from '../definitions/metric-definition.ts';
import type { ReleaseRing } from '../settled/settled-vehicles.ts';
import type { GuardState } from './guard-evidence.ts';
import type { GuardJudgement, GuardWatch } from './guard-verdict.ts';

/** A guard with what its verdict needs. */
export interface WatchedGuard {
  readonly flagKey: string;
  readonly guard: GuardWatch;
  /** The present declaration of the guard's metric. */
  readonly definition: MetricDefinition | null;
  /** The salt of the draw, and the bucket below which vehicles have the treatment. */
  readonly salt: string;
  readonly threshold: number;
  readonly state: GuardState;
  /** The current time by the database's clock. */
  readonly now: Date;
  /** The same as in `Epoch`. */
  readonly measuredBy?: Date | null;
  readonly ring?: ReleaseRing | undefined;
}

/** The age at which a verdict is due to be computed again, in milliseconds. */
export type AgeMs = number;

/** The state of a guard after a look, and its verdict. */
export interface JudgedGuard {
  readonly state: GuardState;
  readonly judgement: GuardJudgement;
}

/** A kind of guards: the place where they are found, and where their verdicts go. */
export interface Guarded {
  /** The guarded thing, for the log. */
  readonly name: 'rollout' | 'release';
  /** Finds the guards whose verdicts are due, by their ids, the oldest verdict first. A crossed limit needs no more. */
  due(db: PrismaClient, age: AgeMs): Promise<string[]>;
  /**
   * Judges a guard by what `look` finds, and stores both. The caller holds the guard's advisory lock.
   *
   * @returns whether its verdict was due
   */
  judge(
    tx: Transaction,
    id: string,
    age: AgeMs,
    look: (watched: WatchedGuard) => Promise<JudgedGuard>,
  ): Promise<boolean>;
}
