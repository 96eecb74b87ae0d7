/** Lists of vehicles, which may lag (subgraphs/shared/postgres/replica-reads.ts). */
import { pageOf, type Page } from '../../../core/wire/api/pagination.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import type { LaggingReads } from '../../shared/postgres/replica-reads.ts';
import { findVehicles } from '../registry/vehicle-store.ts';
import type { Vehicle, VehicleStatus } from '../registry/vehicle.ts';
import { missing, type Reach } from '../reports/reach.ts';
import type { ReadFilter } from './vehicle-filter.ts';
import { countVehicles, resolveFilter, searchVehicles, type VehicleSearch } from './vehicle-search.ts';

/** A page of vehicles, and the number of vehicles on all pages. */
export interface VehiclePage {
  readonly vehicles: readonly Vehicle[];
  readonly more: boolean;
  readonly totalCount: () => Promise<number>;
}

/** The lists of one request. */
export class VehicleLists {
  /** @param lagging the reads that may lag behind the primary */
  constructor(
    private readonly prisma: PrismaClient,
    private readonly lagging: LaggingReads,
  ) {}

  /** Gives one page of the matching vehicles, in the order of VINs. */
  search(filter: ReadFilter, page: Page): Promise<VehiclePage> {
    return this.lagging.read(async (db) => {
      const search = await resolveFilter(db, filter);
      const totalCount = () => this.lagging.read((place) => countVehicles(place, search));
      return { ...(await vehiclesOf(db, search, page)), totalCount };
    });
  }

  /**
   * Gives one page of the vehicles that a revision concerns and that have not stored it, in the order of VINs. It reads
   * at the primary: a replica that does not have the revision yet would say that no vehicle has stored it.
   */
  async missing(reach: Reach, status: VehicleStatus | null, page: Page): Promise<VehiclePage> {
    const search = missing(reach, status);
    const totalCount = () => countVehicles(this.prisma, search);
    return { ...(await vehiclesOf(this.prisma, search, page)), totalCount };
  }
}

async function vehiclesOf(
  db: PrismaClient,
  search: VehicleSearch,
  page: Page,
): Promise<Pick<VehiclePage, 'vehicles' | 'more'>> {
  const { items: vins, more } = pageOf(await searchVehicles(db, search, page), page);
  const found = new Map((await findVehicles(db, vins)).map((vehicle) => [vehicle.vin, vehicle]));
  return { vehicles: vins.flatMap((vin) => found.get(vin) ?? []), more };
}
