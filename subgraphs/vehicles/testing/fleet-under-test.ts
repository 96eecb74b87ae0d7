/** The vehicles subgraph on a test database, with flags and a fleet that tests register. */
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import type { Environment } from '../../../core/model.ts';
import { type TestDatabase, createTestDatabase } from '../../shared/testing/test-database.ts';
import { type Ask, silent, asking } from '../../shared/testing/asking.ts';
import { startVehicles } from '../subgraph.ts';
import { createVehicleTokens } from '../../../core/credentials/vehicle-token.ts';
import { createInProcessBus } from '../../shared/feeds/bus.ts';

interface TestVehicle {
  readonly vin: string;
  readonly model: string;
  readonly swVersion: string;
  readonly region: string;
  readonly environment: Environment | null;
  readonly status?: string;
  readonly appliedRevision?: number;
  readonly lastSeenAt?: Date;
}

/** The running subgraph. */
export class FleetUnderTest {
  private constructor(
    private readonly database: TestDatabase,
    private readonly close: () => Promise<void>,
    readonly ask: Ask,
  ) {}

  /** Starts it, with three flags of which one is archived. */
  static async start(): Promise<FleetUnderTest> {
    const database = await createTestDatabase();
    const started = await startVehicles({
      prisma: database.database.prisma,
      tokens: createVehicleTokens('a secret of at least thirty-two characters'),
      bus: createInProcessBus(),
      logger: silent,
      sweepsPresence: false,
    });
    const fleet = new FleetUnderTest(database, () => started.close(), asking(started.subgraph));
    const { flag } = fleetTestSteps(() => fleet);
    await flag('lane_keep');
    await flag('eco_mode', { type: 'string', defaultValue: { value: 'eco' } });
    await flag('old', { archivedAt: new Date() });
    return fleet;
  }

  get prisma(): PrismaClient {
    return this.database.database.prisma;
  }

  async drop(): Promise<void> {
    await this.close();
    await this.database.drop();
  }
}

/** Gives the steps of tests with a fleet. */
export function fleetTestSteps(running: () => FleetUnderTest) {
  const vinOf = (n: number) => `KMH${String(n * 7_919).padStart(14, '0')}`;
  const vehicle = (n: number, facts: Partial<TestVehicle> = {}): TestVehicle => ({
    vin: vinOf(n),
    model: 'Ioniq 5',
    swVersion: '2.5.0',
    region: 'EU',
    environment: 'production',
    ...facts,
  });
  const register = (vehicles: readonly TestVehicle[]) =>
    running().prisma.vehicle.createMany({ data: vehicles.map((one) => ({ status: 'offline', ...one })) });
  const flag = (key: string, more: object = {}) =>
    running().prisma.flag.create({
      data: {
        key,
        name: 'A',
        type: 'boolean',
        defaultValue: { value: false },
        safetyLevel: 'Non-Critical',
        environment: 'production',
        ...more,
      },
    });

  return { vinOf, vehicle, register, flag };
}
