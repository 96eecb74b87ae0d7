/** Assembles webhooks: the service, the job that sends, and the checks. */
import type { Logger } from 'pino';
import type { WebhookSecrets } from '../../../core/credentials/webhook-secret.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import type { Bus } from '../../shared/feeds/bus.ts';
import type { IntegrityChecks } from '../log/integrity.ts';
import { CheckJob } from './checks/check-job.ts';
import { checkApiKeys, checkAuditChain, checkFleet, removeOldDeliveries } from './checks/checks.ts';
import { AddressPolicy } from './sending/address-policy.ts';
import { DeliveryJob } from './sending/delivery-job.ts';
import { WebhookService } from './webhook-service.ts';

/** The settings of webhooks. */
export interface WebhookOptions {
  readonly secrets: WebhookSecrets;
  /** Private addresses and ranges (CIDR) to which webhooks may be sent, over http as well. */
  readonly allowedAddresses: readonly string[];
}

const [MINUTE, HOUR] = [60, 3_600] as const;

/** Creates the service and the jobs, which `start` starts. */
export function createWebhooks(
  prisma: PrismaClient,
  bus: Bus,
  integrity: IntegrityChecks,
  { secrets, allowedAddresses }: WebhookOptions,
  logger: Logger,
) {
  const policy = new AddressPolicy(allowedAddresses);
  const deliveries = new DeliveryJob({ prisma, bus, secrets, policy, logger });
  const checks = new CheckJob(
    prisma,
    [
      { name: 'api-keys', intervalSeconds: 5 * MINUTE, run: () => checkApiKeys(prisma) },
      { name: 'fleet', intervalSeconds: 20, run: () => checkFleet(prisma) },
      {
        name: 'audit-chain',
        intervalSeconds: 6 * HOUR,
        run: () => checkAuditChain(prisma, () => integrity.check({ from: null, to: null })),
      },
      { name: 'retention', intervalSeconds: HOUR, run: () => removeOldDeliveries(prisma) },
    ],
    logger,
  );
  return {
    service: new WebhookService(prisma, secrets, policy, () => deliveries.wake()),
    async start(): Promise<void> {
      await deliveries.start();
      checks.start();
    },
    async close(): Promise<void> {
      await Promise.all([checks.close(), deliveries.close()]);
    },
  };
}
