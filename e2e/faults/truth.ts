/** The state after a run, read from the stores themselves, past everything that was tested. */
import type { Truth } from '../../tests/faults/history.ts';
import type { Cluster } from './cluster.ts';
import { METRIC } from './fleet-messages.ts';
import { onPostgres } from './nemesis.ts';

interface StoredRule {
  readonly type: string;
  readonly enabled: boolean;
  readonly conditions: {
    readonly force_disabled?: boolean;
    readonly reason?: string;
    readonly rollout_percentage?: number;
  };
}
interface StoredContent {
  readonly defaultValue: number;
  readonly enabled: boolean;
  readonly rules: readonly StoredRule[];
}

/** Selects the rows of the audit log that record a change of a flag. A row without a difference records an attempt. */
const FLAG_CHANGES = `SELECT f.key AS flag, a.action, u.email AS by FROM audit_logs a JOIN flags f ON f.id = a.flag_id
  LEFT JOIN users u ON u.id = a.user_id
  WHERE a.before_value IS DISTINCT FROM a.after_value ORDER BY a.chain_position`;

/**
 * Reads the whole state of the environment `production`.
 *
 * @param isAuditIntact the result of `auditIntegrity`
 * @param reviewed the flags whose changes need a second person
 * @param connected the VINs that hold a connection at this moment
 */
export async function readTruth(
  cluster: Cluster,
  isAuditIntact: boolean,
  reviewed: readonly string[],
  connected: readonly string[],
): Promise<Truth> {
  const stored = await fetch(cluster.clickhouse.url, {
    method: 'POST',
    body: `SELECT vin, toUInt32(count()) AS number FROM metric_rows FINAL WHERE metric = '${METRIC}' GROUP BY vin FORMAT JSONEachRow`,
  });
  const measurements = Object.fromEntries(
    (await stored.text())
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as { vin: string; number: number })
      .map(({ vin, number }) => [vin, number]),
  );
  return onPostgres(cluster, async (client) => {
    const rows = async <Row extends object>(text: string) => (await client.query<Row>(text)).rows;
    const [environment] = await rows<{ revision: string }>(
      "SELECT revision FROM environments WHERE name = 'production'",
    );
    const versions = await rows<{ flag: string; revision: string; content: StoredContent; by: string | null }>(
      `SELECT f.key AS flag, v.revision, v.content, u.email AS by FROM flag_versions v JOIN flags f ON f.id = v.flag_id
       LEFT JOIN users u ON u.id = v.created_by WHERE v.environment = 'production' ORDER BY v.revision`,
    );
    const living = await rows<{ key: string; revision: string }>(
      "SELECT key, revision FROM flags WHERE environment = 'production' AND archived_at IS NULL AND signed_definition IS NOT NULL",
    );
    const requests = await rows<Truth['requests'][number] & { value: number | string }>(
      `SELECT r.id, f.key AS flag, r.proposed->'defaultValue' AS value, r.status, p.email AS "requestedBy", q.email AS "reviewedBy"
       FROM change_requests r JOIN flags f ON f.id = r.flag_id JOIN users p ON p.id = r.requested_by LEFT JOIN users q ON q.id = r.reviewed_by`,
    );
    const steps = await rows<Truth['steps'][number] & { percentage: string; revision: string | null }>(
      `SELECT s.rollout_id AS rollout, f.key AS flag, s.position, s.percentage, s.applied_at AS "appliedAt", s.revision
       FROM rollout_steps s JOIN rollouts r ON r.id = s.rollout_id JOIN flags f ON f.id = r.flag_id ORDER BY s.rollout_id, s.position`,
    );
    const online = await rows<{ vin: string }>("SELECT vin FROM vehicles WHERE status = 'online' ORDER BY vin");
    return {
      revision: Number(environment?.revision),
      versions: versions.map(({ flag, revision, content, by }) => {
        const kills = content.rules.filter(
          ({ type, enabled, conditions }) => type === 'kill_switch' && enabled && conditions.force_disabled === true,
        );
        const rollout = content.rules.find(({ type }) => type === 'percentage_rollout');
        return {
          flag,
          revision: Number(revision),
          value: content.defaultValue,
          enabled: content.enabled,
          killed: kills.length > 0,
          by,
          reasons: kills.map(({ conditions }) => conditions.reason ?? ''),
          percentage: rollout?.conditions.rollout_percentage ?? null,
        };
      }),
      living: living.map(({ key, revision }) => [key, Number(revision)] as const),
      audit: await rows<Truth['audit'][number]>(FLAG_CHANGES),
      isAuditIntact,
      reviewed,
      requests,
      steps: steps.map((step) => ({
        ...step,
        percentage: Number(step.percentage),
        revision: step.revision === null ? null : Number(step.revision),
      })),
      measurements,
      online: online.map(({ vin }) => vin),
      connected,
    };
  });
}
