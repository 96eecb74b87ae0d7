/**
 * The life of an experiment after it was created: a draft may be changed and started, what runs may be completed, and
 * both may be cancelled. Each step is one transaction under the locks of the experiment and its flag, with its row in
 * the audit trail. Source: docs/guides/experiments.md.
 */
import { isDeepStrictEqual } from 'node:util';
import { FleetFlagError } from '../../../core/errors.ts';
import type { CallerIdentity } from '../../../core/access/caller.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { firstPage } from '../../shared/subgraph/pagination.ts';
import { appendAudit } from '../../shared/audit/audit-trail.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import { violatesUnique } from '../../shared/postgres/unique-violation.ts';
import { isUuid } from '../../shared/subgraph/pagination.ts';
import type { UpdateExperimentInput } from '../generated/resolvers.ts';
import { editPlan, experimentContent, type Experiment, type ExperimentStatus } from './experiment.ts';
import { readFlagSplit, treatmentShareOf } from './flag-split.ts';
import { endOf, type ExperimentResults } from './results.ts';
import { findExperiments, lockExperiment, savePlan, saveProgress, searchExperiments } from './experiment-store.ts';
import { readReason } from '../../../core/validation/text.ts';

const notFound = () => new FleetFlagError('NOT_FOUND', 'There is no such experiment.', { field: 'id' });
const conflict = (message: string) => new FleetFlagError('CONFLICT', message, { field: 'id' });

/** Refuses what the experiment's status does not allow. */
function checkStatus({ status }: Experiment, ...allowed: readonly ExperimentStatus[]): void {
  if (!allowed.includes(status))
    throw conflict(`The experiment is ${status}; this is for one that is ${allowed.join(' or ')}.`);
}

export class ExperimentLife {
  constructor(
    private readonly prisma: PrismaClient,
    private readonly results: ExperimentResults,
  ) {}

  /**
   * Changes the plan of a draft. What changes nothing leaves no trace.
   *
   * @throws BAD_USER_INPUT at the dotted path of the first fault; CONFLICT for what is no draft any more; NOT_FOUND
   */
  update(identity: CallerIdentity, id: string, input: UpdateExperimentInput): Promise<Experiment> {
    return this.#change(id, async (tx, before) => {
      checkStatus(before, 'draft');
      const plan = editPlan(before, input);
      if (isDeepStrictEqual(experimentContent({ ...before, ...plan }), experimentContent(before))) return before;
      const saved = await savePlan(tx, id, plan);
      await appendAudit(tx, identity, {
        action: 'UPDATE_EXPERIMENT',
        flagId: before.flagId,
        before: experimentContent(before),
        after: experimentContent(saved),
      });
      return saved;
    });
  }

  /**
   * Starts a draft, now: measurements count from this moment on, whatever start was planned. Keeps the share that the
   * flag's rollout gives to the treatment. Changes nothing of the flag.
   *
   * @throws CONFLICT for what is no draft, whose planned end is past, whose flag gives no two arms or has a running
   *   experiment already; NOT_FOUND
   */
  async start(identity: CallerIdentity, id: string): Promise<Experiment> {
    const start = this.#change(id, async (tx, before) => {
      checkStatus(before, 'draft');
      const split = await readFlagSplit(tx, before.flagId);
      const treatmentShare = treatmentShareOf(split);
      const { experiments } = await searchExperiments(tx, { flagId: before.flagId, status: 'running' }, firstPage(1));
      const [running] = experiments;
      if (running !== undefined)
        throw conflict(
          `${split.key} has a running experiment, ${JSON.stringify(running.name)}; complete or cancel it first.`,
        );
      const startDate = new Date();
      if (before.endDate !== null && before.endDate <= startDate)
        throw conflict('The planned end of the experiment is past; change it first.');
      const after = await saveProgress(tx, id, { status: 'running', startDate, treatmentShare });
      await appendAudit(tx, identity, {
        action: 'START_EXPERIMENT',
        flagId: after.flagId,
        before: experimentContent(before),
        after: { ...experimentContent(after), treatmentShare },
      });
      return after;
    });
    return start.catch((error: unknown) => {
      throw violatesUnique(error) ? conflict('The flag has a running experiment.') : error;
    });
  }

  /**
   * Ends a running experiment, analyses it and keeps the result. A winner is kept only where the difference is
   * significant and the arms' sizes fit the planned shares.
   *
   * @throws CONFLICT for what does not run; NOT_FOUND; SERVICE_UNAVAILABLE when the metrics store does not answer
   */
  async complete(identity: CallerIdentity, id: string): Promise<Experiment> {
    const [seen] = isUuid(id) ? await findExperiments(this.prisma, [id]) : [];
    if (seen === undefined) throw notFound();
    checkStatus(seen, 'running');
    // Before the transaction: a slow store must hold no lock. What runs does not change its plan meanwhile.
    const results = await this.results.compute(seen, false);
    return this.#change(id, async (tx, before) => {
      checkStatus(before, 'running');
      const { analysis, computedAt } = results;
      const winnerVariant = analysis.sampleRatioMismatch.detected ? null : analysis.winner;
      const after = await saveProgress(tx, id, {
        status: 'completed',
        endDate: endOf(before, computedAt),
        winnerVariant,
        results,
      });
      const { pValue, improvementPercent, sampleRatioMismatch } = analysis;
      const found = { winnerVariant, pValue, improvementPercent, sampleRatioMismatch: sampleRatioMismatch.detected };
      await appendAudit(tx, identity, {
        action: 'COMPLETE_EXPERIMENT',
        flagId: after.flagId,
        before: experimentContent(before),
        after: { ...experimentContent(after), ...found },
      });
      return after;
    });
  }

  /** @throws BAD_USER_INPUT at `reason`; CONFLICT for what has ended; NOT_FOUND */
  async cancel(identity: CallerIdentity, id: string, reason: string): Promise<Experiment> {
    const cancelReason = readReason(reason, 'reason');
    return this.#change(id, async (tx, before) => {
      checkStatus(before, 'draft', 'running');
      const after = await saveProgress(tx, id, { status: 'cancelled', cancelReason });
      await appendAudit(tx, identity, {
        action: 'CANCEL_EXPERIMENT',
        flagId: after.flagId,
        before: experimentContent(before),
        after: { ...experimentContent(after), reason: cancelReason },
      });
      return after;
    });
  }

  #change(id: string, change: (tx: Transaction, experiment: Experiment) => Promise<Experiment>): Promise<Experiment> {
    return this.prisma.$transaction(async (tx) => {
      const experiment = isUuid(id) ? await lockExperiment(tx, id) : null;
      if (experiment === null) throw notFound();
      return change(tx, experiment);
    });
  }
}
