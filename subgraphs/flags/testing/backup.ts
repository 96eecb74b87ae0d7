/** A backup of the flags, which can be restored into the running database, as an operator might do. */
import { Prisma, type PrismaClient } from '../../../prisma/generated/client.ts';
import { rowCount } from '../../shared/postgres/rows.ts';

type Json = Prisma.InputJsonValue;

/**
 * Backs up flags, their versions, rules, tombstones and environments; the returned function restores them. Flags
 * created since are archived, because the audit log names them.
 */
export async function backUp(prisma: PrismaClient): Promise<() => Promise<void>> {
  const [flags, versions, rules, tombstones, environments] = await Promise.all([
    prisma.flag.findMany(),
    prisma.flagVersion.findMany(),
    prisma.rule.findMany(),
    prisma.flagTombstone.findMany(),
    prisma.environment.findMany(),
  ]);
  return async () => {
    await prisma.$transaction(async (tx) => {
      await tx.rule.deleteMany();
      await rowCount(tx)`UPDATE flags SET scope = NULL`;
      for (const { id, scope, ...flag } of flags)
        await tx.flag.update({
          where: { id },
          data: {
            ...flag,
            // Prisma reads null as an empty list.
            ...(scope.length > 0 && { scope }),
            defaultValue: flag.defaultValue as Json,
            requires: flag.requires as Json,
            valueSchema: flag.valueSchema === null ? Prisma.DbNull : (flag.valueSchema as Json),
            release: flag.release === null ? Prisma.DbNull : (flag.release as Json),
          },
        });
      await tx.flag.updateMany({
        where: { id: { notIn: flags.map(({ id }) => id) }, archivedAt: null },
        data: { archivedAt: new Date() },
      });
      for (const { value, ...rule } of rules)
        await tx.rule.create({
          data: { ...rule, conditions: rule.conditions as Json, ...(value !== null && { value }) },
        });
      await tx.flagVersion.deleteMany();
      await tx.flagVersion.createMany({
        data: versions.map(({ content, ...version }) => ({ ...version, content: content as Json })),
      });
      await tx.flagTombstone.deleteMany();
      await tx.flagTombstone.createMany({ data: tombstones });
      for (const { name, ...environment } of environments)
        await tx.environment.update({ where: { name }, data: environment });
    });
  };
}
