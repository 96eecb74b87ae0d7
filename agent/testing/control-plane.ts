/**
 * A small control plane for the agent's tests: real sockets, real GraphQL, real signatures; the state in memory.
 */
import { createServer, type Server } from 'node:http';
import { GraphQLError } from 'graphql';
import type { JWK } from 'jose';
import { WebSocketServer } from 'ws';
import type { Environment, FlagDefinition } from '../../core/model.ts';
import {
  DEFINITION_JWS_TYPE,
  STATEMENT_JWS_TYPE,
  definitionVersion,
  signedForm,
} from '../../core/wire/vehicle/definition.ts';
import { PROOF_JWS_TYPE } from '../../core/wire/vehicle/proof.ts';
import { OTHER_MODELS } from '../../core/partitions/partition.ts';
import { VEHICLE_FACTS_JWS_TYPE, type RegisteredFacts } from '../../core/wire/vehicle/vehicle-facts.ts';
import type { SignedFlag } from '../link/operations.ts';
import { ChangeStream } from './change-stream.ts';
import { serveOperations } from './control-plane-operations.ts';
import { PartitionedContent, type ConcerningChange } from './partitioned-content.ts';
import { createSigningKey, signJws, type SigningKey } from './signing.ts';
import {
  WIRE_SDL,
  type ChangeMessage,
  type ProofOptions,
  type ReportedBatch,
  type ReportedFault,
  type ReportedHeartbeat,
  type SyncMessage,
} from './wire-messages.ts';
import { boundAddress } from '../../core/wire/network/http-server.ts';

/** The vehicle of the tests. */
export const TEST_VIN = 'KMHL14JA5PA000001';

/** The model of vehicles that a test has not registered as another one. */
export const TEST_MODEL = 'Ioniq 6';

/** Holds the state of the control plane, signs it, and serves it over websockets. */
export class TestControlPlane {
  readonly environment: Environment = 'production';
  revision = 0;
  /** The schema. A test may set that of an older version before the control plane listens. */
  sdl = WIRE_SDL;
  /** The registered facts of the vehicle; null for none. */
  registered: RegisteredFacts | null = null;
  /** Changes an answer with registered facts on its way. */
  onFacts: (jws: string) => string = (jws) => jws;
  /** The version of the form in which definitions are signed; null for the one that they have. */
  definitionVersion: number | null = null;
  /** The `since` of every requested sync. */
  readonly syncs: (number | null)[] = [];
  /** The nonces of the syncs that had one. */
  readonly nonces: string[] = [];
  /** The ids of subscriptions that clients sent, and below the tokens. */
  readonly subscriptionIds: string[] = [];
  readonly tokens: string[] = [];
  /** The clock, in milliseconds since 1970. */
  now: () => number = Date.now;
  /** Called when a revision has been made, before anybody can have got it, with the one before it. */
  onRevision: (before: number) => void = () => undefined;
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
  /** The received reports of faults, including refused ones. */
  readonly faultReports: ReportedFault[][] = [];
  /** Called for each report of faults; an error that it throws is the answer. */
  onFaults: (faults: readonly ReportedFault[]) => void | Promise<void> = () => undefined;
  /** The backups in base64, by the name of their agent. The vehicle is one, so no VIN is needed. */
  readonly backups = new Map<string, string>();
  /** The number of received backups, including refused ones. */
  backupCount = 0;
  /** Called for each question for a backup; an error that it throws is the answer. Changes it on its way. */
  onBackup: (content: string | null) => string | null | Promise<string | null> = (content) => content;
  /** Called for each backup; an error that it throws is the answer. */
  onBackUp: () => void | Promise<void> = () => undefined;
  /** Everything that was ever signed for a flag, by revision. */
  readonly published: SignedFlag[] = [];
  /** Tokens that are refused with 4403. */
  readonly refusedTokens = new Set<string>();
  readonly #content = new PartitionedContent();
  /** The registered models of vehicles. */
  readonly #models = new Map<string, string>();
  /** The open streams, with the partition that the gateway took the vehicle to have. */
  readonly #streams = new Map<
    ChangeStream,
    { readonly vin: string; readonly partition: string; readonly partitioned: boolean }
  >();
  /** Listeners that get each change unchanged, with its partition, beside the streams. */
  readonly listeners = new Set<(change: ChangeMessage, partition: string) => void>();
  /** Listeners that get the end of a vehicle's stream, beside the streams. */
  readonly endListeners = new Set<(vin: string) => void>();
  /** The changes that were not announced yet, by partition. */
  #unannounced = new Map<string, ConcerningChange[]>();
  /** The partition that each vehicle had last. */
  readonly #partitions = new Map([[TEST_VIN, OTHER_MODELS]]);
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
    serveOperations(this, this.#sockets);
    await new Promise<void>((resolve) => this.#http!.listen(this.#port, '127.0.0.1', resolve));
    this.#port = boundAddress(this.#http).port;
  }

  /** Stops like a crash: it drops every socket. */
  async stop(): Promise<void> {
    for (const socket of this.#sockets?.clients ?? []) socket.terminate();
    for (const stream of this.#streams.keys()) stream.end();
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
      ...this.#content.flags.get(key)?.definition,
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

  /** Registers a vehicle as one of a model. Its streams end where that changes its partition. */
  register(model: string, vin = TEST_VIN): void {
    this.#partitions.set(vin, this.partitionOf(vin));
    this.#models.set(vin, model);
    this.#endMoved();
  }

  /** Gives the partition of a vehicle. */
  partitionOf(vin = TEST_VIN): string {
    return this.#content.partitionOf(this.#models.get(vin) ?? TEST_MODEL);
  }

  /** Ends the streams of a vehicle, as anybody between it and the gateway can do. */
  endStreams(vin = TEST_VIN): void {
    for (const [stream, of] of this.#streams) if (of.vin === vin) stream.end();
    for (const listener of this.endListeners) listener(vin);
  }

  /** Gives the definitions of the environment, by key. */
  definitions(): Map<string, FlagDefinition> {
    const present = [...this.#content.flags].map(([key, { definition }]) => [key, definition] as const);
    return new Map(present.sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** Says whether the flag that was published at `revision` was enabled; null for a tombstone. */
  enabledAt(revision: number): boolean | null {
    const { jws } = this.published[revision - 1]!;
    const payload = JSON.parse(Buffer.from(jws.split('.')[1]!, 'base64url').toString()) as { flag?: FlagDefinition };
    return payload.flag?.enabled ?? null;
  }

  /** Gives the signed definition of each present flag of a partition: by default that of the vehicle. */
  signedSet(partition = this.partitionOf()): Map<string, string> {
    return new Map([...this.#content.signedSet(partition)].map(([key, { jws }]) => [key, jws]));
  }

  /** Signs a proof of the present set of a partition: by default that of the vehicle. */
  proof({
    issuedAt = Math.floor(this.now() / 1000),
    nonce = null,
    revision = this.revision,
    key = this.key,
    partition = this.partitionOf(),
    named = partition,
    vin,
  }: ProofOptions = {}): Promise<string> {
    const payload = {
      v: 2,
      environment: this.environment,
      partition: named,
      revision,
      issuedAt,
      set: this.#content.digest(partition),
      ...(nonce !== null && { nonce }),
      ...(vin !== undefined && { vin }),
    };
    return signJws(key, PROOF_JWS_TYPE, payload);
  }

  /** Announces all changes of `change` together: one event for each flag, with the proof of the last. */
  async inOneLook(change: () => Promise<void>): Promise<void> {
    this.#looking = false;
    try {
      await change();
    } finally {
      this.#looking = true;
    }
    await this.#announce();
  }

  /** Backs the present state up. Gives the function that restores it, as a database is restored. */
  backup(): () => void {
    const { revision } = this;
    const restore = this.#content.backup(revision);
    return () => {
      this.revision = revision;
      restore();
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
    const payload = definition === null ? { removed: true } : { removed: false, flag: signedForm(definition) };
    return this.#signed(key, revision, payload, signingKey, definition === null ? 1 : definitionVersion(definition));
  }

  async #signed(
    key: string,
    revision: number,
    payload: { readonly removed: boolean; readonly flag?: object; readonly partition?: string },
    signingKey = this.key,
    version = 1,
  ): Promise<SignedFlag> {
    const whole = { v: this.definitionVersion ?? version, environment: this.environment, key, revision, ...payload };
    return { key, revision, removed: payload.removed, jws: await signJws(signingKey, DEFINITION_JWS_TYPE, whole) };
  }

  async #publish(key: string, revision: number, definition: FlagDefinition | null): Promise<void> {
    const signed = await this.signedFlag(key, revision, definition);
    const partitions = definition === null ? [] : this.#content.leftBy(key, definition.scope);
    const left = await Promise.all(
      partitions.map(
        async (partition) => [partition, await this.#signed(key, revision, { removed: true, partition })] as const,
      ),
    );
    // All of it changes together, as in one transaction: no sync may see the revision without its flag.
    const before = this.revision;
    this.revision = revision;
    this.published.push(signed);
    for (const [partition, change] of this.#content.apply(key, { revision, definition, signed, left: new Map(left) }))
      this.#unannounced.set(partition, [...(this.#unannounced.get(partition) ?? []), change]);
    this.onRevision(before);
    this.#endMoved();
    if (this.#looking) await this.#announce();
  }

  /** Ends the streams of vehicles that have got another partition, as the gateway does. */
  #endMoved(): void {
    for (const [stream, { vin, partition }] of this.#streams) if (this.partitionOf(vin) !== partition) stream.end();
    for (const [vin, partition] of this.#partitions) {
      if (this.partitionOf(vin) === partition) continue;
      this.#partitions.set(vin, this.partitionOf(vin));
      for (const listener of this.endListeners) listener(vin);
    }
  }

  async #announce(): Promise<void> {
    const unannounced = this.#unannounced;
    this.#unannounced = new Map();
    for (const [partition, changes] of unannounced) {
      const [proof, former] = await Promise.all([this.proof({ partition }), this.proof({ partition, named: null })]);
      // A flag that changed several times is sent once, as it is now.
      const last = changes.filter(
        ({ signed }, index) => !changes.slice(index + 1).some((later) => later.signed.key === signed.key),
      );
      let previousRevision = changes[0]!.previousRevision;
      for (const { signed } of last) {
        const environment = this.environment.toUpperCase();
        const change = { environment, revision: signed.revision, previousRevision, signed, proof };
        previousRevision = signed.revision;
        for (const [stream, of] of this.#streams) {
          if (of.partition !== partition) continue;
          const inForm = of.partitioned ? change : { ...change, proof: former };
          for (const message of await this.onChange(inForm)) stream.push(message);
        }
        for (const listener of this.listeners) listener(change, partition);
      }
    }
  }

  /**
   * Gives the answer to a sync by a vehicle.
   *
   * @param partitioned whether its proof names the partition, and assigns it where there is a nonce
   */
  async sync(since: number | null, nonce: string | null, vin = TEST_VIN, partitioned = true): Promise<SyncMessage> {
    this.syncs.push(since);
    if (nonce !== null) {
      this.nonces.push(nonce);
      await this.onNonce(nonce);
    }
    const partition = this.partitionOf(vin);
    const full = since === null || since === 0 || since > this.revision;
    const { revision } = this;
    const flags = this.#content.since(full ? 0 : since, partition);
    const named = partitioned ? partition : null;
    const proof = await this.proof({
      revision,
      partition,
      named,
      nonce,
      ...(partitioned && nonce !== null && { vin }),
    });
    return this.onSync({ environment: this.environment.toUpperCase(), revision, full, flags, proof });
  }

  /**
   * Opens a stream of changes for a vehicle.
   *
   * @param partitioned whether its proofs name the partition
   */
  stream(vin = TEST_VIN, partitioned = true): ChangeStream {
    const stream = new ChangeStream(() => this.#streams.delete(stream));
    this.#streams.set(stream, { vin, partition: this.partitionOf(vin), partitioned });
    return stream;
  }
}
