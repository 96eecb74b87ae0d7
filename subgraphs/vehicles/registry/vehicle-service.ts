/** The use cases of registered vehicles. */
import { FleetFlagError, badInput } from '../../../core/errors.ts';
import type { Environment } from '../../../core/model.ts';
import type { CallerIdentity } from '../../../core/access/caller.ts';
import type { VehicleTokens } from '../../../core/credentials/vehicle-token.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { appendAudit } from '../../shared/audit/audit-log.ts';
import type { AnnounceStatuses } from './status-position.ts';
import {
  findVehicles,
  isConnected,
  lockVehicle,
  raiseTokenGeneration,
  setEnvironment,
  setStatus,
  tokenGenerations,
  upsertVehicles,
  type TokenGeneration,
} from './vehicle-store.ts';
import { readRegistrations, checkVin, vehicleStatus, type Vehicle, type VehicleRegistration } from './vehicle.ts';

/** A vehicle's new token. It is shown only once. */
export interface IssuedToken {
  readonly vehicle: Vehicle;
  readonly token: string;
  readonly expiresAt: Date;
}

/** The most token generations of one page. */
const GENERATIONS_PAGE = 5_000;

const MAX_TOKEN_DAYS = 3_650;
const DAY_MS = 24 * 3_600_000;

/** Registers and changes vehicles, and issues their tokens (lists: search/vehicle-lists.ts). */
export class VehicleService {
  constructor(
    private readonly prisma: PrismaClient,
    private readonly tokens: VehicleTokens,
    private readonly announce: AnnounceStatuses,
    private readonly announceModels: () => void = () => undefined,
  ) {}

  /** Gives vehicles by VIN; unknown VINs are left out. */
  byVins(vins: readonly string[]): Promise<Vehicle[]> {
    return findVehicles(this.prisma, vins);
  }

  /**
   * Registers 1 to 1,000 vehicles, all or none. Known vehicles are updated, and a batch that changes nothing leaves no
   * audit row. Gives the vehicles in the order of `input`.
   *
   * @throws BAD_USER_INPUT with all faults of the batch, or LIMIT_EXCEEDED
   */
  async register(identity: CallerIdentity, input: readonly VehicleRegistration[]): Promise<Vehicle[]> {
    const registrations = readRegistrations(input);
    const vins = registrations.map((vehicle) => vehicle.vin);
    let updated = false;
    const written = await this.prisma.$transaction(async (tx) => {
      const created = new Map((await upsertVehicles(tx, registrations)).map((row) => [row.vin, row.created]));
      const vehicles = await findVehicles(tx, vins);
      if (created.size > 0) {
        const createdCount = [...created.values()].filter(Boolean).length;
        const counts = { count: vins.length, created: createdCount, updated: created.size - createdCount };
        // The row lists all VINs that were written, some 20 KB at most, because people search the audit log by vehicle.
        await appendAudit(tx, identity, {
          action: 'REGISTER_VEHICLES',
          after: { ...counts, vins: vins.filter((vin) => created.has(vin)) },
        });
      }
      updated = [...created.values()].some((isNew) => !isNew);
      return new Map(vehicles.map((vehicle) => [vehicle.vin, vehicle]));
    });
    if (updated) this.announceModels();
    return vins.map((vin) => {
      const vehicle = written.get(vin);
      if (vehicle === undefined) throw new Error(`Vehicle ${vin} was written but cannot be found`);
      return vehicle;
    });
  }

  /**
   * Puts a vehicle into maintenance or takes it out. A call that changes nothing leaves no audit row.
   *
   * @throws BAD_USER_INPUT, or NOT_FOUND for a vehicle that is not registered
   */
  async setMaintenance(identity: CallerIdentity, vin: string, maintenance: boolean): Promise<Vehicle> {
    checkVin(vin, 'vin');
    const { vehicle, changed } = await this.prisma.$transaction(async (tx) => {
      const before = await lockVehicle(tx, vin);
      if (before === null) throw unknownVehicle(vin);
      if ((before.status === 'maintenance') === maintenance) return { vehicle: before, changed: false };
      const after = await setStatus(tx, vin, vehicleStatus({ maintenance, connected: await isConnected(tx, vin) }));
      await appendAudit(tx, identity, {
        action: 'SET_MAINTENANCE',
        before: { vin, status: before.status },
        after: { vin, status: after.status },
      });
      return { vehicle: after, changed: true };
    });
    if (changed) this.announce(identity.origin.requestId);
    return vehicle;
  }

  /**
   * Issues a credential for the vehicle's agent. The vehicle then belongs to `environment`.
   *
   * @param expiresInDays 1 to 3,650
   * @throws BAD_USER_INPUT, or NOT_FOUND for a vehicle that is not registered
   */
  async issueToken(
    identity: CallerIdentity,
    vin: string,
    environment: Environment,
    expiresInDays: number,
  ): Promise<IssuedToken> {
    checkVin(vin, 'vin');
    if (expiresInDays < 1 || expiresInDays > MAX_TOKEN_DAYS) {
      throw badInput('expiresInDays', `expiresInDays is ${expiresInDays}; it must be from 1 to ${MAX_TOKEN_DAYS}.`);
    }
    // A JWT's times are whole seconds.
    const expiresAt = new Date(Math.floor(Date.now() / 1000) * 1000 + expiresInDays * DAY_MS);
    return this.prisma.$transaction(async (tx) => {
      const vehicle = await setEnvironment(tx, vin, environment);
      if (vehicle === null) throw unknownVehicle(vin);
      const token = await this.tokens.issue(vin, environment, expiresAt, vehicle.tokenGeneration);
      await appendAudit(tx, identity, {
        action: 'ISSUE_VEHICLE_TOKEN',
        after: { vin, environment, expiresAt: expiresAt.toISOString() },
      });
      return { vehicle, token, expiresAt };
    });
  }

  /**
   * Revokes all tokens of a vehicle. Gateways learn of it from the audit log, and otherwise poll it within seconds.
   *
   * @throws BAD_USER_INPUT, or NOT_FOUND for a vehicle that is not registered
   */
  async revokeTokens(identity: CallerIdentity, vin: string): Promise<Vehicle> {
    checkVin(vin, 'vin');
    return this.prisma.$transaction(async (tx) => {
      const vehicle = await raiseTokenGeneration(tx, vin);
      if (vehicle === null) throw unknownVehicle(vin);
      await appendAudit(tx, identity, {
        action: 'REVOKE_VEHICLE_TOKENS',
        after: { vin, generation: vehicle.tokenGeneration },
      });
      return vehicle;
    });
  }

  /** Gives vehicles whose tokens have been revoked, by time and then VIN: the next 5,000 after (`since`, `after`). */
  tokenGenerations(since: Date, after: string): Promise<TokenGeneration[]> {
    return tokenGenerations(this.prisma, since, after, GENERATIONS_PAGE);
  }
}

const unknownVehicle = (vin: string) =>
  new FleetFlagError('NOT_FOUND', `There is no vehicle ${vin}; registerVehicles makes one.`, { field: 'vin' });
