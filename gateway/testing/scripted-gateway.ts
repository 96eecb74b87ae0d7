/** The whole gateway on a free port, over subgraphs whose answers a test sets. */
import {
  SUBGRAPH_NAMES,
  type SubgraphConnection,
  type SubgraphName,
  type SubgraphRequest,
  type SubgraphResponse,
} from '../../core/wire/subgraph/subgraph.ts';
import { OTHER_MODELS } from '../../core/partitions/partition.ts';
import { createVehicleTokens, type VehicleTokens } from '../../core/credentials/vehicle-token.ts';
import type { FindSession } from '../credentials/authenticate.ts';
import type { EndedSessions } from '../credentials/credentials-in-use.ts';
import type { Subgraphs } from '../composition/supergraph.ts';
import { startGateway, type Gateway, type GatewayOptions } from '../gateway.ts';
import { EventSource } from '../subscriptions/testing/event-source.ts';
import { WireClient } from '../subscriptions/testing/wire-client.ts';
import { BARE_GATEWAY } from './bare-gateway.ts';
import { countingLimiter } from './counting-limiter.ts';

export const SECRET = 'a-secret-of-more-than-32-characters-x';
export const VIN = 'KMHK281HGNU000001';
/** The token of the only known session. */
export const SESSION = 'ffs_writer';

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly body: {
    data?: unknown;
    errors?: { message: string; path?: unknown; extensions: Record<string, unknown> }[];
    [name: string]: unknown;
  };
}

/** Answers what a gateway asks about partitions: all vehicles have that of other models. Null for other questions. */
function partitionsForAll({ query, variables }: SubgraphRequest): SubgraphResponse | null {
  if (query.includes('partitionNews')) return { data: { partitionNews: { readAt: 1, named: [], vehicles: [] } } };
  if (!query.includes('vehiclePartitions')) return null;
  const vins = variables?.['vins'];
  const named = Array.isArray(vins) ? vins.map((vin) => [String(vin), OTHER_MODELS] as const) : [];
  return { data: { vehiclePartitions: Object.fromEntries(named) } };
}

/** A gateway under test; see the top of this file. */
export class ScriptedGateway {
  url = '';
  /** The requests to subgraphs on behalf of callers, and those of the gateway on its own behalf. */
  readonly asked: (SubgraphRequest & { readonly name: SubgraphName })[] = [];
  readonly askedForItself: (SubgraphRequest & { readonly name: SubgraphName })[] = [];
  readonly logged: { level: string; fields: object; message: string }[] = [];
  readonly vehicleTokens: VehicleTokens = createVehicleTokens(SECRET);
  readonly limiter = countingLimiter();
  /** Gives the answer of every subgraph to a caller. */
  answer: (request: SubgraphRequest) => Promise<SubgraphResponse> = async () => ({ data: null });
  /** Gives the audit subgraph's answer to the gateway itself. By default no vehicle's tokens have been revoked. */
  answerGateway: (request: SubgraphRequest) => Promise<SubgraphResponse> = async () => ({ data: null });
  /** The events of all subscriptions of callers, and those of the gateway's own subscriptions. */
  readonly events = new EventSource<SubgraphResponse>();
  readonly endedCredentials = new EventSource<SubgraphResponse>();
  readonly partitionSignals = new EventSource<SubgraphResponse>();
  /** The answers about partitions; every vehicle has that of other models, and none is ever moved. */
  partitions: (request: SubgraphRequest) => SubgraphResponse | null = partitionsForAll;
  ready: Record<string, boolean> = {};
  counters: Gateway['counters'] = () => {
    throw new Error('not started');
  };
  readonly #clients: WireClient[] = [];
  /** "ffs_writer" is a user with WRITE; nothing else is known. */
  findSession: FindSession = async (token) =>
    token === SESSION
      ? {
          caller: {
            kind: 'user',
            userId: '0198f0aa-0000-7000-8000-000000000001',
            role: 'WRITE',
            sessionKey: 'session:of-the-writer',
          },
          expiresAt: new Date(Date.now() + 60_000),
        }
      : null;
  /** Gives the sessions that have ended; none by default. */
  endedSessions: EndedSessions = async () => new Set();
  close: () => Promise<void> = () => Promise.resolve();

  static async start(over: Partial<GatewayOptions> = {}): Promise<ScriptedGateway> {
    const scripted = new ScriptedGateway();
    const log = (level: string) => (fields: object, message: string) =>
      void scripted.logged.push({ level, fields, message });
    const gateway = await startGateway({
      subgraphs: Object.fromEntries(
        SUBGRAPH_NAMES.map((name) => [name, scripted.#connection(name)]),
      ) as unknown as Subgraphs,
      findSession: (token) => scripted.findSession(token),
      endedSessions: (keys) => scripted.endedSessions(keys),
      vehicleTokens: scripted.vehicleTokens,
      limiter: scripted.limiter,
      publicKeys: async () => ({ keys: [{ kid: 'k1' }] }),
      ...BARE_GATEWAY,
      readiness: async () => ({ sessions: scripted.ready['sessions'] ?? true }),
      playground: true,
      introspection: true,
      logger: { info: log('info'), warn: log('warn'), error: log('error') },
      ...over,
    });
    scripted.url = `http://127.0.0.1:${gateway.port}`;
    scripted.counters = () => gateway.counters();
    scripted.close = () => {
      for (const { socket } of scripted.#clients) socket.terminate();
      return gateway.close(0);
    };
    return scripted;
  }

  /** Records a request. Says whether the gateway sent it on its own behalf. */
  #note(name: SubgraphName, request: SubgraphRequest): boolean {
    const isOwn = request.identity.caller.kind === 'gateway';
    (isOwn ? this.askedForItself : this.asked).push({ name, ...request });
    return isOwn;
  }

  #connection(name: SubgraphName): SubgraphConnection {
    return {
      name,
      execute: (request) => {
        const isOwn = this.#note(name, request);
        if (!isOwn) return this.answer(request);
        const partitions = name === 'flags' ? this.partitions(request) : null;
        if (partitions !== null) return Promise.resolve(partitions);
        return name === 'vehicles'
          ? Promise.resolve({ data: { vehicleTokenGenerations: [] } })
          : this.answerGateway(request);
      },
      subscribe: (request) => {
        const own = name === 'flags' ? this.partitionSignals : this.endedCredentials;
        const source = this.#note(name, request) ? own : this.events;
        return Object.assign(
          source.iterate(() => true),
          { established: Promise.resolve() },
        );
      },
      ready: async () => this.ready[name] ?? true,
      close: async () => undefined,
    };
  }

  /** A websocket that says nothing by itself. */
  socket(headers: Record<string, string> = {}): WireClient {
    const client = new WireClient(`${this.url.replace(/^http/, 'ws')}/graphql`, undefined, { headers });
    this.#clients.push(client);
    return client;
  }

  /** A websocket of the user of the one session. */
  client(headers: Record<string, string> = {}): Promise<WireClient> {
    return this.socket(headers).acknowledged({ authorization: `Bearer ${SESSION}` });
  }

  async send(path: string, init: RequestInit = {}): Promise<HttpAnswer> {
    const response = await fetch(`${this.url}${path}`, init);
    const text = await response.text();
    const isJson = (response.headers.get('content-type') ?? '').includes('json');
    return {
      status: response.status,
      headers: response.headers,
      text,
      body: (isJson ? JSON.parse(text) : {}) as HttpAnswer['body'],
    };
  }

  /**
   * Sends a POST to `/graphql`.
   *
   * @param body an operation, or the bytes of the body as they are
   */
  post(body: unknown, headers: Record<string, string> = {}): Promise<HttpAnswer> {
    return this.send('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  }

  /** Sends an operation as the user of the one session. */
  ask(
    query: string,
    variables: Record<string, unknown> = {},
    headers: Record<string, string> = {},
  ): Promise<HttpAnswer> {
    return this.post({ query, variables }, { authorization: `Bearer ${SESSION}`, ...headers });
  }
}
