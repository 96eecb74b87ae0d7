/**
 * Presence of vehicles as gateways report it. A vehicle is online while a gateway with a valid lease has a socket of
 * that vehicle, and offline when there was none for the grace period. Source: docs/decisions/streams/presence.md.
 */
import { badInput } from '../../../core/errors.ts';
import { VIN_PATTERN } from '../../../core/model.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import type { PresenceReport } from '../../../core/wire/subgraph/presence-report.ts';
import { isUuid } from '../../../core/wire/api/pagination.ts';
import {
  applyConnections,
  changeConnections,
  dropDeadGateways,
  dropGateways,
  liveGateways,
  lockVehicles,
  renewLease,
  turnOffline,
  type GatewayState,
} from './presence-store.ts';
import type { AnnounceStatuses } from '../registry/status-position.ts';

/** The use cases of presence. */
export class Presence {
  constructor(
    private readonly prisma: PrismaClient,
    /** Seconds that a vehicle may be without a connection before it is offline. */
    private readonly graceSeconds: number,
    private readonly announce: AnnounceStatuses,
  ) {}

  /**
   * Stores a report in a handful of statements, whatever the number of its vehicles. Storing it again changes nothing,
   * and VINs that are not registered change no vehicle.
   *
   * @returns false when the gateway has to report all its vehicles again, under a new id
   * @throws BAD_USER_INPUT for a report that no gateway sends
   */
  async report(report: PresenceReport): Promise<boolean> {
    if (!isUuid(report.gateway)) throw badInput('gateway', 'gateway must be a UUID.');
    if (report.sequence < 1 || report.since < 0) throw badInput('sequence', 'sequence must be 1 or more.');
    const isVin = (vin: string) => VIN_PATTERN.test(vin);
    const opened = report.opened.filter(isVin);
    const closed = report.closed.filter(isVin);
    const changed = await this.prisma.$transaction(async (tx) => {
      if (!(await renewLease(tx, report))) return null;
      if (report.leaving) {
        await dropGateways(tx, [report.gateway], true);
        return 0;
      }
      if (opened.length === 0 && closed.length === 0) return 0;
      await lockVehicles(tx, [...opened, ...closed]);
      const ended = await changeConnections(tx, report.gateway, opened, closed);
      return applyConnections(tx, opened, ended, true);
    });
    if (changed !== null && changed > 0) this.announce();
    return changed !== null;
  }

  /** Gives the gateways that are alive, those with the most vehicles first. */
  gateways(): Promise<GatewayState[]> {
    return liveGateways(this.prisma);
  }

  /**
   * Deletes dead gateways, and sets vehicles offline whose grace period is over; gives their number. Any number of
   * instances may do so at once.
   */
  async sweep(): Promise<number> {
    await dropDeadGateways(this.prisma);
    let changed = 0;
    for (let due = 1; due > 0;) {
      const batch = await turnOffline(this.prisma, this.graceSeconds);
      due = batch.due;
      changed += batch.changed;
      if (batch.changed > 0) this.announce();
    }
    return changed;
  }
}
