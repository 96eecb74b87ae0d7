/**
 * `npm run admin -- audit-export`: writes a period of the audit log as JSON Lines that can be verified elsewhere
 * (docs/operations/audit.md).
 */
import { parseArgs } from 'node:util';
import { canonicalJson } from '../../../core/json/canonical-json.ts';
import { Prisma, type PrismaClient } from '../../../prisma/generated/client.ts';
import { chainPiece, chainRows } from '../../../subgraphs/audit/log/chain-store.ts';
import type { Transaction } from '../../../subgraphs/shared/postgres/transaction.ts';
import { withAdminDatabase } from '../admin-database.ts';
import { readArguments, type AdminCommand } from '../command.ts';
import { refuseExisting, writeWhole } from '../whole-file.ts';

/** The help text of `audit-export`. */
export const AUDIT_EXPORT_USAGE = `npm run admin -- audit-export --from TIME --to TIME [--out FILE.jsonl] [--force]
    Writes the audit log from (inclusive) one time to (exclusive) another, both ISO 8601 such as 2026-01-01T00:00:00Z,
    to the file, or to the output (then: npm run --silent admin -- audit-export …). --force replaces a file.`;

/** The most rows held at once. */
const PAGE_SIZE = 200;

/** The most milliseconds of an export. Its transaction holds a snapshot until the last row is written. */
const EXPORT_TIMEOUT_MS = 24 * 3_600_000;

const ISO_TIME = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d))?$/;

function readTime(option: string, text: string | undefined): Date {
  const time = new Date(text ?? '');
  if (text === undefined || !ISO_TIME.test(text) || Number.isNaN(time.getTime()) || time.getTime() < 0) {
    throw new Error(`--${option} must be a time in ISO 8601 with its zone, or a date (UTC), from 1970 on.`);
  }
  return time;
}

/**
 * Gives the lines of an export: a header, and each row in canonical JSON, so that every value has only one spelling.
 */
async function* exportLines(db: Transaction, from: Date, to: Date): AsyncGenerator<string, void, undefined> {
  const piece = await chainPiece(db, from, to);
  const empty = { firstPosition: null, lastPosition: null, count: 0, previousHash: null, lastHash: null };
  yield canonicalJson({ fleetflagAuditExport: 1, from: from.toISOString(), to: to.toISOString(), ...(piece ?? empty) });
  if (piece === null) return;
  let place: { position: number; id: string | null } = { position: piece.firstPosition - 1, id: null };
  for (;;) {
    const rows = await chainRows(db, place, piece.lastPosition, PAGE_SIZE);
    for (const row of rows) yield canonicalJson(row);
    const last = rows.at(-1);
    if (last === undefined) return;
    place = last;
  }
}

async function* withLineEnds(lines: AsyncIterable<string>): AsyncGenerator<string, void, undefined> {
  for await (const line of lines) yield `${line}\n`;
}

/** Calls `use` with a snapshot of the audit log. */
function atOneMoment<T>(prisma: PrismaClient, use: (db: Transaction) => Promise<T>): Promise<T> {
  return prisma.$transaction(
    async (tx) => {
      await tx.$executeRaw`SET LOCAL idle_in_transaction_session_timeout = '10min'`;
      return use(tx);
    },
    { isolationLevel: Prisma.TransactionIsolationLevel.RepeatableRead, timeout: EXPORT_TIMEOUT_MS },
  );
}

/** Runs `audit-export`. Exit codes: 0 done, 1 failed, 2 wrong usage. */
export const auditExportCommand: AdminCommand = async (args, configuration, output) => {
  const { from, to, out, force } = readArguments(AUDIT_EXPORT_USAGE, () => {
    const options = {
      from: { type: 'string' },
      to: { type: 'string' },
      out: { type: 'string' },
      force: { type: 'boolean', default: false },
    } as const;
    const { values } = parseArgs({ args: [...args], options });
    const period = { from: readTime('from', values.from), to: readTime('to', values.to) };
    if (period.from > period.to) throw new Error('--to must not be before --from.');
    return { ...period, out: values.out, force: values.force };
  });
  if (out !== undefined && !force) await refuseExisting(out);
  await withAdminDatabase(configuration, output, (prisma) =>
    atOneMoment(prisma, async (db) => {
      const lines = exportLines(db, from, to);
      if (out !== undefined) await writeWhole(out, withLineEnds(lines), { replace: force });
      else for await (const line of lines) output.out(line);
    }),
  );
  return 0;
};
