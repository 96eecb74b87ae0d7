/**
 * Signs again what another key has signed, as a new revision with the same content, because only a new revision reaches
 * vehicles that are up to date. docs/decisions/key-rotation.md says why this is a command and does not happen at start.
 */
import type { Environment } from '../../../core/model.ts';
import type { CallerIdentity } from '../../../core/access/caller.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { appendAudit } from '../../shared/audit/audit-log.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import { signingKeyId } from './public-keys.ts';
import type { Signer } from './signing.ts';
import { lockFlag, nextRevision, putTombstone } from '../flags/flag-store.ts';

/**
 * The number of definitions and tombstones of an environment that a key has signed. `kid` is null when it cannot be
 * read.
 */
export interface SignatureCount {
  readonly environment: Environment;
  readonly kid: string | null;
  readonly count: number;
}

/** One definition or tombstone that vehicles may receive. */
interface Signed {
  readonly environment: Environment;
  readonly key: string;
  readonly removed: boolean;
  readonly kid: string | null;
}

const TRANSACTION = { maxWait: 5_000, timeout: 10_000 } as const;

/** Counts what each key has signed, by environment, among all that vehicles may receive. */
export async function countSignatures(prisma: PrismaClient): Promise<SignatureCount[]> {
  const counts = new Map<string, SignatureCount>();
  for (const { environment, kid } of await allSigned(prisma)) {
    const id = `${environment} ${kid}`;
    counts.set(id, { environment, kid, count: (counts.get(id)?.count ?? 0) + 1 });
  }
  return [...counts.values()];
}

/** Reads only the headers, because definitions may be large. */
async function allSigned(prisma: PrismaClient): Promise<Signed[]> {
  const rows = await prisma.$queryRaw<
    { environment: Environment; key: string; removed: boolean; header: string | null }[]
  >`
    SELECT environment, key, false AS removed, split_part(signed_definition, '.', 1) AS header FROM flags WHERE archived_at IS NULL
    UNION ALL
    SELECT environment, key, true, split_part(signed_definition, '.', 1) FROM flag_tombstones
    ORDER BY environment, key, removed`;
  return rows.map(({ header, ...row }) => ({ ...row, kid: signingKeyId(`${header ?? ''}..`) }));
}

/**
 * Signs again everything in an environment that another key than the signer's has signed; each in its own transaction
 * with a new revision and an audit row. When interrupted, the next run continues. The caller then announces the
 * environment (FLAGS_CHANGED).
 *
 * @returns the number of definitions and tombstones that were signed
 */
export async function resignEnvironment(
  prisma: PrismaClient,
  signer: Signer,
  identity: CallerIdentity,
  environment: Environment,
): Promise<number> {
  let count = 0;
  for (const signed of await allSigned(prisma)) {
    if (signed.environment !== environment || signed.kid === signer.kid) continue;
    const resign = signed.removed ? resignTombstone : resignFlag;
    if (await prisma.$transaction((tx) => resign(tx, signer, identity, signed), TRANSACTION)) count += 1;
  }
  return count;
}

/** Signs one flag again. Gives false when it has been changed or signed meanwhile. */
async function resignFlag(
  tx: Transaction,
  signer: Signer,
  identity: CallerIdentity,
  { environment, key }: Signed,
): Promise<boolean> {
  const flag = await lockFlag(tx, { key });
  if (flag === null || flag.archivedAt !== null || flag.environment !== environment) return false;
  const formerKey = signingKeyId(flag.signedDefinition);
  if (formerKey === signer.kid) return false;
  const revision = await nextRevision(tx, environment);
  const signedDefinition = await signer.definition({ ...flag, revision });
  // updatedAt stays: nobody has changed the flag.
  await tx.flag.update({ where: { id: flag.id }, data: { revision, signedDefinition, updatedAt: flag.updatedAt } });
  await record(tx, signer, identity, {
    flagId: flag.id,
    environment,
    removed: false,
    formerKey,
    from: flag.revision,
    to: revision,
  });
  return true;
}

async function resignTombstone(
  tx: Transaction,
  signer: Signer,
  identity: CallerIdentity,
  { environment, key }: Signed,
): Promise<boolean> {
  // The flag's lock comes first, as in every change: a flag that is returning just now removes its tombstone.
  const flag = await lockFlag(tx, { key });
  const tombstone = await tx.flagTombstone.findUnique({ where: { environment_key: { environment, key } } });
  const formerKey = tombstone === null ? null : signingKeyId(tombstone.signedDefinition);
  if (flag === null || tombstone === null || formerKey === signer.kid) return false;
  const revision = await nextRevision(tx, environment);
  const signedDefinition = await signer.tombstone(environment, key, revision);
  await putTombstone(tx, environment, key, revision, signedDefinition);
  if (flag.archivedAt !== null && flag.environment === environment) {
    await tx.flag.update({ where: { id: flag.id }, data: { revision, signedDefinition, updatedAt: flag.updatedAt } });
  }
  await record(tx, signer, identity, {
    flagId: flag.id,
    environment,
    removed: true,
    formerKey,
    from: Number(tombstone.revision),
    to: revision,
  });
  return true;
}

interface Resigned {
  readonly flagId: string;
  readonly environment: Environment;
  readonly removed: boolean;
  readonly formerKey: string | null;
  readonly from: number;
  readonly to: number;
}

async function record(
  tx: Transaction,
  signer: Signer,
  identity: CallerIdentity,
  { flagId, environment, removed, formerKey, from, to }: Resigned,
): Promise<void> {
  const what = { environment, removed };
  await appendAudit(tx, identity, {
    action: 'UPDATE_FLAG',
    flagId,
    before: { ...what, revision: from, signingKey: formerKey },
    after: { ...what, revision: to, signingKey: signer.kid },
  });
}
