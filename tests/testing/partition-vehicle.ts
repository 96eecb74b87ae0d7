/**
 * A vehicle that keeps its flags up to date by the operations of agents, and checks that what a gateway gives it
 * belongs to a partition that it may have. It verifies no signatures: the gateway is honest.
 */
import { decodeJwt } from 'jose';
import { WebSocket } from 'ws';
import { isObject, membersOf } from '../../core/json/json-value.ts';
import { isInPartition } from '../../core/partitions/partition.ts';
import { readProof, jwsDigest, setDigest, type ProofPayload } from '../../core/wire/vehicle/proof.ts';

/** The operations of agents older than partitions, and those of new ones. */
const OPERATIONS = {
  former: {
    changes:
      'subscription { flagChanges(environment: STAGING) { environment revision previousRevision signed { key revision removed jws } proof } }',
    sync: 'query ($since: Int) { flagSync(environment: STAGING, since: $since) { environment revision full flags { key revision removed jws } proof } }',
    proof: '{ flagProof(environment: STAGING) }',
  },
  present: {
    changes:
      'subscription { flagChanges(environment: STAGING) { environment revision previousRevision spreadSeconds signed { key revision removed jws } proof(partitioned: true) } }',
    sync: 'query ($since: Int) { flagSync(environment: STAGING, since: $since) { environment revision full flags { key revision removed jws } proof(partitioned: true) } }',
    proof: '{ flagProof(environment: STAGING, partitioned: true) }',
  },
} as const;

interface Signed {
  readonly key: string;
  readonly revision: number;
  readonly removed: boolean;
  readonly jws: string;
}

interface Answer {
  readonly revision: number;
  readonly previousRevision?: number;
  readonly full?: boolean;
  readonly signed?: Signed;
  readonly flags?: readonly Signed[];
  readonly proof: string;
}

/** Milliseconds between two comparisons with the current proof, as a heartbeat brings it. */
const HEARTBEAT_MS = 150;

export class PartitionVehicle {
  readonly held = new Map<string, Signed>();
  revision = 0;
  /** The contents that it was given and must not have, in words. */
  readonly faults: string[] = [];
  /** The times that the gateway has ended its subscription. */
  completed = 0;
  /** The partitions that it may have: more than one while its model changes. */
  current: ReadonlySet<string>;
  /** The partitions that it may have had since it connected. */
  #allowed = new Set<string>();
  #socket: WebSocket | undefined;
  #timer: NodeJS.Timeout | undefined;
  #asked = 0;
  #isSyncing = false;
  #isOver = false;

  constructor(
    readonly vin: string,
    private readonly token: string,
    private readonly era: keyof typeof OPERATIONS,
    private readonly url: () => string,
    partition: string,
  ) {
    this.current = new Set([partition]);
  }

  /** Names the partitions that it may have from now on, beside those since it connected. */
  may(...partitions: readonly string[]): void {
    this.current = new Set(partitions);
    for (const partition of partitions) this.#allowed.add(partition);
  }

  /** Connects; connects again after each loss until `close`. */
  connect(): void {
    this.#allowed = new Set(this.current);
    this.#isSyncing = false;
    const socket = (this.#socket = new WebSocket(this.url(), 'graphql-transport-ws'));
    socket.on('open', () =>
      this.#send({ type: 'connection_init', payload: { authorization: `Bearer ${this.token}` } }),
    );
    socket.on('message', (data: Buffer) => {
      if (socket === this.#socket) this.#take(membersOf(JSON.parse(data.toString())));
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (socket !== this.#socket || this.#isOver) return;
      clearInterval(this.#timer);
      this.#timer = setTimeout(() => this.connect(), 20);
    });
  }

  /** Cuts the connection, after which it connects again. */
  cut(): void {
    this.#socket?.terminate();
  }

  close(): void {
    this.#isOver = true;
    clearInterval(this.#timer);
    this.#socket?.terminate();
  }

  #send(message: object): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #ask(what: 'changes' | 'sync' | 'proof', variables: object = {}): void {
    const id = `${what} ${(this.#asked += 1)}`;
    this.#send({ id, type: 'subscribe', payload: { query: OPERATIONS[this.era][what], variables } });
  }

  #sync(whole = false): void {
    if (this.#isSyncing) return;
    this.#isSyncing = true;
    this.#ask('sync', { since: whole ? 0 : this.revision });
  }

  #take({ type, id, payload }: { readonly [name: string]: unknown }): void {
    if (type === 'connection_ack') {
      this.#ask('changes');
      this.#sync();
      this.#timer = setInterval(() => this.#ask('proof'), HEARTBEAT_MS);
      return;
    }
    const what = typeof id === 'string' ? id.split(' ')[0] : undefined;
    if (type === 'complete' && what === 'changes') {
      // Agents connect again when their subscription ends.
      this.completed += 1;
      return this.cut();
    }
    if (type === 'error' && what === 'sync') this.#isSyncing = false;
    if (type !== 'next') return;
    const { flagChanges, flagSync, flagProof } = membersOf(membersOf(payload)['data']);
    if (isObject(flagSync)) this.#synced(flagSync as unknown as Answer);
    else if (isObject(flagChanges)) this.#changed(flagChanges as unknown as Answer);
    else if (typeof flagProof === 'string') this.#compare(this.#proofIn(flagProof), false);
  }

  #proofIn(jws: string): ProofPayload {
    const proof = readProof(decodeJwt(jws));
    if (proof === null) throw new Error('This is no proof.');
    const isExpected = proof.partition === null ? this.era === 'former' : this.#allowed.has(proof.partition);
    if (!isExpected) this.#fault(`a proof of the partition ${proof.partition}`);
    return proof;
  }

  #fault(what: string): void {
    this.faults.push(`${this.vin} of ${[...this.#allowed].join(' or ')} got ${what}`);
  }

  #check({ key, removed, jws }: Signed): void {
    const { flag, partition } = decodeJwt<{ flag?: { scope?: readonly string[] }; partition?: string | null }>(jws);
    const scope = flag?.scope ?? null;
    const fits = removed
      ? partition == null || this.#allowed.has(partition)
      : [...this.#allowed].some((own) => isInPartition(scope, own));
    if (!fits) this.#fault(`${removed ? `a tombstone of ${partition}` : `a flag of ${scope?.join(', ')}`}: ${key}`);
  }

  #put(entry: Signed): void {
    if (entry.removed) this.held.delete(entry.key);
    else this.held.set(entry.key, entry);
  }

  #synced({ flags = [], full, revision, proof }: Answer): void {
    this.#isSyncing = false;
    for (const entry of flags) this.#check(entry);
    if (full === true) this.held.clear();
    for (const entry of flags) this.#put(entry);
    this.revision = revision;
    this.#compare(this.#proofIn(proof), full === true);
  }

  #changed({ signed, revision, previousRevision = 0, proof }: Answer): void {
    const proven = this.#proofIn(proof);
    if (signed === undefined) return;
    this.#check(signed);
    if (revision <= this.revision) return;
    if (previousRevision > this.revision) return this.#sync();
    this.#put(signed);
    this.revision = revision;
    this.#compare(proven, false);
  }

  #compare(proof: ProofPayload, isFull: boolean): void {
    if (proof.revision < this.revision) return;
    const set = setDigest(
      Array.from(this.held.values(), ({ key, revision, jws }) => ({ key, revision, digest: jwsDigest(jws) })),
    );
    if (set === proof.set) this.revision = proof.revision;
    else if (proof.revision > this.revision) this.#sync();
    else if (!isFull) this.#sync(true);
  }
}
