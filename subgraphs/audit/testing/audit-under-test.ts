/** The audit subgraph on its own database, with a session store whose calls tests can intercept. */
import { randomUUID } from 'node:crypto';
import { FleetFlagError } from '../../../core/errors.ts';
import type { Caller, CallerIdentity, Role } from '../../../core/access/caller.ts';
import { sessionKey } from '../../../core/credentials/session.ts';
import { createInProcessBus } from '../../shared/feeds/bus.ts';
import { createInProcessStore, type KeyValueStore } from '../../shared/stores/key-value-store.ts';
import { createInProcessRateLimiter } from '../../shared/stores/rate-limiter.ts';
import {
  ANONYMOUS,
  asking,
  identityOf,
  silent,
  user,
  type DataOrErrors,
  type Ask,
} from '../../shared/testing/asking.ts';
import { createTestDatabase, type TestDatabase } from '../../shared/testing/test-database.ts';
import { hashPassword } from '../sessions/passwords.ts';
import { startAudit } from '../subgraph.ts';
import { endNoPlans } from '../../shared/testing/no-plans.ts';
import { testWebhookSettings } from '../../shared/testing/webhook-settings.ts';

/** The password of every account. */
export const PASSWORD = 'correct horse battery staple';

/** The mutation that signs in. */
export const LOGIN =
  'mutation($email: String!, $password: String!) { login(email: $email, password: $password) { token expiresAt user { id email role lastLoginAt } } }';
/** The data of `LOGIN`. */
export type LoggedIn = {
  login: { token: string; expiresAt: string; user: { id: string; email: string; role: Role; lastLoginAt: string } };
};

/** A person with an account. */
export type TestPerson = { readonly id: string; readonly email: string };

/** A running audit subgraph. */
export class AuditUnderTest {
  readonly memory = createInProcessStore();
  readonly limiter = createInProcessRateLimiter();
  /** Whether the session store answers. */
  answering = true;
  /** Called before each call of the store, with the call's name and key. */
  before: (call: string, key: string) => Promise<void> = async () => undefined;
  /** The stored keys and their seconds, in order. */
  kept: { key: string; ttl: number }[] = [];
  #addresses = 0;

  private constructor(
    readonly database: TestDatabase,
    readonly passwordHash: string,
  ) {}

  ask: Ask = () => Promise.reject(new Error('not started'));
  close: () => Promise<void> = async () => undefined;

  /** Starts the subgraph on a new test database. */
  static async start(): Promise<AuditUnderTest> {
    const audit = new AuditUnderTest(await createTestDatabase(), await hashPassword(PASSWORD));
    const started = await startAudit({
      webhooks: testWebhookSettings,
      endPlans: endNoPlans,
      prisma: audit.prisma,
      sessions: audit.store,
      bus: createInProcessBus(),
      limiter: audit.limiter,
      checkOperation: () => [],
      logger: silent,
    });
    audit.ask = asking(started.subgraph);
    audit.close = async () => {
      await started.close();
      await audit.database.drop();
    };
    return audit;
  }

  get prisma() {
    return this.database.database.prisma;
  }

  readonly store: KeyValueStore = {
    ...this.memory,
    get: (key) => this.#call('get', key, () => this.memory.get(key)),
    set: (key, value, ttl) =>
      this.#call('set', key, async () => {
        this.kept.push({ key, ttl });
        await this.memory.set(key, value, ttl);
      }),
    delete: (key) => this.#call('delete', key, () => this.memory.delete(key)),
    addMember: (key, member, ttl) => this.#call('addMember', key, () => this.memory.addMember(key, member, ttl)),
    members: (key) => this.#call('members', key, () => this.memory.members(key)),
    removeMember: (key, member) => this.#call('removeMember', key, () => this.memory.removeMember(key, member)),
  };

  async #call<T>(name: string, key: string, call: () => Promise<T>): Promise<T> {
    await this.before(name, key);
    if (!this.answering) throw new FleetFlagError('SERVICE_UNAVAILABLE', 'The cache is not answering; try again.');
    return call();
  }

  /** Creates an account. */
  account(
    role: Role = 'READ',
    more: { email?: string; isActive?: boolean; department?: string; createdAt?: Date } = {},
  ) {
    return this.prisma.user.create({
      data: { email: `${randomUUID()}@example.com`, name: 'Ann', passwordHash: this.passwordHash, role, ...more },
    });
  }

  /** Gives an unused IPv4 address, so that failures of other tests do not count. */
  newAddress(): string {
    this.#addresses += 1;
    return `198.18.${this.#addresses >> 8}.${this.#addresses & 255}`;
  }

  /** Signs in and gives the whole answer. */
  login(
    email: string,
    password = PASSWORD,
    ipAddress: string | null = this.newAddress(),
  ): Promise<DataOrErrors<LoggedIn>> {
    return this.ask<LoggedIn>(identityOf(ANONYMOUS, { ipAddress }), LOGIN, { email, password });
  }

  /** Signs a person in; gives their token, and the caller as the gateway would name it. */
  async session(
    email: string,
    password = PASSWORD,
  ): Promise<{ token: string; caller: Caller; identity: CallerIdentity }> {
    const { data, errors } = await this.login(email, password);
    if (errors.length > 0) throw new Error(JSON.stringify(errors));
    const { token, user: person } = data.login;
    const caller = user(person.role, person.id, sessionKey(token));
    return { token, caller, identity: identityOf(caller, { ipAddress: this.newAddress() }) };
  }

  /** Checks whether a token's session is open. */
  async isOpen(token: string): Promise<boolean> {
    return (await this.memory.get(sessionKey(token))) !== null;
  }

  /** Gives the keys of all open sessions. */
  async openSessions(): Promise<string[]> {
    const open = await Promise.all(
      this.kept.map(async ({ key }) => ((await this.memory.get(key)) === null ? [] : [key])),
    );
    return open.flat().filter((key) => key.startsWith('session:'));
  }

  /** Reads the audit log. */
  async trail() {
    const rows = await this.prisma.auditLog.findMany({ orderBy: { chainPosition: 'asc' } });
    return rows.map(({ action, userId, beforeValue, afterValue }) => ({ action, userId, beforeValue, afterValue }));
  }
}
