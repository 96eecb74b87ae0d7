/**
 * The stream of what happens to change requests, on this instance: each is asked for, and decided once. It follows the
 * trail, in which each of that has its row in the same transaction, in commit order and without gaps: none is left out,
 * none comes twice. (The audit subgraph's table: docs/decisions/reading-another-subgraphs-table.md.)
 */
import type { Logger } from 'pino';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { TRAIL_APPENDED, type AuditAction } from '../../shared/audit/audit-trail.ts';
import type { Bus } from '../../shared/feeds/bus.ts';
import { PolledFeed } from '../../shared/feeds/polled-feed.ts';
import type { FeedStream } from '../../shared/feeds/feed-subscription.ts';
import { findChangeRequestsById, type ChangeRequest } from './change-request.ts';

/** How long what was announced to nobody stays unseen, in milliseconds. */
const POLL_INTERVAL = 500;
/** Rows that are read at once. */
const PAGE = 100;

const ACTIONS: readonly AuditAction[] = ['REQUEST_CHANGE', 'APPROVE_CHANGE', 'REJECT_CHANGE', 'CANCEL_CHANGE'];

interface Row {
  readonly position: number;
  readonly action: AuditAction;
  readonly id: string;
}

/** The request as the row left it: it may have been decided since it was asked for. */
function asOf(request: ChangeRequest, action: AuditAction): ChangeRequest {
  return action === 'REQUEST_CHANGE'
    ? { ...request, status: 'pending', reviewedById: null, comment: null, reviewedAt: null }
    : request;
}

export class ChangeRequestFeed {
  readonly #feed: PolledFeed<ChangeRequest>;
  /** Up to where the trail has been seen; undefined while nobody follows. */
  #head: number | undefined;

  constructor(
    private readonly prisma: PrismaClient,
    bus: Bus,
    logger: Logger,
  ) {
    this.#feed = new PolledFeed({
      bus,
      channel: TRAIL_APPENDED,
      interval: POLL_INTERVAL,
      refresh: () => this.#see(),
      head: () => this.#head,
      unfollowed: () => (this.#head = undefined),
      logger,
      failure: 'Change requests cannot be followed; it is tried again until they can',
    });
  }

  start(): Promise<void> {
    return this.#feed.start();
  }

  /** Ends every stream, as if nothing were to come any more. */
  close(): Promise<void> {
    return this.#feed.close();
  }

  /** Every request that is asked for or decided from now on. `established` resolves when all after it will come. */
  subscribe(): FeedStream<ChangeRequest> {
    return this.#feed.subscribe((position) => this.#read(position), 'now');
  }

  async #see(): Promise<void> {
    const { position } = await this.prisma.auditChain.findUniqueOrThrow({
      where: { id: 1 },
      select: { position: true },
    });
    const { subscriptions } = this.#feed;
    if (subscriptions.size === 0) return;
    const head = Number(position);
    const moved = head !== this.#head;
    this.#head = head;
    for (const subscription of subscriptions) {
      // Lower than it was: a database restored from a backup. What it appends now is new.
      subscription.rewind(head);
      if (moved) subscription.wake();
    }
  }

  async #read(position: number): Promise<{ entries: readonly ChangeRequest[]; position: number }> {
    const head = this.#head;
    if (head === undefined || position >= head) return { entries: [], position };
    const rows = await this.prisma.$queryRaw<Row[]>`
      SELECT chain_position::float8 AS position, action, after_value->>'changeRequest' AS id FROM audit_logs
      WHERE chain_position > ${position}::bigint AND chain_position <= ${head}::bigint AND action = ANY(${[...ACTIONS]}) AND after_value->>'changeRequest' IS NOT NULL
      ORDER BY chain_position LIMIT ${PAGE}`;
    const requests = new Map(
      (
        await findChangeRequestsById(
          this.prisma,
          rows.map(({ id }) => id),
        )
      ).map((request) => [request.id, request]),
    );
    const entries = rows.flatMap(({ id, action }) => {
      const request = requests.get(id);
      return request === undefined ? [] : [asOf(request, action)];
    });
    return { entries, position: rows.length < PAGE ? head : (rows.at(-1)?.position ?? head) };
  }
}
