/** The whole control plane in this process on a test database, and each kind of caller with credentials of its own. */
import { createHash, randomUUID } from 'node:crypto';
import { apiKeyHash, apiKeyPrefix, newApiKey } from '../../core/credentials/api-key.ts';
import type { ApiKeyRole, Caller, Role } from '../../core/access/caller.ts';
import { SESSION_SECONDS, newSessionToken, sessionKey, type SessionRecord } from '../../core/credentials/session.ts';
import type { SubgraphName } from '../../core/wire/subgraph/subgraph.ts';
import { createVehicleTokens } from '../../core/credentials/vehicle-token.ts';
import type { Gateway } from '../../gateway/gateway.ts';
import { hashPassword } from '../../subgraphs/audit/sessions/passwords.ts';
import { createSigner, generateSigningKey } from '../../subgraphs/flags/signing/signing.ts';
import { createInProcessBus } from '../../subgraphs/shared/feeds/bus.ts';
import type { Database } from '../../subgraphs/shared/postgres/database.ts';
import { createInProcessStore } from '../../subgraphs/shared/stores/key-value-store.ts';
import { createInProcessRateLimiter } from '../../subgraphs/shared/stores/rate-limiter.ts';
import type { Subgraph } from '../../subgraphs/shared/subgraph/subgraph.ts';
import { createTestDatabase, type TestDatabase } from '../../subgraphs/shared/testing/test-database.ts';
import { createTestMetricsStore } from '../../subgraphs/shared/testing/test-metrics-store.ts';
import { openAll, type Lifecycle } from '../../main/process/lifecycle.ts';
import type { CallerName } from './permission-matrix.ts';
import { startWholeControlPlane, type WholeParts } from './whole-control-plane.ts';

export const CALLERS_PASSWORD = 'correct horse battery staple';
/** The vehicle of the samples and its environment, and a second vehicle in another environment. */
export const SAMPLE_VIN = 'KMHK281HGNU000001';
const OTHER_VIN = 'KMHK281HGNU000002';

const SECRET = 'a-secret-of-more-than-32-characters-x';

export interface CallerCredentials {
  /** The identity that subgraphs get. */
  readonly caller: Caller;
  /** The credentials as HTTP headers, and as the payload of connection_init. */
  readonly headers: Readonly<Record<string, string>>;
}

export class EveryCaller {
  readonly #store = createInProcessStore();
  readonly #tokens = createVehicleTokens(SECRET);
  readonly #users = new Map<Role, string>();
  readonly #keys = new Map<ApiKeyRole, CallerCredentials>();

  private constructor(
    private readonly database: TestDatabase,
    /** The database of the control plane. The rows of the callers are written to it directly. */
    private readonly used: Database,
    private readonly lifecycle: Lifecycle,
  ) {}

  #parts!: WholeParts;
  gateway!: Gateway;
  subgraphs!: ReadonlyMap<SubgraphName, Subgraph>;

  /**
   * @param through opens the database that the control plane uses in place of the one at the URL; `lifecycle` closes it
   */
  static start(through?: (url: string, lifecycle: Lifecycle) => Promise<Database>): Promise<EveryCaller> {
    return openAll(async (lifecycle) => {
      const database = await createTestDatabase();
      lifecycle.onClose(() => database.drop());
      const every = new EveryCaller(
        database,
        (await through?.(database.url, lifecycle)) ?? database.database,
        lifecycle,
      );
      await every.#start();
      return every;
    });
  }

  close(): Promise<void> {
    return this.lifecycle.close();
  }

  get url(): string {
    return `http://127.0.0.1:${this.gateway.port}/graphql`;
  }

  get prisma() {
    return this.database.database.prisma;
  }

  async #start(): Promise<void> {
    const [signer, passwordHash, metrics] = await Promise.all([
      generateSigningKey().then(createSigner),
      hashPassword(CALLERS_PASSWORD),
      createTestMetricsStore(),
    ]);
    this.lifecycle.onClose(() => metrics.drop());
    this.#parts = {
      database: this.used,
      bus: createInProcessBus(),
      store: this.#store,
      limiter: createInProcessRateLimiter(),
      vehicleTokens: this.#tokens,
      signer,
      metrics: metrics.store,
    };
    ({ gateway: this.gateway, subgraphs: this.subgraphs } = await startWholeControlPlane(this.#parts, this.lifecycle));

    for (const role of ['READ', 'WRITE', 'SAFETY', 'ADMIN'] as const) {
      const { id } = await this.prisma.user.create({
        data: { email: `${role.toLowerCase()}@example.com`, name: role, passwordHash, role },
      });
      this.#users.set(role, id);
    }
    for (const role of ['READ', 'WRITE', 'ADMIN'] as const) {
      const key = newApiKey();
      const { id } = await this.prisma.apiKey.create({
        data: { name: role, keyHash: apiKeyHash(key), keyPrefix: apiKeyPrefix(key), role },
      });
      this.#keys.set(role, {
        caller: { kind: 'apiKey', apiKeyId: id, role, rateLimitPerMin: 10_000 },
        headers: { 'x-api-key': key },
      });
    }
    for (const [vin, environment] of [
      [SAMPLE_VIN, 'production'],
      [OTHER_VIN, 'staging'],
    ] as const) {
      await this.prisma.vehicle.create({
        data: { vin, model: 'EV9', swVersion: '2.5.0', region: 'EU', status: 'offline', environment },
      });
    }
  }

  /**
   * Starts another control plane over the same stores, which learns of changes only from the database. Gives its URL.
   */
  async another(): Promise<string> {
    const { gateway } = await startWholeControlPlane({ ...this.#parts, bus: createInProcessBus() }, this.lifecycle);
    return `http://127.0.0.1:${gateway.port}/graphql`;
  }

  /** Gives valid credentials. A person gets a new session each time, because a tested operation may end it. */
  async as(name: CallerName): Promise<CallerCredentials> {
    switch (name) {
      case 'anonymous':
        return { caller: { kind: 'anonymous' }, headers: {} };
      case 'vehicle':
        return this.#vehicle(SAMPLE_VIN, 'production');
      case 'another vehicle':
        return this.#vehicle(OTHER_VIN, 'staging');
      case 'key READ':
      case 'key WRITE':
      case 'key ADMIN':
        return this.#keys.get(name.slice('key '.length) as ApiKeyRole)!;
      case 'READ':
      case 'WRITE':
      case 'SAFETY':
      case 'ADMIN':
        return this.#session(name);
    }
  }

  async #vehicle(vin: string, environment: 'production' | 'staging'): Promise<CallerCredentials> {
    const token = await this.#tokens.issue(vin, environment, new Date(Date.now() + 3_600_000));
    return { caller: { kind: 'vehicle', vin, environment }, headers: { authorization: `Bearer ${token}` } };
  }

  async #session(role: Role): Promise<CallerCredentials> {
    const userId = this.#users.get(role)!;
    const token = newSessionToken();
    const record: SessionRecord = {
      userId,
      role,
      expiresAt: new Date(Date.now() + SESSION_SECONDS * 1000).toISOString(),
    };
    await this.#store.set(sessionKey(token), JSON.stringify(record), SESSION_SECONDS);
    return {
      caller: { kind: 'user', userId, role, sessionKey: sessionKey(token) },
      headers: { authorization: `Bearer ${token}` },
    };
  }

  /** Writes an operation for one key into the table without any check, and gives its id. */
  async register(body: string, type: string, apiKeyId: string | null): Promise<string> {
    const id = randomUUID();
    await this.prisma.persistedOperation.create({
      data: {
        id,
        body,
        sha256: createHash('sha256').update(body).digest('hex'),
        name: 'Sample',
        type,
        ...(apiKeyId !== null && { keys: { create: { apiKeyId } } }),
      },
    });
    return id;
  }
}
