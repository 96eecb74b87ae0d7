/** The use cases of segments. A change of one is a change of all flags that name it. Source: scopes.md, "Segments". */
import { FleetFlagError, badInput } from '../../../core/errors.ts';
import { canonicalJson } from '../../../core/json/canonical-json.ts';
import { checkJson, checkJsonSize, isJsonObject } from '../../../core/json/json-value.ts';
import { FLAG_KEY_PATTERN, type JsonObject } from '../../../core/model.ts';
import type { CallerIdentity } from '../../../core/access/caller.ts';
import {
  parseSegment,
  readSegmentKey,
  type ResolvedSegment,
  type Segments,
} from '../../../core/evaluation/segments/segment.ts';
import { storedTarget } from '../../../core/evaluation/rules/vehicle-target.ts';
import { validateFlagName } from '../../../core/validation/validate-flag.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { appendAudit } from '../../shared/audit/audit-log.ts';
import {
  inSegments,
  readSegments,
  resolveSegment,
  segmentsIn,
  withSegments,
} from '../../shared/between-subgraphs/segments.ts';
import type { Transaction, Transactor } from '../../shared/postgres/transaction.ts';
import { TRANSACTION, limitsOf, type FlagChanges } from '../changes/change.ts';
import type { ChangeSetOutcome } from '../changes/sets/change-set.ts';
import type { ChangeRequest } from '../changes/requests/change-request.ts';
import { rulesOfContents, type Flag } from '../flags/flag.ts';
import { evaluatedContent, vehicleForm, type VehicleForm } from '../flags/vehicle-form.ts';
import { findFlagsById } from '../flags/reading/flag-reads.ts';
import { readKeyPage, type PageArguments } from '../../../core/wire/api/pagination.ts';
import { checkUnchangedSince } from '../../shared/subgraph/expected-update.ts';
import {
  contentOf,
  countFlagsNaming,
  findSegments,
  flagsNaming,
  listSegments,
  namingPages,
  type NamingPage,
  type StoredSegment,
  type SegmentContent,
} from './segment.ts';
import { proposedSegment } from './segment-approval.ts';
import { isLiving, lockWithFlags, namesOf, segmentSet } from './segment-change.ts';

/** A segment's conditions before and after a change that nobody has made yet, and what it makes of each flag. */
export interface SegmentPreview {
  readonly segments: JsonObject;
  readonly changes: readonly { readonly flag: Flag; readonly preview: { readonly evaluatedContents: JsonObject } }[];
}

/** The state in which the caller of a change has seen a segment, and whether the change may disturb experiments. */
interface SaveOptions {
  readonly force?: boolean | null;
  readonly isNew?: boolean | null;
  readonly expectedUpdatedAt?: Date | null;
}

/**
 * The most flags whose rules may name a segment that is to be changed: as many as an environment is built for. They
 * change in one transaction.
 */
const MAX_FLAGS = 5_000;

/**
 * Checks a segment as a client writes it, and gives it as it is stored.
 *
 * @throws BAD_USER_INPUT at the path of the first fault, LIMIT_EXCEEDED
 */
export function readSegment(key: unknown, name: unknown, conditions: unknown): SegmentContent {
  const of = readSegmentKey(key, 'key');
  return { key: of, name: validateFlagName(name, 'name'), conditions: readConditions(conditions) };
}

function readConditions(conditions: unknown): JsonObject {
  checkJson(conditions, 'conditions');
  if (!isJsonObject(conditions)) throw badInput('conditions', 'Expected an object.');
  const parsed = parseSegment(conditions, 'conditions');
  checkJsonSize(conditions, 'conditions');
  return storedTarget(parsed, 'conditions');
}

const unknown = (key: string) =>
  new FleetFlagError('NOT_FOUND', `There is no segment ${JSON.stringify(key)}.`, { field: 'key' });

/** Reads and changes segments. */
export class SegmentService {
  constructor(
    private readonly prisma: PrismaClient,
    private readonly turns: Transactor,
    private readonly changes: FlagChanges,
  ) {}

  /**
   * Lists segments by key: a page, or at most 1,000 without a size.
   *
   * @throws as `readKeyPage`
   */
  list({ first, after }: Pick<PageArguments, 'first' | 'after'>): Promise<StoredSegment[]> {
    const page = readKeyPage({ first, after });
    return listSegments(this.prisma, page.after, first == null ? null : page.limit);
  }

  /** Counts the flags that name each segment, by key; keys that none names are left out. */
  flagCounts(keys: readonly string[]): Promise<Map<string, number>> {
    return countFlagsNaming(this.prisma, keys);
  }

  /** Gives segments by key; unknown keys are left out. */
  byKeys(keys: readonly string[]): Promise<StoredSegment[]> {
    return findSegments(this.prisma, keys);
  }

  /** Gives pages of the flags that name segments, by key. */
  async flagPages(pages: readonly NamingPage[]): Promise<Flag[][]> {
    const ids = await namingPages(this.prisma, pages);
    const flags = await this.#flagsById(ids.flat());
    return ids.map((page) => page.flatMap((id) => flags.get(id) ?? []));
  }

  /** Gives all flags that name a segment, by key. */
  async #flagsNaming(key: string): Promise<Flag[]> {
    const named = await flagsNaming(this.prisma, [key]);
    const flags = await this.#flagsById(named.map(({ flagId }) => flagId));
    return [...flags.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  async #flagsById(ids: readonly string[]): Promise<Map<string, Flag>> {
    const flags = ids.length === 0 ? [] : await findFlagsById(this.prisma, [...new Set(ids)]);
    return new Map(flags.map((flag) => [flag.id, flag]));
  }

  /**
   * Creates or changes a segment and signs all flags that name it again, as one set of changes. Where one of them is
   * ASIL-D, the set becomes one change request.
   *
   * @throws BAD_USER_INPUT, LIMIT_EXCEEDED; CONFLICT for tags in an ASIL-D flag, for another state than `options`
   *   expect, and for a change that would disturb a running experiment without `force`; FORBIDDEN for a caller that may
   *   not ask for a second person
   */
  async save(identity: CallerIdentity, content: SegmentContent, options: SaveOptions): Promise<ChangeSetOutcome> {
    const flags = (await flagsNaming(this.prisma, [content.key])).length;
    if (flags > MAX_FLAGS) throw tooMany(content.key, flags);
    const find = async (tx: Transaction) => {
      const locked = await lockWithFlags(tx, content.key);
      checkExpected(content.key, locked.present, options);
      return isSame(locked.present, content) ? null : segmentSet(tx, locked, content, options.force === true);
    };
    return this.changes.applySet(identity, find, limitsOf(flags));
  }

  /**
   * Deletes a segment and gives it.
   *
   * @throws NOT_FOUND; CONFLICT that names the flags where some name it
   */
  async remove(identity: CallerIdentity, key: string): Promise<StoredSegment> {
    if (!FLAG_KEY_PATTERN.test(key)) throw unknown(key);
    const removed = await this.turns.$transaction(async (tx) => {
      const { present, flags } = await lockWithFlags(tx, key);
      if (present === null) throw unknown(key);
      if (flags.length > 0)
        throw new FleetFlagError(
          'CONFLICT',
          `Rules of ${namesOf(flags)} name the segment ${key}; change or delete them first, those of archived flags and of drafts, too.`,
          { field: 'key' },
        );
      await tx.segment.delete({ where: { key } });
      await appendAudit(tx, identity, { action: 'DELETE_SEGMENT', before: contentOf(present) });
      return present;
    }, TRANSACTION);
    this.changes.announce([], false, identity.origin.requestId);
    return removed;
  }

  /**
   * Gives what a change of a segment would make of it and of its flags. Changes nothing.
   *
   * @throws as `readSegment`
   */
  async preview(key: string, conditions: unknown): Promise<SegmentPreview> {
    const of = readSegmentKey(key, 'key');
    const after = readConditions(conditions);
    const [present] = await this.byKeys([of]);
    const flags = (await this.#flagsNaming(of)).filter(isLiving);
    const others = await readSegments(this.prisma, [
      ...new Set(flags.flatMap((flag) => segmentsIn(rulesOfContents(flag)))),
    ]);
    const proposed: Segments = new Map([...others, [of, await resolveSegment(this.prisma, after)]]);
    const changes = flags.map((flag) => ({
      flag,
      // A getter: GraphQL computes it for the flags of one page only.
      get preview() {
        return { evaluatedContents: { before: evaluatedWith(flag, others), after: evaluatedWith(flag, proposed) } };
      },
    }));
    return { segments: { before: present?.conditions ?? null, after }, changes };
  }

  /** Gives the segments that the rules of a flag name. */
  namedBy(flag: Flag): Promise<Segments> {
    return readSegments(this.prisma, segmentsIn(rulesOfContents(flag)));
  }

  /** Gives segments with the vehicles that their tags select now; unknown keys are left out. */
  resolved(keys: readonly string[]): Promise<Segments> {
    return readSegments(this.prisma, keys);
  }

  /** Gives the segment that a request proposes, with the vehicles that its tags select now. */
  proposedBy(request: ChangeRequest): Promise<ResolvedSegment> {
    return resolveSegment(this.prisma, proposedSegment(request).conditions);
  }

  /** Gives a flag in the form that vehicles have, with what its segments say now in place of their names. */
  async expanded(flag: Flag): Promise<VehicleForm> {
    const form = vehicleForm(flag);
    return (await withSegments(this.prisma, [form]))[0] ?? form;
  }
}

const evaluatedWith = (flag: Flag, segments: Segments) => evaluatedContent(inSegments(vehicleForm(flag), segments));

/**
 * Refuses a change to a segment that has changed since the caller read it.
 *
 * @throws CONFLICT
 */
function checkExpected(key: string, present: StoredSegment | null, { isNew, expectedUpdatedAt }: SaveOptions): void {
  if (isNew === true && present !== null)
    throw new FleetFlagError('CONFLICT', `The segment ${key} already exists.`, { field: 'key' });
  checkUnchangedSince(`The segment ${key}`, present?.updatedAt ?? null, expectedUpdatedAt);
}

function isSame(present: StoredSegment | null, content: SegmentContent): boolean {
  return present !== null && canonicalJson(contentOf(present)) === canonicalJson(contentOf(content));
}

const tooMany = (key: string, flags: number) =>
  new FleetFlagError(
    'LIMIT_EXCEEDED',
    `${flags} flags name the segment ${key}; a change of a segment may concern ${MAX_FLAGS}.`,
    { field: 'key', limit: MAX_FLAGS },
  );
