/** Positions of status changes and their announcements, which status-feed.ts follows. */
import type { Logger } from 'pino';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import type { Bus } from '../../shared/feeds/bus.ts';
import { VEHICLE_MODELS_CHANGED } from '../../shared/between-subgraphs/vehicle-models.ts';
import type { Transaction } from '../../shared/postgres/transaction.ts';

/** The bus channel that announces status changes. Messages are empty. */
export const STATUSES_CHANGED = 'vehicle-statuses-changed';

/**
 * Announces a change; call it after the commit. Announcements only make changes arrive sooner: losing one is no error.
 * `requestId`, of the request that has made the change, is for the log.
 */
export type AnnounceStatuses = (requestId?: string) => void;

/** Creates the function that announces changes on the bus. It logs failures and never throws. */
export function statusAnnouncer(bus: Bus, logger: Logger): AnnounceStatuses {
  return (requestId) =>
    void bus
      .publish(STATUSES_CHANGED, '')
      .catch((error: unknown) =>
        logger.warn(
          { err: error, requestId },
          'Cannot announce changed statuses of vehicles; streams find them by polling',
        ),
      );
}

/** Creates the function that announces vehicles with other registered facts. It logs failures and never throws. */
export function modelsAnnouncer(bus: Bus, logger: Logger): () => void {
  return () =>
    void bus
      .publish(VEHICLE_MODELS_CHANGED, '')
      .catch((error: unknown) =>
        logger.warn({ err: error }, 'Cannot announce registered vehicles; gateways find their partitions by polling'),
      );
}

/**
 * Gives the position for a change that is about to be written. Its row stays locked until the transaction ends, so lock
 * vehicles first.
 */
export async function nextStatusPosition(tx: Transaction): Promise<bigint> {
  const { position } = await tx.vehicleStatusHead.update({ where: { id: 1 }, data: { position: { increment: 1 } } });
  return position;
}

/** Gives the position of the last change; every change up to it is committed. */
export async function statusHead(prisma: PrismaClient): Promise<number> {
  const head = await prisma.vehicleStatusHead.findUniqueOrThrow({ where: { id: 1 } });
  return Number(head.position);
}
