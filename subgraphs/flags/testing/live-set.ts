/** The expected content of a proof, computed from the database's rows by other code than the code under test. */
import { createHash } from 'node:crypto';
import type { PrismaClient } from '../../../prisma/generated/client.ts';

const sha256 = (text: string) => createHash('sha256').update(text).digest('base64url');

/**
 * Gives the environment's revision and the digest of its living flags (keys are ASCII).
 *
 * @param environment the stored name
 */
export async function liveSet(prisma: PrismaClient, environment: string): Promise<{ revision: number; set: string }> {
  return prisma.$transaction(
    async (tx) => {
      const { revision } = await tx.environment.findUniqueOrThrow({ where: { name: environment } });
      const rows = await tx.flag.findMany({ where: { environment, archivedAt: null } });
      const members = rows
        .sort((a, b) => (a.key < b.key ? -1 : 1))
        .map((row) => `["${row.key}",${row.revision},"${sha256(row.signedDefinition ?? '')}"]`);
      return { revision: Number(revision), set: sha256(`[${members.join(',')}]`) };
    },
    { isolationLevel: 'RepeatableRead' },
  );
}
