/**
 * The lifecycle of an experiment after its creation. A draft may be changed and started, a running one completed, and
 * both may be cancelled. Each step is one transaction under the locks of the experiment and its flag, with an audit
 * row. Source: docs/guides/experiments.md.
 */
import { isDeepStrictEqual } from 'node:util';
import { FleetFlagError } from '../../../core/errors.ts';
import { BUCKETS } from '../../../core/evaluation/bucket.ts';
import type { CallerIdentity } from '../../../core/access/caller.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { firstPage } from '../../../core/wire/api/pagination.ts';
import { appendAudit } from '../../shared/audit/audit-log.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import { violatesUnique } from '../../shared/postgres/unique-violation.ts';
import { checkUnchangedSince } from '../../shared/subgraph/expected-update.ts';
import { isUuid } from '../../../core/wire/api/pagination.ts';
import type { UpdateExperimentInput } from '../generated/resolvers.ts';
import { editPlan, experimentContent, type Experiment, type ExperimentStatus } from './experiment.ts';
import { findDefinition } from '../definitions/definition-store.ts';
import { beginFurtherMetrics } from './looks/further-looks.ts';
import { beginState } from './looks/experiment-state.ts';
import { checkPrerequisites, drawOf, readFlagSplit } from './flag-split.ts';
import { winnerOf } from './reanalysis.ts';
import { measurementsEnd, type ExperimentResults } from './results.ts';
import { findExperiments, lockExperiment, savePlan, saveProgress, searchExperiments } from './experiment-store.ts';
import { readOptionalReason, readReason } from '../../../core/validation/text.ts';

const notFound = () => new FleetFlagError('NOT_FOUND', 'This experiment does not exist.', { field: 'id' });
const conflict = (message: string) => new FleetFlagError('CONFLICT', message, { field: 'id' });

/** Refuses a step that the experiment's status does not allow. */
function checkStatus({ status }: Experiment, ...allowed: readonly ExperimentStatus[]): void {
  if (!allowed.includes(status)) throw conflict(`The experiment is ${status}; it must be ${allowed.join(' or ')}.`);
}

/** Runs the steps of experiments' lifecycle. */
export class ExperimentLifecycle {
  constructor(
    private readonly prisma: PrismaClient,
    private readonly results: ExperimentResults,
  ) {}

  /**
   * Changes the plan of a draft. A change of nothing leaves no audit row.
   *
   * @param expectedUpdatedAt the experiment's `updatedAt` that the caller has seen; null: not compared
   * @throws BAD_USER_INPUT at the dotted path of the first fault; NOT_FOUND; CONFLICT when it is no longer a draft, or
   * has changed since `expectedUpdatedAt`
   */
  update(
    identity: CallerIdentity,
    id: string,
    input: UpdateExperimentInput,
    expectedUpdatedAt?: Date | null,
  ): Promise<Experiment> {
    return this.#change(id, async (tx, before) => {
      checkStatus(before, 'draft');
      checkUnchangedSince('This experiment', before.updatedAt, expectedUpdatedAt);
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
   * Starts a draft now. Measurements count from this moment on, whatever start was planned. Stores the share of
   * vehicles that get the treatment from the flag's rollout, the draw, and the declaration of the metric. Does not
   * change the flag.
   *
   * @throws CONFLICT when it is not a draft, its planned end is past, or its flag has no two arms, requires a flag that
   * is off, or already has a running experiment; NOT_FOUND
   */
  async start(identity: CallerIdentity, id: string): Promise<Experiment> {
    const start = this.#change(id, async (tx, before) => {
      checkStatus(before, 'draft');
      const split = await readFlagSplit(tx, before.flagId);
      const draw = drawOf(split);
      await checkPrerequisites(tx, split);
      const treatmentShare = draw.threshold / BUCKETS;
      const { experiments } = await searchExperiments(tx, { flagId: before.flagId, status: 'running' }, firstPage(1));
      const [running] = experiments;
      if (running !== undefined)
        throw conflict(
          `${split.key} has a running experiment, ${JSON.stringify(running.name)}; complete or cancel it first.`,
        );
      const startDate = new Date();
      if (before.endDate !== null && before.endDate <= startDate)
        throw conflict('The planned end of the experiment has passed; change it first.');
      const after = await saveProgress(tx, id, { status: 'running', startDate, treatmentShare });
      const further = [...before.secondaryMetrics, ...before.guardrails].map(({ metric }) => metric);
      await beginFurtherMetrics(tx, id, further);
      await beginState(tx, id, { ...draw, definition: await findDefinition(tx, before.primaryMetric) });
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
   * Completes a running experiment, analyses it and stores the results. A winner is stored only when the difference is
   * significant and the arms' sizes fit the planned shares. Before the planned end or size the sequential test decides,
   * because the time of completion may depend on what was seen.
   *
   * @param force whether the fixed-horizon test decides although the planned end is not reached; it needs a reason,
   * which is kept with the results
   * @param reason the operator's reason, for the audit log
   * @throws BAD_USER_INPUT at `reason`; CONFLICT when it is not running; NOT_FOUND; SERVICE_UNAVAILABLE when the
   * metrics store does not answer
   */
  async complete(
    identity: CallerIdentity,
    id: string,
    { force = false, reason }: { readonly force?: boolean | null; readonly reason?: string | null } = {},
  ): Promise<Experiment> {
    const said = (force === true ? readReason : readOptionalReason)(reason, 'reason');
    const forced = force === true ? said : null;
    const [seen] = isUuid(id) ? await findExperiments(this.prisma, [id]) : [];
    if (seen === undefined) throw notFound();
    checkStatus(seen, 'running');
    // The results are computed before the transaction, because a slow store must not hold a lock. A running
    // experiment's plan cannot change meanwhile.
    const results = await this.results.compute(seen, forced === null ? 'complete' : { forced });
    return this.#change(id, async (tx, before) => {
      checkStatus(before, 'running');
      const { analysis, computedAt } = results;
      const winnerVariant = winnerOf(analysis);
      const after = await saveProgress(tx, id, {
        status: 'completed',
        endDate: measurementsEnd(before, computedAt),
        winnerVariant,
        results,
      });
      const { pValue, improvementPercent, sampleRatioMismatch, decidedBy } = analysis;
      const found = {
        winnerVariant,
        pValue,
        improvementPercent,
        sampleRatioMismatch: sampleRatioMismatch.detected,
        decidedBy,
        forcedReason: results.forcedReason,
        reason: said,
      };
      await appendAudit(tx, identity, {
        action: 'COMPLETE_EXPERIMENT',
        flagId: after.flagId,
        before: experimentContent(before),
        after: { ...experimentContent(after), ...found },
      });
      return after;
    });
  }

  /**
   * Cancels a draft or a running experiment.
   *
   * @throws BAD_USER_INPUT at `reason`; CONFLICT when it has ended; NOT_FOUND
   */
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
