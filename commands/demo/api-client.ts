/** Client of the public GraphQL API over HTTP, as any user's program would use it. */
export class ApiClient {
  #token: string | null = null;

  /** @param url the gateway's URL, such as `http://localhost:4000` */
  constructor(readonly url: string) {}

  /** Signs in; later requests use this session. Throws what `ask` throws. */
  async signIn(email: string, password: string): Promise<void> {
    this.#token = null;
    const { login } = await this.ask<{ login: { token: string } }>(
      'mutation ($email: String!, $password: String!) { login(email: $email, password: $password) { token } }',
      { email, password },
    );
    this.#token = login.token;
  }

  /**
   * Runs an operation and gives the data of the answer.
   *
   * @throws Error with the API's own message and code when it refuses, or when nothing answers
   */
  async ask<T>(query: string, variables: Readonly<Record<string, unknown>> = {}): Promise<T> {
    const response = await fetch(`${this.url}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(this.#token !== null && { authorization: `Bearer ${this.#token}` }),
      },
      body: JSON.stringify({ query, variables }),
      signal: AbortSignal.timeout(15_000),
    });
    // oxlint-disable-next-line typescript/consistent-type-assertions -- the schema says what the caller's query gives
    const { data, errors } = (await response.json()) as {
      data?: T;
      errors?: { message: string; extensions?: { code?: string } }[];
    };
    const [fault] = errors ?? [];
    if (fault !== undefined)
      throw new Error(`The API refused: ${fault.message} (${fault.extensions?.code ?? `HTTP ${response.status}`})`);
    if (data === undefined || data === null) throw new Error(`The API gave no answer (HTTP ${response.status}).`);
    return data;
  }
}
