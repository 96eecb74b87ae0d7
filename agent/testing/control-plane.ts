/**
 * A small control plane for the agent's tests: real sockets, real GraphQL, real signatures; the state in memory.
 */
import { createServer, type Server } from 'node:http';
import { buildSchema, GraphQLError } from 'graphql';
import { CloseCode } from 'graphql-ws';
import { useServer } from 'graphql-ws/use/ws';
import type { JWK } from 'jose';
import { WebSocketServer } from 'ws';
import type { Environment, FlagDefinition } from '../../core/model.ts';
import { DEFINITION_JWS_TYPE, STATEMENT_JWS_TYPE } from '../../core/wire/definition.ts';
import { PROOF_JWS_TYPE, jwsDigest, setDigest } from '../../core/wire/proof.ts';
import { VEHICLE_FACTS_JWS_TYPE, type RegisteredFacts } from '../../core/wire/vehicle-facts.ts';
import type { SignedFlag } from '../link/operations.ts';
import { ChangeStream } from './change-stream.ts';
import { createSigningKey, signJws, type SigningKey } from './signing.ts';
import { boundAddress } from '../../core/wire/http-server.ts';

/** The vehicle of the tests. */
export const TEST_VIN = 'KMHL14JA5PA000001';

/** The part of the public API that this version of the agent needs. */
export const WIRE_SDL = `
  enum Environment { DEVELOPMENT STAGING PRODUCTION }
  type SignedFlag { key: String! revision: Int! removed: Boolean! jws: String! }
  type FlagSync { environment: Environment! revision: Int! full: Boolean! flags: [SignedFlag!]! statement: String! proof: String! }
  type FlagChange { environment: Environment! revision: Int! previousRevision: Int! signed: SignedFlag! statement: String! proof: String! }
  type Query { flagSync(environment: Environment!, since: Int, nonce: String): FlagSync! flagProof(environment: Environment!): String! vehicleFacts(nonce: String!): String! }
  scalar JSON
  input MetricInput { flagKey: String! variant: String! metricName: String! value: Float! timestamp: String! tags: JSON }
  input MetricBatchInput { batchId: ID! items: [MetricInput!]! }
  type MetricReceipt { accepted: Int! duplicates: Int! dropped: Int! }
  input AgentHeartbeatInput { swVersion: String agentVersion: String agentMemoryMb: Int agentCpuPercent: Float cacheSizeMb: Float appliedRevision: Int clockOffsetSeconds: Float refusals: [String!] }
  type Mutation { reportMetrics(input: MetricBatchInput!): MetricReceipt! agentHeartbeat(input: AgentHeartbeatInput!): Boolean! }
  type Subscription { flagChanges(environment: Environment!): FlagChange! }
`;

export interface SyncMessage {
  environment: string;
  revision: number;
  full: boolean;
  flags: SignedFlag[];
  proof: string;
}
export interface ChangeMessage {
  environment: string;
  revision: number;
  previousRevision: number;
  signed: SignedFlag;
  proof: string;
}

export interface ReportedBatch {
  batchId: string;
  items: {
    flagKey: string;
    variant: string;
    metricName: string;
    value: number;
    timestamp: string;
    tags: object | null;
  }[];
}

export interface ReportedHeartbeat {
  swVersion?: string;
  agentVersion: string;
  agentMemoryMb: number;
  agentCpuPercent: number;
  cacheSizeMb: number;
  appliedRevision?: number;
  clockOffsetSeconds?: number;
  refusals?: readonly string[];
}

export class TestControlPlane {
  readonly environment: Environment = 'production';
  revision = 0;
  /** The schema. A test may set that of an older version before the control plane listens. */
  sdl = WIRE_SDL;
  /** The registered facts of the vehicle; null for none. */
  registered: RegisteredFacts | null = null;
  /** Changes an answer with registered facts on its way. */
  onFacts: (jws: string) => string = (jws) => jws;
  /** The form in which definitions are signed. */
  definitionVersion = 1;
  /** The `since` of every requested sync. */
  readonly syncs: (number | null)[] = [];
  /** The nonces of the syncs that had one. */
  readonly nonces: string[] = [];
  /** The ids of subscriptions that clients sent, and below the tokens. */
  readonly subscriptionIds: string[] = [];
  readonly tokens: string[] = [];
  /** The clock, in milliseconds since 1970. */
  now: () => number = Date.now;
  /** Changes the answer to a sync on its way; `onChange` does so with a change. */
  onSync: (answer: SyncMessage) => SyncMessage | Promise<SyncMessage> = (answer) => answer;
  onChange: (change: ChangeMessage) => ChangeMessage[] | Promise<ChangeMessage[]> = (change) => [change];
  onProof: (proof: string) => string | Promise<string> = (proof) => proof;
  /** Called for each request with a nonce; an error that it throws is the answer. */
  onNonce: (nonce: string) => void | Promise<void> = () => undefined;
  /** The received batches, including refused ones. */
  readonly batches: ReportedBatch[] = [];
  /** Called for each batch; an error that it throws is the answer. */
  onReport: (batch: ReportedBatch) => void | Promise<void> = () => undefined;
  /** The received heartbeats, including refused ones. */
  readonly heartbeats: ReportedHeartbeat[] = [];
  /** Called for each heartbeat; an error that it throws is the answer. */
  onHeartbeat: (heartbeat: ReportedHeartbeat) => void | Promise<void> = () => undefined;
  /** Everything that was ever signed for a flag, by revision. */
  readonly published: SignedFlag[] = [];
  /** Tokens that are refused with 4403. */
  readonly refusedTokens = new Set<string>();
  readonly #entries = new Map<string, { definition: FlagDefinition | null; signed: SignedFlag }>();
  readonly #streams = new Set<ChangeStream>();
  /** Listeners that get each change unchanged, beside the streams. */
  readonly listeners = new Set<(change: ChangeMessage) => void>();
  #http: Server | null = null;
  #sockets: WebSocketServer | null = null;
  #port = 0;
  #looking = true;

  private constructor(public key: SigningKey) {}

  static async start(): Promise<TestControlPlane> {
    const plane = await TestControlPlane.silent();
    await plane.listen();
    return plane;
  }

  /** Makes a control plane that listens on no port. */
  static async silent(): Promise<TestControlPlane> {
    return new TestControlPlane(await createSigningKey());
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

  /** Starts to listen, on the same port as before. */
  async listen(): Promise<void> {
    this.#http = createServer((request, response) => {
      response.statusCode = request.url === '/.well-known/jwks.json' ? 200 : 404;
      response.end(JSON.stringify(this.keySet));
    });
    this.#sockets = new WebSocketServer({ server: this.#http, path: '/graphql' });
    useServer(
      {
        schema: buildSchema(this.sdl),
        onConnect: ({ connectionParams, extra }) => {
          const token = String((connectionParams as { authorization?: string } | undefined)?.authorization).replace(
            'Bearer ',
            '',
          );
          this.tokens.push(token);
          if (!this.refusedTokens.has(token)) return true;
          extra.socket.close(CloseCode.Forbidden, 'Forbidden');
          return false;
        },
        onSubscribe: (_context, id) => void this.subscriptionIds.push(id),
        roots: {
          query: {
            flagSync: ({ since, nonce }: { since?: number; nonce?: string }) => this.sync(since ?? null, nonce ?? null),
            flagProof: async () => this.onProof(await this.proof()),
            vehicleFacts: async ({ nonce }: { nonce: string }) => this.onFacts(await this.facts(nonce)),
          },
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
    this.#port = boundAddress(this.#http).port;
  }

  /** Stops like a crash: it drops every socket. */
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

  /** Gives the definitions that vehicles should have, by key. */
  definitions(): Map<string, FlagDefinition> {
    const present = [...this.#entries].flatMap(([key, { definition }]) =>
      definition === null ? [] : [[key, definition] as const],
    );
    return new Map(present.sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** Says whether the flag that was published at `revision` was enabled; null for a tombstone. */
  enabledAt(revision: number): boolean | null {
    const { jws } = this.published[revision - 1]!;
    const payload = JSON.parse(Buffer.from(jws.split('.')[1]!, 'base64url').toString()) as { flag?: FlagDefinition };
    return payload.flag?.enabled ?? null;
  }

  /** Gives the signed definition of each present flag. */
  signedSet(): Map<string, string> {
    return new Map(
      [...this.#entries].flatMap(([key, { definition, signed }]) =>
        definition === null ? [] : [[key, signed.jws] as const],
      ),
    );
  }

  /** Signs a proof of the present set. */
  proof(
    issuedAt = Math.floor(this.now() / 1000),
    nonce: string | null = null,
    revision = this.revision,
    signingKey = this.key,
  ): Promise<string> {
    const present = [...this.#entries.values()].filter(({ definition }) => definition !== null);
    const set = setDigest(
      present.map(({ signed: { key, revision: of, jws } }) => ({ key, revision: of, digest: jwsDigest(jws) })),
    );
    const payload = {
      v: 2,
      environment: this.environment,
      partition: null,
      revision,
      issuedAt,
      set,
      ...(nonce !== null && { nonce }),
    };
    return signJws(signingKey, PROOF_JWS_TYPE, payload);
  }

  /** Announces all changes of `change` together: one event for each flag, with the proof of the last. */
  async inOneLook(change: () => Promise<void>): Promise<void> {
    const before = this.revision;
    this.#looking = false;
    try {
      await change();
    } finally {
      this.#looking = true;
    }
    await this.#announce(before);
  }

  /** Backs the present state up. Gives the function that restores it, as a database is restored. */
  backup(): () => void {
    const [revision, entries] = [this.revision, [...this.#entries]];
    return () => {
      this.revision = revision;
      this.#entries.clear();
      for (const [key, entry] of entries) this.#entries.set(key, entry);
    };
  }

  /** Signs a statement, as older agents got it. */
  statement(revision = this.revision, issuedAt = Math.floor(this.now() / 1000)): Promise<string> {
    return signJws(this.key, STATEMENT_JWS_TYPE, { v: 1, environment: this.environment, revision, issuedAt });
  }

  /** Signs the registered facts as an answer to the request with `nonce`. */
  facts(nonce: string, vin = TEST_VIN): Promise<string> {
    if (this.registered === null)
      throw new GraphQLError('This vehicle is not registered.', { extensions: { code: 'NOT_FOUND' } });
    return signJws(this.key, VEHICLE_FACTS_JWS_TYPE, { v: 1, vin, ...this.registered, nonce });
  }

  async signedFlag(
    key: string,
    revision: number,
    definition: FlagDefinition | null,
    signingKey = this.key,
  ): Promise<SignedFlag> {
    const common = { v: this.definitionVersion, environment: this.environment, key, revision };
    const payload =
      definition === null ? { ...common, removed: true } : { ...common, removed: false, flag: definition };
    return {
      key,
      revision,
      removed: definition === null,
      jws: await signJws(signingKey, DEFINITION_JWS_TYPE, payload),
    };
  }

  async #publish(key: string, revision: number, definition: FlagDefinition | null): Promise<void> {
    const signed = await this.signedFlag(key, revision, definition);
    const before = this.revision;
    // Both change together, as in one transaction: no sync may see the revision without its flag.
    this.revision = revision;
    this.published.push(signed);
    this.#entries.set(key, { definition, signed });
    if (this.#looking) await this.#announce(before);
  }

  async #announce(since: number): Promise<void> {
    const proof = await this.proof();
    const changed = [...this.#entries.values()]
      .map(({ signed }) => signed)
      .filter(({ revision }) => revision > since)
      .sort((a, b) => a.revision - b.revision);
    let previousRevision = since;
    for (const signed of changed) {
      const change = {
        environment: this.environment.toUpperCase(),
        revision: signed.revision,
        previousRevision,
        signed,
        proof,
      };
      previousRevision = signed.revision;
      for (const stream of this.#streams) for (const message of await this.onChange(change)) stream.push(message);
      for (const listener of this.listeners) listener(change);
    }
  }

  /** Gives the answer to a sync. */
  async sync(since: number | null, nonce: string | null): Promise<SyncMessage> {
    this.syncs.push(since);
    if (nonce !== null) {
      this.nonces.push(nonce);
      await this.onNonce(nonce);
    }
    const full = since === null || since === 0 || since > this.revision;
    const flags = [...this.#entries.values()]
      .filter(({ definition, signed }) => (full ? definition !== null : signed.revision > (since ?? 0)))
      .map(({ signed }) => signed);
    return this.onSync({
      environment: this.environment.toUpperCase(),
      revision: this.revision,
      full,
      flags,
      proof: await this.proof(undefined, nonce),
    });
  }

  #stream(): ChangeStream {
    const stream = new ChangeStream(() => this.#streams.delete(stream));
    this.#streams.add(stream);
    return stream;
  }
}
