/** Finding and planning of experiments; experiment-lifecycle.ts has the rest of their lifecycle. */
import { FleetFlagError } from '../../../core/errors.ts';
import type { CallerIdentity } from '../../../core/access/caller.ts';
import { validateFlagKey } from '../../../core/validation/validate-flag.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { appendAudit } from '../../shared/audit/audit-log.ts';
import type { LaggingReads } from '../../shared/postgres/replica-reads.ts';
import type { Page } from '../../../core/wire/api/pagination.ts';
import type { CreateExperimentInput, ExperimentFilter } from '../generated/resolvers.ts';
import { experimentContent, readPlan, type Experiment } from './experiment.ts';
import { findFlagId } from './flag-ids.ts';
import {
  countExperiments,
  findDisturbances,
  findExperiments,
  findExperimentsOfFlags,
  insertDraft,
  searchExperiments,
  type Disturbance,
  type ExperimentSearch,
} from './experiment-store.ts';

/** A page of experiments, and the number of experiments on all pages. */
export interface ExperimentPage {
  readonly experiments: readonly Experiment[];
  readonly more: boolean;
  readonly totalCount: () => Promise<number>;
}

/** Finds and creates experiments. */
export class ExperimentService {
  /** @param lagging the reads that may lag behind the primary; by default they read at it */
  constructor(
    private readonly prisma: PrismaClient,
    private readonly lagging: LaggingReads = { read: (work) => work(prisma) },
  ) {}

  /** Gives experiments by id; unknown ids are left out. */
  byIds(ids: readonly string[]): Promise<Experiment[]> {
    return findExperiments(this.prisma, ids);
  }

  /** Gives all experiments of some flags, newest first. */
  ofFlags(flagIds: readonly string[]): Promise<Experiment[]> {
    return findExperimentsOfFlags(this.prisma, flagIds);
  }

  /** Gives the disturbances of some experiments, oldest first. */
  disturbances(experimentIds: readonly string[]): Promise<Disturbance[]> {
    return findDisturbances(this.prisma, experimentIds);
  }

  /**
   * Gives one page of experiments of any flag, archived or not, newest first. An unknown flag key finds none; throws
   * BAD_USER_INPUT for a text that cannot be a key.
   */
  async search(filter: ExperimentFilter, page: Page): Promise<ExperimentPage> {
    const { status, flagKey } = filter;
    const key = typeof flagKey === 'string' ? validateFlagKey(flagKey, 'filter.flagKey') : null;
    return this.lagging.read(async (db) => {
      let search: ExperimentSearch = { status };
      if (key !== null) {
        const flag = await findFlagId(db, key);
        if (flag === null) return { experiments: [], more: false, totalCount: async () => 0 };
        search = { ...search, flagId: flag.id };
      }
      const found = await searchExperiments(db, search, page);
      return { ...found, totalCount: () => this.lagging.read((place) => countExperiments(place, search)) };
    });
  }

  /**
   * Creates an experiment on a flag, as a draft.
   *
   * @throws BAD_USER_INPUT at the dotted path of the first fault, or NOT_FOUND when no living flag has the key
   */
  async create(identity: CallerIdentity, input: CreateExperimentInput): Promise<Experiment> {
    const flagKey = validateFlagKey(input.flagKey, 'input.flagKey');
    const plan = readPlan(input);
    return this.prisma.$transaction(async (tx) => {
      const flag = await findFlagId(tx, flagKey);
      if (flag === null || flag.archived) {
        throw new FleetFlagError('NOT_FOUND', `There is no flag ${JSON.stringify(flagKey)}.`, {
          field: 'input.flagKey',
        });
      }
      const experiment = await insertDraft(tx, flag.id, plan);
      await appendAudit(tx, identity, {
        action: 'CREATE_EXPERIMENT',
        flagId: flag.id,
        after: experimentContent(experiment),
      });
      return experiment;
    });
  }
}
