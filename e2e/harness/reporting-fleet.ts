/**
 * Vehicles in this process that follow one flag over real sockets, evaluate it with core's own code, and report what
 * they hold and what fails under it, as agents do. They keep no store and verify no signature, so that thousands fit.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { createClient, type Client } from 'graphql-ws';
import { WebSocket } from 'ws';
import { REPORT_FAULTS_MUTATION } from '../../agent/faults/fault-sender.ts';
import { OPERATIONS, readChangeEvent, readSyncAnswer, type SignedFlag } from '../../agent/link/operations.ts';
import { HEARTBEAT_MUTATION } from '../../agent/telemetry/heartbeat/heartbeat-sender.ts';
import { compileFlag, evaluateFlag, type CompiledFlag } from '../../core/evaluation/evaluate.ts';
import type { FlagDefinition, JsonValue } from '../../core/model.ts';
import type { Api } from './api.ts';

const FACTS = { model: 'Ioniq 6', swVersion: '2.5.0', region: 'EU' };
/** The vehicles that are registered, or get their tokens, at once. */
const AT_ONCE = { register: 500, tokens: 25 };

/** The flag that a fleet follows, and the value under which its programs fail. */
interface Followed {
  readonly key: string;
  readonly failsAt: JsonValue;
}

class ReportingVehicle {
  readonly #client: Client;
  readonly #context: { readonly vin: string };
  #definition: CompiledFlag | null = null;
  #revision = 0;
  /** The values that the flag has had here, in their order. */
  readonly values: JsonValue[] = [];

  constructor(
    url: string,
    readonly vin: string,
    token: string,
    private readonly followed: Followed,
  ) {
    this.#context = { vin, ...FACTS };
    this.#client = createClient({
      url,
      webSocketImpl: WebSocket,
      lazy: false,
      retryAttempts: Number.MAX_SAFE_INTEGER,
      shouldRetry: () => true,
      retryWait: () => pause(200 + Math.random() * 300),
      connectionParams: { authorization: `Bearer ${token}` },
      on: { connected: () => this.#sync() },
      onNonLazyError: () => undefined,
    });
    this.#ask(OPERATIONS.changes, { environment: 'PRODUCTION' }, (data) => {
      const { revision, signed } = readChangeEvent(data, 'production');
      this.#take([signed], revision);
    });
  }

  get value(): JsonValue | undefined {
    return this.values.at(-1);
  }

  close(): Promise<void> {
    return Promise.resolve(this.#client.dispose());
  }

  #ask(query: string, variables: Record<string, unknown>, take: (data: unknown) => void = () => undefined): void {
    // The client repeats what a lost connection cut off. What is refused is not repeated.
    this.#client.subscribe(
      { query, variables },
      { next: ({ data }) => take(data), error: () => undefined, complete: () => undefined },
    );
  }

  #sync(): void {
    this.#ask(OPERATIONS.sync, { environment: 'PRODUCTION', since: null }, (data) => {
      const { revision, flags } = readSyncAnswer(data, 'production');
      this.#take(flags, revision);
    });
  }

  #take(flags: readonly SignedFlag[], revision: number): void {
    const signed = flags.find(({ key }) => key === this.followed.key);
    if (signed !== undefined && signed.revision > (this.#definition?.revision ?? 0)) {
      const payload = JSON.parse(Buffer.from(signed.jws.split('.')[1]!, 'base64url').toString()) as {
        flag: FlagDefinition;
      };
      this.#definition = compileFlag({ ...payload.flag, key: signed.key, revision: signed.revision });
    }
    this.#revision = Math.max(this.#revision, revision);
    if (this.#definition === null) return;
    const { value } = evaluateFlag(this.#definition, this.#context);
    if (value !== this.value) this.values.push(value);
    const { key, revision: heldRevision, release } = this.#definition;
    const evaluated = release?.isIn(this.#context) === true ? [{ key, revision: heldRevision }] : [];
    this.#ask(HEARTBEAT_MUTATION, { input: { appliedRevision: this.#revision, evaluated } });
    if (value !== this.followed.failsAt) return;
    const fault = {
      kind: 'REPORTED_BY_PROGRAM',
      message: 'The program has stopped.',
      occurredAt: new Date().toISOString(),
    };
    const faults = [{ flagKey: this.followed.key, revision: this.#definition.revision, ...fault }];
    this.#ask(REPORT_FAULTS_MUTATION, { input: { faults } });
  }
}

export class ReportingFleet {
  private constructor(readonly vehicles: readonly ReportingVehicle[]) {}

  /** Registers vehicles and connects them. They may not have synced yet. */
  static async start(api: Api, vins: readonly string[], followed: Followed): Promise<ReportingFleet> {
    for (let first = 0; first < vins.length; first += AT_ONCE.register)
      await api.ok('mutation ($input: [RegisterVehicleInput!]!) { registerVehicles(input: $input) { vin } }', {
        input: vins.slice(first, first + AT_ONCE.register).map((vin) => ({ vin, ...FACTS })),
      });
    const vehicles: ReportingVehicle[] = [];
    for (let first = 0; first < vins.length; first += AT_ONCE.tokens) {
      const some = vins.slice(first, first + AT_ONCE.tokens);
      const tokens = await Promise.all(some.map((vin) => tokenOf(api, vin)));
      vehicles.push(
        ...some.map((vin, index) => new ReportingVehicle(api.deployment.wsUrl, vin, tokens[index]!, followed)),
      );
    }
    return new ReportingFleet(vehicles);
  }

  /** Counts the vehicles by the present value, which is a string; `none` for those that have not synced. */
  counts(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const { value } of this.vehicles) {
      const name = typeof value === 'string' ? value : 'none';
      counts[name] = (counts[name] ?? 0) + 1;
    }
    return counts;
  }

  /** Counts the vehicles that have ever had a value. */
  everHad(value: JsonValue): number {
    return this.vehicles.filter(({ values }) => values.includes(value)).length;
  }

  async close(): Promise<void> {
    await Promise.all(this.vehicles.map((vehicle) => vehicle.close()));
  }
}

async function tokenOf(api: Api, vin: string): Promise<string> {
  const { issueVehicleToken } = await api.ok<{ issueVehicleToken: { token: string } }>(
    'mutation ($vin: String!) { issueVehicleToken(vin: $vin) { token } }',
    { vin },
  );
  return issueVehicleToken.token;
}
