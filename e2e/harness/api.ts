/** The public API as a client program uses it: HTTP with fetch, subscriptions with the stock graphql-ws client. */
import { createClient, type Client, type ExecutionResult } from 'graphql-ws';
import { WebSocket } from 'ws';
import { ADMIN, type Deployment } from './deployment.ts';

/** The answer to an operation, with the status of HTTP. */
export interface ApiAnswer {
  readonly status: number;
  readonly data?: Record<string, unknown> | null;
  readonly errors?: readonly { message: string; path?: (string | number)[]; extensions: Record<string, unknown> }[];
}

const LOGIN = 'mutation ($email: String!, $password: String!) { login(email: $email, password: $password) { token } }';

/** A client of the API. */
export class Api {
  /** @param token the session that signs requests; null for an anonymous client */
  constructor(
    readonly deployment: Pick<Deployment, 'url' | 'wsUrl'>,
    readonly token: string | null = null,
  ) {}

  /** Gives an API that is signed in as the administrator. */
  static admin(deployment: Api['deployment']): Promise<Api> {
    return Api.signedIn(deployment, ADMIN);
  }

  /** Gives an API that is signed in to an account. */
  static async signedIn(
    deployment: Api['deployment'],
    account: { readonly email: string; readonly password: string },
  ): Promise<Api> {
    const { login } = await new Api(deployment).ok<{ login: { token: string } }>(LOGIN, { ...account });
    return new Api(deployment, login.token);
  }

  /** Runs an operation and gives its answer, whatever it is. */
  async ask(query: string, variables: Readonly<Record<string, unknown>> = {}): Promise<ApiAnswer> {
    const response = await fetch(`${this.deployment.url}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(this.token !== null && { authorization: `Bearer ${this.token}` }),
      },
      body: JSON.stringify({ query, variables }),
    });
    return { status: response.status, ...((await response.json()) as Omit<ApiAnswer, 'status'>) };
  }

  /**
   * Runs an operation and gives its data, in the shape that the test expects. Fails the test where there are errors.
   */
  async ok<Data = Record<string, unknown>>(
    query: string,
    variables: Readonly<Record<string, unknown>> = {},
  ): Promise<Data> {
    const { data, errors } = await this.ask(query, variables);
    if (errors !== undefined) throw new Error(JSON.stringify(errors, null, 2));
    return data as Data;
  }

  /** Creates a flag that is enabled in production. Its name is its key unless `flag` has another. */
  async createFlag(flag: {
    readonly key: string;
    readonly type: string;
    readonly defaultValue: unknown;
    readonly safetyLevel: string;
    readonly name?: string;
  }): Promise<void> {
    await this.ok('mutation ($input: CreateFlagInput!) { createFlag(input: $input) { applied } }', {
      input: { name: flag.key, environment: 'PRODUCTION', enabled: true, ...flag },
    });
  }

  /** Gives the revision of production. */
  async revision(): Promise<number> {
    const { flagSync } = await this.ok<{ flagSync: { revision: number } }>(
      '{ flagSync(environment: PRODUCTION) { revision } }',
    );
    return flagSync.revision;
  }

  /** Runs an operation that must be refused. Gives the extensions of the only error of its answer. */
  async refused(query: string, variables: Readonly<Record<string, unknown>> = {}): Promise<Record<string, unknown>> {
    const { errors } = await this.ask(query, variables);
    if (errors?.length !== 1) throw new Error(`Expected one error: ${JSON.stringify(errors)}`);
    return errors[0]?.extensions ?? {};
  }

  /** Opens a client of websockets, signed in with `token`. */
  socket(token = this.token): Client {
    return createClient({
      url: this.deployment.wsUrl,
      webSocketImpl: WebSocket,
      retryAttempts: 0,
      connectionParams: token === null ? {} : { authorization: `Bearer ${token}` },
    });
  }

  /** Registers a vehicle and gives a token for it. */
  async vehicle(
    vin: string,
    facts: { model: string; swVersion: string; region: string } = {
      model: 'Ioniq 6',
      swVersion: '2.5.0',
      region: 'EU',
    },
  ): Promise<string> {
    await this.ok('mutation ($input: [RegisterVehicleInput!]!) { registerVehicles(input: $input) { vin } }', {
      input: [{ vin, ...facts }],
    });
    const { issueVehicleToken } = await this.ok<{ issueVehicleToken: { token: string } }>(
      'mutation ($vin: String!) { issueVehicleToken(vin: $vin) { token } }',
      { vin },
    );
    return issueVehicleToken.token;
  }
}

/** Subscribes and keeps the events. */
export class Listener {
  readonly events: ExecutionResult[] = [];
  error: unknown;
  ended = false;
  readonly stop: () => void;

  /** @param operation the text of a subscription, or the members that name a persisted operation */
  constructor(
    client: Client,
    operation: string | { query: string; extensions?: Record<string, unknown> },
    variables: Record<string, unknown> = {},
  ) {
    this.stop = client.subscribe(
      { ...(typeof operation === 'string' ? { query: operation } : operation), variables },
      {
        next: (event) => this.events.push(event as ExecutionResult),
        error: (error) => {
          this.error = error;
          this.ended = true;
        },
        complete: () => (this.ended = true),
      },
    );
  }
}
