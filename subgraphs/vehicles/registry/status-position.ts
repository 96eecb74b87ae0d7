/** Positions of changes of a vehicle's status, and their announcement: what status-feed.ts follows. */
import type { Logger } from 'pino';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import type { Bus } from '../../shared/feeds/bus.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';

/** The bus channel that says that a status has changed; the message is empty. */
export const STATUSES_CHANGED = 'vehicle-statuses-changed';

/** Called after the commit of a change. Announcements only make it arrive sooner: losing one is no error. */
export type AnnounceStatuses = () => void;

export function statusAnnouncer(bus: Bus, logger: Logger): AnnounceStatuses {
  return () =>
    void bus
      .publish(STATUSES_CHANGED, '')
      .catch((error: unknown) => logger.warn({ err: error }, 'Changed statuses were not announced'));
}

/**
 * The position of a change that is about to be written. Its row lock is held until the transaction ends: take vehicles'
 * locks before.
 */
export async function nextStatusPosition(tx: Transaction): Promise<bigint> {
  const { position } = await tx.vehicleStatusHead.update({ where: { id: 1 }, data: { position: { increment: 1 } } });
  return position;
}

/** The position of the last change; all up to it is committed. */
export async function statusHead(prisma: PrismaClient): Promise<number> {
  const head = await prisma.vehicleStatusHead.findUniqueOrThrow({ where: { id: 1 } });
  return Number(head.position);
}
