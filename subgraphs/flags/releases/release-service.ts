/** The use cases of releases: what people read of them, their halts and promotions, and the guards that people add. */
import { FLAG_KEY_PATTERN } from '../../../core/model.ts';
import { needsSecondPerson } from '../../../core/access/safety-policy.ts';
import type { CallerIdentity } from '../../../core/access/caller.ts';
import { readAddedGuards, type ReleaseGuardDraft } from '../../../core/releases/release-guard.ts';
import { readReason } from '../../../core/validation/text.ts';
import type { Page } from '../../../core/wire/api/pagination.ts';
import { appendAudit } from '../../shared/audit/audit-log.ts';
import type { Reader, Transaction, Transactor } from '../../shared/postgres/transaction.ts';
import { askingPerson, checkCurrent, notFound } from '../changes/change-checks.ts';
import { TRANSACTION, type FlagChangeOutcome, type FlagChanges } from '../changes/change.ts';
import { insertChangeRequest } from '../changes/requests/change-request.ts';
import { lockFlag } from '../flags/flag-store.ts';
import {
  listReleases,
  putGuards,
  releasesUnderWay,
  type FlagRelease,
  type ReleaseChoice,
  type ReleasePage,
} from './flag-release.ts';
import { checkGuardMetrics, guardsOfReleases, recordedGuard, type WatchedGuardOfRelease } from './release-guards.ts';
import {
  checkGoesOn,
  checkPromotion,
  haltWithin,
  moveRelease,
  noRelease,
  releasedFlag,
  type ReleasedFlag,
  type HaltLane,
} from './release-steps.ts';

/** Reads, halts, guards and promotes releases. */
export class ReleaseService {
  constructor(
    private readonly prisma: Reader,
    private readonly turns: Transactor,
    private readonly changes: FlagChanges,
    private readonly haltLane: HaltLane,
  ) {}

  /** Gives the releases of flags that are under way, by the flags' ids. */
  underWay(flagIds: readonly string[]): Promise<Map<string, FlagRelease>> {
    return releasesUnderWay(this.prisma, flagIds);
  }

  /** Gives the guards of releases with what they have found, by the releases' ids. */
  guards(releases: readonly FlagRelease[]): Promise<Map<string, WatchedGuardOfRelease[]>> {
    return guardsOfReleases(this.prisma, releases);
  }

  /** Gives a page of the releases that are meant, newest first. A key that no flag has gives none. */
  list(choice: ReleaseChoice, page: Page): Promise<ReleasePage> {
    const { flagKey } = choice;
    // PostgreSQL does not accept every text.
    if (flagKey !== null && !FLAG_KEY_PATTERN.test(flagKey))
      return Promise.resolve({ releases: [], more: false, totalCount: 0 });
    return listReleases(this.prisma, choice, page);
  }

  /**
   * Halts the release of a flag: the stable content is back for everybody. Like a kill switch, it waits for no approval
   * and for no other change.
   *
   * @throws BAD_USER_INPUT for the reason; NOT_FOUND; CONFLICT where no release is under way
   */
  async halt(identity: CallerIdentity, flagKey: string, reason: string): Promise<FlagChangeOutcome> {
    const why = readReason(reason, 'reason');
    const { changes, prisma } = this.haltLane;
    const flag = await prisma.$transaction(async (tx) => {
      const of = await lockReleased(tx, flagKey);
      const halted = await haltWithin(tx, changes, identity, of.release, why);
      if (halted === null) throw noRelease(of.flag);
      return halted;
    }, TRANSACTION);
    changes.announce([flag.environment], true, identity.origin.requestId);
    return { flag, applied: true, changeRequest: null };
  }

  /**
   * Adds guards to the release of a flag, beside those of its policy. Like a halt, which is the most that they do, it
   * waits for no approval. What the flag serves stays, and so does its revision.
   *
   * @throws BAD_USER_INPUT for the reason, and as `readAddedGuards` and `checkGuardMetrics` do; NOT_FOUND; CONFLICT
   *   where no release is under way
   */
  async addGuards(
    identity: CallerIdentity,
    flagKey: string,
    drafts: readonly ReleaseGuardDraft[],
    reason: string,
  ): Promise<FlagRelease> {
    const why = readReason(reason, 'reason');
    // A fault of the guards themselves is refused before any row is locked, whatever the state of the flag.
    readAddedGuards(drafts, [], 'guards');
    const guarded = await this.turns.$transaction(async (tx): Promise<FlagRelease> => {
      const { flag, release } = await lockReleased(tx, flagKey);
      const added = readAddedGuards(drafts, release.guards, 'guards');
      await checkGuardMetrics(tx, added, 'guards');
      const guards = [...release.guards, ...added.map((guard) => ({ ...guard, reason: why }))];
      await putGuards(tx, release.id, guards);
      await appendAudit(tx, identity, {
        ...{ action: 'ADD_RELEASE_GUARDS', flagId: flag.id },
        before: { release: release.id, guards: release.guards.map(recordedGuard) },
        after: { release: release.id, reason: why, guards: guards.map(recordedGuard) },
      });
      return { ...release, guards };
    }, TRANSACTION);
    this.changes.announce([], false, identity.origin.requestId);
    return guarded;
  }

  /**
   * Moves the release of a flag to a higher percentage at once. For an ASIL-D flag this requests a second person's
   * approval.
   *
   * @throws BAD_USER_INPUT for the reason, and as `checkPromotion`; NOT_FOUND; CONFLICT where no release is under
   *   way, or the flag is killed or disabled; FORBIDDEN where approval is needed and the caller is not a person
   */
  async promote(
    identity: CallerIdentity,
    flagKey: string,
    percentage: number,
    reason: string,
  ): Promise<FlagChangeOutcome> {
    checkPromotion(percentage, 0);
    const why = readReason(reason, 'reason');
    const change = await this.turns.$transaction(async (tx): Promise<FlagChangeOutcome> => {
      const of = await lockReleased(tx, flagKey);
      checkCurrent(of.flag, null);
      checkGoesOn(of.flag);
      checkPromotion(percentage, of.flag.release.percentage);
      if (needsSecondPerson(of.flag, of.flag, 'PROMOTE_RELEASE'))
        return requestPromotion(tx, identity, of, percentage, why);
      const flag = await moveRelease(tx, this.changes, identity, of, percentage, 'PROMOTE_RELEASE', { reason: why });
      return { flag, applied: true, changeRequest: null };
    }, TRANSACTION);
    if (change.applied) this.changes.announce([change.flag.environment], false, identity.origin.requestId);
    return change;
  }
}

async function lockReleased(tx: Transaction, flagKey: string): Promise<ReleasedFlag> {
  const flag = FLAG_KEY_PATTERN.test(flagKey) ? await lockFlag(tx, { key: flagKey }) : null;
  if (flag === null) throw notFound({ key: flagKey, field: 'flagKey' });
  const of = await releasedFlag(tx, flag);
  if (of === null) throw noRelease(flag);
  return of;
}

/** Stores a promotion as a request, whose approval `promoted` carries out. */
async function requestPromotion(
  tx: Transaction,
  identity: CallerIdentity,
  { flag, release }: ReleasedFlag,
  percentage: number,
  reason: string,
): Promise<FlagChangeOutcome> {
  const requestedById = askingPerson(identity, flag);
  const before = { release: release.id, percentage: flag.release.percentage };
  const after = { release: release.id, percentage, reason };
  const action = 'PROMOTE_RELEASE';
  const changeRequest = await insertChangeRequest(tx, { flag, edited: flag, action, before, after }, { requestedById });
  const proposed = { changeRequest: changeRequest.id, action, proposed: after };
  await appendAudit(tx, identity, { action: 'REQUEST_CHANGE', flagId: flag.id, before, after: proposed });
  return { flag, applied: false, changeRequest };
}
