/**
 * A small control plane for the agent's tests: real sockets, real GraphQL, real signatures; the state in memory.
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buildSchema } from 'graphql';
import { CloseCode } from 'graphql-ws';
import { useServer } from 'graphql-ws/use/ws';
import { CompactSign, calculateJwkThumbprint, exportJWK, generateKeyPair, type CryptoKey, type JWK } from 'jose';
import { WebSocketServer } from 'ws';
import type { Environment, FlagDefinition } from '../../core/model.ts';
import { DEFINITION_JWS_TYPE, STATEMENT_JWS_TYPE } from '../../core/protocol/definition.ts';
import type { SignedFlag } from '../sync/operations.ts';

const SCHEMA = buildSchema(`
  enum Environment { DEVELOPMENT STAGING PRODUCTION }
  type SignedFlag { key: String! revision: Int! removed: Boolean! jws: String! }
  type FlagSync { environment: Environment! revision: Int! full: Boolean! flags: [SignedFlag!]! statement: String! }
  type FlagChange { environment: Environment! revision: Int! previousRevision: Int! signed: SignedFlag! statement: String! }
  type Query { flagSync(environment: Environment!, since: Int): FlagSync! }
  scalar JSON
  input MetricInput { flagKey: String! variant: String! metricName: String! value: Float! timestamp: String! tags: JSON }
  input MetricBatchInput { batchId: ID! items: [MetricInput!]! }
  type MetricReceipt { accepted: Int! duplicates: Int! dropped: Int! }
  input AgentHeartbeatInput { swVersion: String agentVersion: String agentMemoryMb: Int agentCpuPercent: Float cacheSizeMb: Float appliedRevision: Int }
  type Mutation { reportMetrics(input: MetricBatchInput!): MetricReceipt! agentHeartbeat(input: AgentHeartbeatInput!): Boolean! }
  type Subscription { flagChanges(environment: Environment!): FlagChange! }
`);

export interface SyncMessage { environment: string; revision: number; full: boolean; flags: SignedFlag[]; statement: string }
export interface ChangeMessage { environment: string; revision: number; previousRevision: number; signed: SignedFlag; statement: string }

export interface ReportedBatch { batchId: string; items: { flagKey: string; variant: string; metricName: string; value: number; timestamp: string; tags: object | null }[] }

export interface ReportedHeartbeat { swVersion?: string; agentVersion: string; agentMemoryMb: number; agentCpuPercent: number; cacheSizeMb: number; appliedRevision: number }

export interface SigningKey {
  readonly kid: string;
  readonly privateKey: CryptoKey;
  readonly publicJwk: JWK;
}

export async function createSigningKey(): Promise<SigningKey> {
  const { privateKey, publicKey } = await generateKeyPair('EdDSA', { extractable: true });
  const publicJwk = await exportJWK(publicKey);
  const kid = await calculateJwkThumbprint(publicJwk);
  return { kid, privateKey, publicJwk: { ...publicJwk, kid } };
}

/** A compact JWS as the control plane makes it. */
export function signJws(key: SigningKey, typ: string, payload: unknown): Promise<string> {
  return new CompactSign(new TextEncoder().encode(JSON.stringify(payload))).setProtectedHeader({ alg: 'EdDSA', kid: key.kid, typ }).sign(key.privateKey);
}

export class TestControlPlane {
  readonly environment: Environment = 'production';
  revision = 0;
  /** `since` of every sync that was asked for. */
  readonly syncs: (number | null)[] = [];
  /** Ids and tokens of what clients sent. */
  readonly subscriptionIds: string[] = [];
  readonly tokens: string[] = [];
  /** Milliseconds since 1970. */
  now: () => number = Date.now;
  /** What becomes of a sync answer, or of a change, on its way. */
  onSync: (answer: SyncMessage) => SyncMessage | Promise<SyncMessage> = (answer) => answer;
  onChange: (change: ChangeMessage) => ChangeMessage[] | Promise<ChangeMessage[]> = (change) => [change];
  /** Batches as they came, also those that were refused. */
  readonly batches: ReportedBatch[] = [];
  /** Called for each batch; what it throws is the answer. */
  onReport: (batch: ReportedBatch) => void | Promise<void> = () => undefined;
  /** Heartbeats as they came, also those that were refused. */
  readonly heartbeats: ReportedHeartbeat[] = [];
  /** Called for each heartbeat; what it throws is the answer. */
  onHeartbeat: (heartbeat: ReportedHeartbeat) => void | Promise<void> = () => undefined;
  /** All that was ever signed for a flag, by revision. */
  readonly published: SignedFlag[] = [];
  /** Tokens that are refused with 4403. */
  readonly refusedTokens = new Set<string>();
  readonly #entries = new Map<string, { definition: FlagDefinition | null; signed: SignedFlag }>();
  readonly #streams = new Set<ChangeStream>();
  #http: Server | null = null;
  #sockets: WebSocketServer | null = null;
  #port = 0;

  private constructor(public key: SigningKey) {}

  static async start(): Promise<TestControlPlane> {
    const plane = new TestControlPlane(await createSigningKey());
    await plane.listen();
    return plane;
  }

  get url(): string {
    return `ws://127.0.0.1:${this.#port}/graphql`;
  }

  get keySet(): { keys: JWK[] } {
    return { keys: [this.key.publicJwk] };
  }

  get streams(): number {
    return this.#streams.size;
  }

  /** Listens, on the same port as before. */
  async listen(): Promise<void> {
    this.#http = createServer((request, response) => {
      response.statusCode = request.url === '/.well-known/jwks.json' ? 200 : 404;
      response.end(JSON.stringify(this.keySet));
    });
    this.#sockets = new WebSocketServer({ server: this.#http, path: '/graphql' });
    useServer(
      {
        schema: SCHEMA,
        onConnect: ({ connectionParams, extra }) => {
          const token = String((connectionParams as { authorization?: string } | undefined)?.authorization).replace('Bearer ', '');
          this.tokens.push(token);
          if (!this.refusedTokens.has(token)) return true;
          extra.socket.close(CloseCode.Forbidden, 'Forbidden');
          return false;
        },
        onSubscribe: (_context, id) => void this.subscriptionIds.push(id),
        roots: {
          query: { flagSync: ({ since }: { since?: number }) => this.#sync(since ?? null) },
          mutation: {
            reportMetrics: async ({ input }: { input: ReportedBatch }) => {
              this.batches.push(input);
              await this.onReport(input);
              return { accepted: input.items.length, duplicates: 0, dropped: 0 };
            },
            agentHeartbeat: async ({ input }: { input: ReportedHeartbeat }) => {
              this.heartbeats.push(input);
              await this.onHeartbeat(input);
              return true;
            },
          },
          subscription: { flagChanges: () => this.#stream() },
        },
      },
      this.#sockets,
    );
    await new Promise<void>((resolve) => this.#http!.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (this.#http.address() as AddressInfo).port;
  }

  /** Goes down as a crash would: every socket is dropped. */
  async stop(): Promise<void> {
    for (const socket of this.#sockets?.clients ?? []) socket.terminate();
    for (const stream of this.#streams) stream.end();
    await new Promise((resolve) => (this.#sockets ? this.#sockets.close(resolve) : resolve(undefined)));
    this.#http?.closeAllConnections();
    await new Promise((resolve) => (this.#http ? this.#http.close(resolve) : resolve(undefined)));
    this.#http = this.#sockets = null;
  }

  /** Closes every socket with a code. */
  disconnect(code: number): void {
    for (const socket of this.#sockets?.clients ?? []) socket.close(code);
  }

  /** Creates or changes a flag: one revision, announced to all. */
  async put(key: string, change: Partial<FlagDefinition> = {}): Promise<FlagDefinition> {
    const revision = this.revision + 1;
    const definition: FlagDefinition = {
      type: 'boolean',
      safetyLevel: 'Non-Critical',
      enabled: true,
      defaultValue: false,
      rules: [],
      ...this.#entries.get(key)?.definition,
      ...change,
      key,
      environment: this.environment,
      revision,
    };
    await this.#publish(key, revision, definition);
    return definition;
  }

  /** Takes a flag out of the environment: one revision, a tombstone. */
  async remove(key: string): Promise<void> {
    await this.#publish(key, this.revision + 1, null);
  }

  /** The definitions that vehicles should have, by key. */
  definitions(): Map<string, FlagDefinition> {
    const present = [...this.#entries].flatMap(([key, { definition }]) => (definition === null ? [] : [[key, definition] as const]));
    return new Map(present.sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  statement(revision = this.revision, issuedAt = Math.floor(this.now() / 1000)): Promise<string> {
    return signJws(this.key, STATEMENT_JWS_TYPE, { v: 1, environment: this.environment, revision, issuedAt });
  }

  async signedFlag(key: string, revision: number, definition: FlagDefinition | null, signingKey = this.key): Promise<SignedFlag> {
    const common = { v: 1, environment: this.environment, key, revision };
    const payload = definition === null ? { ...common, removed: true } : { ...common, removed: false, flag: definition };
    return { key, revision, removed: definition === null, jws: await signJws(signingKey, DEFINITION_JWS_TYPE, payload) };
  }

  async #publish(key: string, revision: number, definition: FlagDefinition | null): Promise<void> {
    const signed = await this.signedFlag(key, revision, definition);
    const statement = await this.statement(revision);
    // Together, as one transaction: no sync may see the revision without its flag.
    this.revision = revision;
    this.published.push(signed);
    this.#entries.set(key, { definition, signed });
    const change = { environment: this.environment.toUpperCase(), revision, previousRevision: revision - 1, signed, statement };
    for (const stream of this.#streams) for (const message of await this.onChange(change)) stream.push(message);
  }

  async #sync(since: number | null): Promise<SyncMessage> {
    this.syncs.push(since);
    const full = since === null || since === 0;
    const flags = [...this.#entries.values()].filter(({ definition, signed }) => (full ? definition !== null : signed.revision > since)).map(({ signed }) => signed);
    return this.onSync({ environment: this.environment.toUpperCase(), revision: this.revision, full, flags, statement: await this.statement() });
  }

  #stream(): ChangeStream {
    const stream = new ChangeStream(() => this.#streams.delete(stream));
    this.#streams.add(stream);
    return stream;
  }
}

/** A queue that a subscription reads from until either side ends it. */
class ChangeStream implements AsyncIterableIterator<{ flagChanges: ChangeMessage }> {
  readonly #queue: ChangeMessage[] = [];
  #wake: (() => void) | null = null;
  #ended = false;

  constructor(private readonly onEnd: () => void) {}

  push(message: ChangeMessage): void {
    this.#queue.push(message);
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.onEnd();
    this.#wake?.();
  }

  async next(): Promise<IteratorResult<{ flagChanges: ChangeMessage }>> {
    while (this.#queue.length === 0 && !this.#ended) await new Promise<void>((resolve) => (this.#wake = resolve));
    const message = this.#queue.shift();
    return message === undefined ? { done: true, value: undefined } : { done: false, value: { flagChanges: message } };
  }

  async return(): Promise<IteratorResult<{ flagChanges: ChangeMessage }>> {
    this.end();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
