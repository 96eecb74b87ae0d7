/** A backup of the flags, which can be restored into the running database, as an operator might do. */
import type { Prisma, PrismaClient } from '../../../prisma/generated/client.ts';

type Json = Prisma.InputJsonValue;

/**
 * Backs up flags, rules, tombstones and environments; the returned function restores them. Flags created since are
 * archived, because the audit log names them.
 */
export async function backUp(prisma: PrismaClient): Promise<() => Promise<void>> {
  const [flags, rules, tombstones, environments] = await Promise.all([
    prisma.flag.findMany(),
    prisma.rule.findMany(),
    prisma.flagTombstone.findMany(),
    prisma.environment.findMany(),
  ]);
  return async () => {
    await prisma.$transaction(async (tx) => {
      await tx.rule.deleteMany();
      for (const { id, ...flag } of flags)
        await tx.flag.update({ where: { id }, data: { ...flag, defaultValue: flag.defaultValue as Json } });
      await tx.flag.updateMany({
        where: { id: { notIn: flags.map(({ id }) => id) }, archivedAt: null },
        data: { archivedAt: new Date() },
      });
      for (const { value, ...rule } of rules)
        await tx.rule.create({
          data: { ...rule, conditions: rule.conditions as Json, ...(value !== null && { value }) },
        });
      await tx.flagTombstone.deleteMany();
      await tx.flagTombstone.createMany({ data: tombstones });
      for (const { name, ...environment } of environments)
        await tx.environment.update({ where: { name }, data: environment });
    });
  };
}
