/**
 * Writes events for webhooks: one delivery for each webhook that wants the kind, in the transaction of what has
 * happened. It is sent only after that commits, and never where it rolls back (docs/decisions/data/webhooks.md). The
 * audit subgraph sends (subgraphs/audit/webhooks/).
 */
import { canonicalJson } from '../../../core/json/canonical-json.ts';
import { SAFETY_LEVELS, type Environment, type JsonObject } from '../../../core/model.ts';
import { Prisma } from '../../../prisma/generated/client.ts';
import { rowBatches } from '../postgres/row-batches.ts';
import type { Transaction } from '../postgres/transaction.ts';
import type { FlagKind, FlagPayload, WebhookKind, WebhookPayload } from './webhook-event.ts';

/** The condition for webhooks that get a kind, both as SQL; that of webhooks is about `webhooks w`. */
const wants = (kind: Prisma.Sql) => Prisma.sql`w.enabled AND w.deleted_at IS NULL AND ${kind} = ANY (w.kinds)`;

/** SQL for a value of JSON. */
const json = (value: JsonObject) => Prisma.sql`${canonicalJson(value)}::jsonb`;

/**
 * Notifies webhooks of something that concerns no single flag. A webhook gets the same `occurrence` once, for as long
 * as its deliveries are kept.
 *
 * @param options `only`: the ids of the webhooks that may get it; `environment`: where it happened, which a webhook for
 *   some environments has to want. Null: all that want the kind
 */
export async function notifyWebhooks<Kind extends Exclude<WebhookKind, FlagKind>>(
  tx: Transaction,
  kind: Kind,
  data: WebhookPayload<Kind> & JsonObject,
  {
    occurrence = null,
    only = null,
    environment = null,
  }: {
    readonly occurrence?: string | null;
    readonly only?: readonly string[] | null;
    readonly environment?: Environment | null;
  } = {},
): Promise<void> {
  const among = only === null ? Prisma.sql`true` : Prisma.sql`w.id = ANY (${[...only]}::uuid[])`;
  const there =
    environment === null
      ? Prisma.sql`true`
      : Prisma.sql`(w.environments = '{}' OR ${environment} = ANY (w.environments::text[]))`;
  await tx.$executeRaw`
    INSERT INTO webhook_deliveries (webhook_id, kind, occurrence, payload)
    SELECT w.id, ${kind}, ${occurrence}, ${json(data)} FROM webhooks w WHERE ${wants(Prisma.sql`${kind}`)} AND ${among} AND ${there}
    ON CONFLICT (webhook_id, occurrence) DO NOTHING`;
}

/** The most keys of a payload. */
const MAX_KEYS = 100;

/**
 * SQL for the flags of a change request: one row with `payload`, the members of an event that they decide, and with
 * their `environments`. The draft of an ended request has lost its key, which the request still has.
 *
 * @param id SQL for the request's id; where that is null, so are both columns
 */
const flagsOf = (id: Prisma.Sql) => Prisma.sql`
  SELECT array_agg(DISTINCT of.environment::text) AS environments, CASE WHEN count(*) > 0 THEN jsonb_build_object(
    'flagKey', (array_agg(member.key ORDER BY member.position))[1],
    'flagKeys', (array_agg(member.key ORDER BY member.position))[1:${MAX_KEYS}::int],
    'flagCount', count(*), 'environments', array_agg(DISTINCT of.environment::text),
    'safetyLevel', (${[...SAFETY_LEVELS]}::text[])[max(array_position(${[...SAFETY_LEVELS]}::text[], of.safety_level::text))]
  ) END AS payload
  FROM (
    SELECT flag_id, proposed->>'key' AS key, position FROM change_set_members WHERE change_request_id = ${id}
    UNION ALL SELECT flag_id, proposed->>'key', 0 FROM change_requests alone
    WHERE alone.id = ${id} AND NOT EXISTS (SELECT FROM change_set_members WHERE change_request_id = ${id})
  ) member JOIN flags of ON of.id = member.flag_id`;

/** Something that happened to a flag. */
export interface FlagNotice {
  readonly kind: FlagKind;
  readonly flagId: string;
  readonly data: JsonObject;
  /**
   * The request that it is about, where there is one. The draft of an ended one has lost its key, which the request
   * still has.
   */
  readonly changeRequestId: string | null;
}

/** Gives the notice of something that happened to a flag, with the data of its kind. */
export function flagNotice<Kind extends FlagKind>(
  kind: Kind,
  flagId: string,
  data: FlagPayload<Kind> & JsonObject,
  changeRequestId: string | null = null,
): FlagNotice {
  return { kind, flagId, data, changeRequestId };
}

/**
 * Notifies webhooks of events of flags, in this order: each webhook that wants the flag's environment, or that of any
 * flag of the request.
 */
export async function notifyOfFlags(tx: Transaction, notices: readonly FlagNotice[]): Promise<void> {
  for (const batch of rowBatches(notices))
    await tx.$executeRaw`
      INSERT INTO webhook_deliveries (webhook_id, kind, payload)
      SELECT w.id, n.kind, n.data::jsonb
        || jsonb_build_object('flagKey', f.key, 'environment', f.environment, 'safetyLevel', f.safety_level)
        || COALESCE(asked.payload, '{}')
      FROM unnest(
        ${batch.map(({ kind }) => kind)}::text[], ${batch.map(({ flagId }) => flagId)}::uuid[],
        ${batch.map(({ data }) => canonicalJson(data))}::text[], ${batch.map((notice) => notice.changeRequestId)}::uuid[]
      ) WITH ORDINALITY AS n (kind, flag_id, data, change_request_id, position)
      JOIN flags f ON f.id = n.flag_id JOIN webhooks w ON ${wants(Prisma.sql`n.kind`)}
      CROSS JOIN LATERAL (${flagsOf(Prisma.sql`n.change_request_id`)}) AS asked
      WHERE w.environments = '{}' OR f.environment = ANY (w.environments) OR asked.environments && w.environments::text[]
      ORDER BY n.position`;
}
