/**
 * The stream of change requests as they are created and decided, on this instance. It reads the audit log, in which
 * each such event has its row in the same transaction, in commit order and without gaps, so every event arrives exactly
 * once. (The audit log is the audit subgraph's table: docs/decisions/data/reading-another-subgraphs-table.md.)
 */
import type { Logger } from 'pino';
import type { PrismaClient } from '../../../../prisma/generated/client.ts';
import { AUDIT_LOG_APPENDED, type AuditAction } from '../../../shared/audit/audit-log.ts';
import { headPosition } from '../../../shared/audit/head-position.ts';
import type { Bus } from '../../../shared/feeds/bus.ts';
import { PolledFeed } from '../../../shared/feeds/polled-feed.ts';
import type { FeedStream } from '../../../shared/feeds/feed-subscription.ts';
import { findChangeRequestsById, type ChangeRequest } from './change-request.ts';
import { is } from '../../../../core/json/shape.ts';
import { rowsOf } from '../../../shared/postgres/rows.ts';

/** The polling interval in milliseconds; the longest delay after a lost announcement. */
const POLL_INTERVAL_MS = 500;
/** The most rows of one read. */
const PAGE = 100;

const ACTIONS = [
  'REQUEST_CHANGE',
  'APPROVE_CHANGE',
  'REJECT_CHANGE',
  'CANCEL_CHANGE',
] as const satisfies readonly AuditAction[];

/** Gives the request as the row's action left it; its stored status may be newer. */
function asOf(request: ChangeRequest, action: AuditAction): ChangeRequest {
  return action === 'REQUEST_CHANGE'
    ? { ...request, status: 'pending', reviewedById: null, comment: null, reviewedAt: null }
    : request;
}

/** Follows the audit log for change requests while there are subscriptions. */
export class ChangeRequestFeed extends PolledFeed<ChangeRequest> {
  constructor(
    private readonly prisma: PrismaClient,
    bus: Bus,
    logger: Logger,
  ) {
    super({
      bus,
      channel: AUDIT_LOG_APPENDED,
      intervalMs: POLL_INTERVAL_MS,
      readHead: () => headPosition(prisma),
      logger,
      failure: 'Cannot read change requests for streams; trying again until they can be read',
    });
  }

  /**
   * Streams every request that is created or decided from now on. `established` resolves when every later one is
   * certain to arrive.
   */
  subscribe(): FeedStream<ChangeRequest> {
    return this.stream((position, head) => this.#read(position, head), 'now');
  }

  async #read(position: number, head: number): Promise<{ entries: readonly ChangeRequest[]; position: number }> {
    const rows = await rowsOf(this.prisma, { position: is.number, action: is.oneOf(ACTIONS), id: is.string })`
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
