/** People at the control plane, who change, read, review and schedule, and note each request with its answer. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Answer as Noted, Call, FlagView } from '../../tests/faults/history.ts';
import type { Random } from '../../tests/testing/random.ts';
import type { Recorder } from './recorder.ts';

/** The milliseconds after which a person no longer waits for an answer. */
const TIMEOUT_MS = 15_000;

/** Codes that say that nothing was changed. Of the others a client cannot know. */
const REFUSALS = new Set([
  'UNAUTHENTICATED',
  'FORBIDDEN',
  'BAD_USER_INPUT',
  'NOT_FOUND',
  'CONFLICT',
  'LIMIT_EXCEEDED',
  'RATE_LIMITED',
]);

interface GraphqlAnswer {
  readonly data?: Record<string, unknown> | null;
  readonly errors?: readonly { path?: unknown[]; extensions?: { code?: string } }[];
}

interface FlagFields {
  readonly key: string;
  readonly revision: number;
  readonly defaultValue: number;
  readonly enabled: boolean;
  readonly killed: boolean;
}
interface Payload {
  readonly applied: boolean;
  readonly flag: FlagFields;
  readonly changeRequest: { readonly id: string } | null;
}

const FLAG = 'key revision defaultValue enabled killed';
const PAYLOAD = `{ applied flag { ${FLAG} } changeRequest { id } }`;

const viewOf = ({ revision, defaultValue, enabled, killed }: FlagFields): FlagView => ({
  revision,
  value: defaultValue,
  enabled,
  killed,
});

/** The credentials of a person. */
export interface Account {
  readonly email: string;
  readonly password: string;
}

/** The parts of a run that all its people share. */
export interface Scene {
  readonly recorder: Recorder;
  readonly random: Random;
  /** The addresses of the gateways. */
  readonly urls: readonly string[];
  /** Gives a number that no change has used. */
  readonly token: () => number;
  /** Whether people begin nothing, so that everything can get in step. */
  isPaused: boolean;
}

/** A person with an account. */
export class Person {
  #token: string | null = null;
  #isStopped = false;
  #over: Promise<void> = Promise.resolve();

  constructor(
    readonly name: string,
    readonly account: Account,
    readonly scene: Scene,
  ) {}

  /** Does `turn` again and again, with a pause of up to `pauseMs` milliseconds between two turns. */
  begin(pauseMs: number, turn: (person: Person) => Promise<void>): this {
    this.#over = (async () => {
      while (!this.#isStopped) {
        if (!this.scene.isPaused) await turn(this);
        await pause(pauseMs * (0.5 + this.scene.random.next() / 2));
      }
    })();
    return this;
  }

  /** Ends after the turn that has begun. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#over;
  }

  async #signIn(): Promise<void> {
    const { data } = await this.#send(
      'mutation ($email: String!, $password: String!) { login(email: $email, password: $password) { token } }',
      {
        ...this.account,
      },
    );
    this.#token = (data?.['login'] as { token: string } | null | undefined)?.token ?? null;
  }

  async #send(query: string, variables: Readonly<Record<string, unknown>>): Promise<GraphqlAnswer> {
    const response = await fetch(`${this.scene.random.pick(this.scene.urls)}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(this.#token !== null && { authorization: `Bearer ${this.#token}` }),
      },
      body: JSON.stringify({ query, variables }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    return (await response.json()) as GraphqlAnswer;
  }

  /** Gives the data; or the code of the error, and whether it says that nothing was changed. */
  async ask(
    query: string,
    variables: Readonly<Record<string, unknown>>,
  ): Promise<{ data: Record<string, unknown> } | { code: string; isRefusal: boolean }> {
    try {
      if (this.#token === null) await this.#signIn();
      if (this.#token === null) return { code: 'NO_SESSION', isRefusal: true };
      const { data, errors } = await this.#send(query, variables);
      const [error] = errors ?? [];
      if (error === undefined && data != null) return { data };
      const code = error?.extensions?.code ?? 'NO_CODE';
      if (code === 'UNAUTHENTICATED') this.#token = null;
      // An error deeper down is one of the answer, not of the change.
      return { code, isRefusal: REFUSALS.has(code) && (error?.path?.length ?? 0) <= 1 };
    } catch (error) {
      return { code: error instanceof Error ? error.name : 'Error', isRefusal: false };
    }
  }

  /** Notes and sends a request. `read` makes what is noted of the data. */
  exchange(
    call: Call,
    query: string,
    variables: Readonly<Record<string, unknown>>,
    read: (data: Record<string, unknown>) => Partial<Extract<Noted, { ok: true }>>,
  ): Promise<Noted> {
    return this.scene.recorder.exchange(this.name, call, async () => {
      const answer = await this.ask(query, variables);
      if ('code' in answer) return { ok: false, ...answer };
      return { ok: true, ...read(answer.data) };
    });
  }

  /** Sends a mutation whose answer is a payload of a change. */
  change(call: Call, mutation: string, declared: string, variables: Record<string, unknown>): Promise<Noted> {
    return this.exchange(call, `mutation ${declared} { change: ${mutation} ${PAYLOAD} }`, variables, (data) => {
      const { applied, flag, changeRequest } = data['change'] as Payload;
      return { applied, flag: viewOf(flag), ...(changeRequest !== null && { id: changeRequest.id }) };
    });
  }

  async read(flag: string): Promise<FlagView | null> {
    const answer = await this.exchange(
      { op: 'read', flag },
      `query ($key: String!) { flag(key: $key) { ${FLAG} } }`,
      { key: flag },
      (data) => {
        const found = data['flag'] as FlagFields | null;
        return { flag: found === null ? null : viewOf(found) };
      },
    );
    return answer.ok ? (answer.flag ?? null) : null;
  }
}

/** Reads a flag and changes it under the revision that it has seen. */
export const writer =
  (flags: readonly string[]) =>
  async (person: Person): Promise<void> => {
    const { random, token } = person.scene;
    const key = random.pick(flags);
    const seen = await person.read(key);
    if (seen === null) return;
    const expected = seen.revision;
    if (random.next() < 0.75) {
      const value = token();
      await person.change(
        { op: 'set', flag: key, value, expected },
        'updateFlag(key: $key, input: { defaultValue: $value }, expectedRevision: $expected)',
        '($key: String!, $value: JSON!, $expected: Int)',
        { key, value, expected },
      );
    } else {
      const op = seen.enabled ? 'disable' : 'enable';
      await person.change(
        { op, flag: key, expected },
        `${op}Flag(key: $key, expectedRevision: $expected)`,
        '($key: String!, $expected: Int)',
        { key, expected },
      );
    }
  };

/** Pulls and releases kill switches. */
export const stopper =
  (flags: readonly string[]) =>
  async (person: Person): Promise<void> => {
    const { random, token } = person.scene;
    const key = random.pick(flags);
    const seen = await person.read(key);
    if (seen === null) return;
    const op = seen.killed ? 'release' : 'kill';
    const reason = `reason ${token()}`;
    await person.change(
      { op, flag: key, reason },
      `${op === 'kill' ? 'killSwitch' : 'releaseKillSwitch'}(flagKey: $key, reason: $reason)`,
      '($key: String!, $reason: String!)',
      { key, reason },
    );
  };

/** Creates the behaviour of a person who reads one of the flags at a time. */
export const reader =
  (flags: readonly string[]) =>
  async (person: Person): Promise<void> =>
    void (await person.read(person.scene.random.pick(flags)));

const decision = (op: 'approve' | 'approve-own' | 'reject', person: Person, request: string) =>
  person.exchange(
    { op, request },
    op === 'reject'
      ? 'mutation ($id: ID!) { rejectChangeRequest(id: $id, comment: "no") { status } }'
      : 'mutation ($id: ID!) { approveChangeRequest(id: $id) { status } }',
    { id: request },
    () => ({}),
  );

/** Asks for a change of a reviewed flag, and now and then tries to approve it alone. */
export const proposer =
  (key: string) =>
  async (person: Person): Promise<void> => {
    const value = person.scene.token();
    const answer = await person.change(
      { op: 'propose', flag: key, value },
      'updateFlag(key: $key, input: { defaultValue: $value })',
      '($key: String!, $value: JSON!)',
      { key, value },
    );
    if (answer.ok && answer.id !== undefined && person.scene.random.next() < 0.3)
      await decision('approve-own', person, answer.id);
  };

/** Approves what waits with a probability, and rejects the rest. */
export const reviewer =
  (probability: number) =>
  async (person: Person): Promise<void> => {
    const answer = await person.ask('{ changeRequests(status: PENDING) { id } }', {});
    if ('code' in answer) return;
    for (const { id } of answer.data['changeRequests'] as { id: string }[])
      if (person.scene.random.next() < probability) {
        const decided = await decision('approve', person, id);
        if (!decided.ok && decided.code === 'CONFLICT') await decision('reject', person, id);
      } else await decision('reject', person, id);
  };

const PERCENTAGES = [10, 40, 100];

/** Schedules a rollout of three steps, waits for its end, and starts from nothing again. */
export const scheduler =
  (key: string) =>
  async (person: Person): Promise<void> => {
    const answer = await person.ask(
      'query ($key: String!) { flag(key: $key) { rules { id type conditions rollout { status } } } }',
      { key },
    );
    if ('code' in answer) return;
    const { rules } = answer.data['flag'] as {
      rules: {
        id: string;
        type: string;
        conditions: { rollout_percentage: number };
        rollout: { status: string } | null;
      }[];
    };
    const rule = rules.find(({ type }) => type === 'PERCENTAGE_ROLLOUT');
    if (rule === undefined || rule.rollout?.status === 'RUNNING') return;
    if (rule.conditions.rollout_percentage > 0) {
      await person.ask(
        'mutation ($id: ID!) { updateRule(id: $id, input: { conditions: { rollout_percentage: 0 } }) { applied } }',
        { id: rule.id },
      );
      return;
    }
    await person.exchange(
      { op: 'schedule', flag: key, percentages: PERCENTAGES },
      'mutation ($key: String!, $rule: ID!, $steps: [RolloutStepInput!]!) { scheduleRollout(flagKey: $key, ruleId: $rule, steps: $steps) { rollout { id } } }',
      { key, rule: rule.id, steps: PERCENTAGES.map((percentage) => ({ percentage, after: 'PT2S' })) },
      (data) => ({ id: (data['scheduleRollout'] as { rollout: { id: string } }).rollout.id }),
    );
  };
