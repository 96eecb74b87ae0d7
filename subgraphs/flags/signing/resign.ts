/**
 * Signs again what another key has signed, as a new revision with the same content, because only a new revision reaches
 * vehicles that are up to date. docs/decisions/trust/key-rotation.md says why this is a command and does not happen at
 * start.
 */
import { ENVIRONMENTS, type Environment } from '../../../core/model.ts';
import type { CallerIdentity } from '../../../core/access/caller.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { appendAudit } from '../../shared/audit/audit-log.ts';
import { vehicleForm } from '../flags/vehicle-form.ts';
import { withSegments } from '../../shared/between-subgraphs/segments.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';
import { signingKeyId } from './public-keys.ts';
import type { Signer } from './signing.ts';
import { lockFlag, nextRevision, saveSignatures } from '../flags/flag-store.ts';
import { putTombstones } from '../partitions/tombstones.ts';
import { is } from '../../../core/json/shape.ts';
import { rowsOf } from '../../shared/postgres/rows.ts';

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
  /** The partition that the flag has left, in a tombstone; empty for every one. */
  readonly partition: string;
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
  const rows = await rowsOf(prisma, {
    environment: is.oneOf(ENVIRONMENTS),
    key: is.string,
    removed: is.boolean,
    partition: is.string,
    header: is.nullable(is.string),
  })`
    SELECT environment, key, false AS removed, '' AS partition, split_part(signed_definition, '.', 1) AS header FROM flags WHERE archived_at IS NULL
    UNION ALL
    SELECT environment, key, true, partition, split_part(signed_definition, '.', 1) FROM flag_tombstones
    ORDER BY environment, key, removed, partition`;
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
    if (await prisma.$transaction((tx) => resign(tx, signer, identity, signed), TRANSACTION)) count += 1;
  }
  return count;
}

/** Signs one definition or tombstone again. Gives false when it has been changed or signed meanwhile. */
async function resign(
  tx: Transaction,
  signer: Signer,
  identity: CallerIdentity,
  { environment, key, removed, partition }: Signed,
): Promise<boolean> {
  // The flag's lock comes first, as in every change: a flag that is returning just now removes its tombstone.
  const flag = await lockFlag(tx, { key });
  if (flag === null) return false;
  const isHere = flag.environment === environment;
  const living = flag.archivedAt === null && isHere ? flag : null;
  const held = removed
    ? await tx.flagTombstone.findUnique({ where: { environment_partition_key: { environment, partition, key } } })
    : living;
  const formerKey = held === null ? null : signingKeyId(held.signedDefinition);
  if (held === null || formerKey === signer.kid) return false;
  const revision = await nextRevision(tx, environment);
  const form = vehicleForm(flag);
  const [expanded = form] = removed ? [] : await withSegments(tx, [form]);
  const signedDefinition = removed
    ? await signer.tombstone(environment, key, revision, partition || null)
    : await signer.definition({ ...expanded, revision });
  if (removed)
    await putTombstones(tx, environment, [{ key, partition: partition || null, revision, signedDefinition }]);
  // An archived flag carries its tombstone. updatedAt stays: nobody has changed the flag.
  if (!removed || (flag.archivedAt !== null && isHere))
    await saveSignatures(tx, [{ ...flag, revision, signedDefinition }]);
  const content = { environment, removed, ...(partition !== '' && { partition }) };
  await appendAudit(tx, identity, {
    action: 'UPDATE_FLAG',
    flagId: flag.id,
    before: { ...content, revision: Number(held.revision), signingKey: formerKey },
    after: { ...content, revision, signingKey: signer.kid },
  });
  return true;
}
