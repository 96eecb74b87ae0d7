/**
 * The instances of a subgraph. Requests go to them in turn. A request that is lost goes to the next instance where the
 * first cannot have begun with it, or where it may be done twice. An instance that says that it is about to stop, that
 * takes no connection, or that can answer from memory only, gets nothing for a while. Source:
 * docs/operations/upgrades.md
 */
import { withTimeout } from '../../core/async/timeout.ts';
import type { SubgraphResponse } from '../../core/wire/subgraph/subgraph.ts';
import { LostRequest, SubgraphRequests, type SubgraphAnswer } from './subgraph-requests.ts';

/** A request as it is sent to one instance: signed for it alone, so made again for each attempt. */
export interface Attempt {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The instances and the timings of their requests. */
export interface InstancesOptions {
  /** The base URLs of the instances; one may also be that of a load balancer. */
  readonly urls: readonly string[];
  /** The milliseconds that an answer may take. */
  readonly timeoutMs: number;
  /** The milliseconds for which an instance that stops, takes no connection or only remembers gets nothing. */
  readonly pauseMs?: number;
}

/**
 * The milliseconds for which nothing is sent to an instance that is about to stop. By default it answers for less time
 * than that, so that it gets nothing when it closes.
 */
const PAUSE_MS = 5_000;
const READY_TIMEOUT_MS = 2_000;
/** The milliseconds that another instance has to answer better than from memory. */
const SECOND_OPINION_MS = 2_000;
/** The least attempts, because there may be several instances behind one URL, too. */
const LEAST_ATTEMPTS = 2;

interface Instance {
  readonly requests: SubgraphRequests;
  /** A time of `performance.now()`: until then it gets only what no other instance takes. */
  pausedUntilMs: number;
}

/** Sends requests to the instances of a subgraph. */
export class SubgraphInstances {
  readonly #instances: readonly Instance[];
  #turn = 0;

  constructor(private readonly options: InstancesOptions) {
    this.#instances = options.urls.map((url) => ({
      requests: new SubgraphRequests(new URL(url), options.timeoutMs),
      pausedUntilMs: 0,
    }));
  }

  /**
   * Sends a request to an instance, and again to the next where that is safe.
   *
   * @param attempt makes the request for one attempt
   * @param isRepeatable whether it may be done twice
   * @throws LostRequest of the last attempt
   */
  async post(path: string, attempt: () => Promise<Attempt>, isRepeatable: boolean): Promise<SubgraphAnswer> {
    return (await this.#send(path, attempt, isRepeatable, this.#inTurn())).answer;
  }

  /**
   * Sends a request that may be done twice, and asks all other instances where one answers from memory: its database
   * may be lost to it alone, while another instance knows of changes since. Gives the answer from memory where no
   * instance has a better one.
   *
   * @param read reads an answer; its error is thrown on
   * @throws LostRequest of the last attempt
   */
  async ask(
    path: string,
    attempt: () => Promise<Attempt>,
    read: (answer: SubgraphAnswer) => SubgraphResponse,
  ): Promise<SubgraphResponse> {
    const first = await this.#send(path, attempt, true, this.#inTurn());
    const response = read(first.answer);
    if (!isRemembered(response)) return response;
    this.#pause(first.instance);
    // One that was paused may be back, and one that remembered a moment ago may have its database again.
    const others = this.#instances.filter((instance) => instance !== first.instance);
    const better = others.map((instance) =>
      withTimeout(SECOND_OPINION_MS, 'The other instance is late.', async () => {
        const other = read((await this.#send(path, attempt, true, [instance])).answer);
        if (!isRemembered(other)) return other;
        this.#pause(instance);
        throw new Error('The other instance answers from memory, too.');
      }),
    );
    // An answer from the memory of the first instance is better than none.
    return Promise.any(better).catch(() => response);
  }

  async #send(
    path: string,
    attempt: () => Promise<Attempt>,
    isRepeatable: boolean,
    inTurn: readonly Instance[],
  ): Promise<{ readonly answer: SubgraphAnswer; readonly instance: Instance }> {
    const attempts = Math.max(LEAST_ATTEMPTS, inTurn.length);
    for (let number = 1; ; number++) {
      const instance = inTurn[(number - 1) % inTurn.length];
      if (instance === undefined) throw new Error('The subgraph has no instance.');
      const { headers, body } = await attempt();
      try {
        const answer = await instance.requests.post(path, headers, body, !isRepeatable);
        if (answer.isDraining) this.#pause(instance);
        return { answer, instance };
      } catch (error) {
        if (!(error instanceof LostRequest)) throw error;
        if (error.progress === 'unsent') this.#pause(instance);
        // A request that was late is not repeated: it would be late again, and its caller has gone.
        const isSafe = error.progress === 'unsent' || (error.progress === 'cut' && isRepeatable);
        if (!isSafe || number >= attempts) throw error;
      }
    }
  }

  /** Gives the base URL of an instance that answers, for a connection that stays; the next in turn where none does. */
  async answering(): Promise<URL> {
    const inTurn = this.#inTurn();
    for (const instance of inTurn) {
      if (await isReady(instance)) return instance.requests.url;
      this.#pause(instance);
    }
    const [next] = inTurn;
    if (next === undefined) throw new Error('The subgraph has no instance.');
    return next.requests.url;
  }

  /** Resolves to whether an instance is ready. */
  async ready(): Promise<boolean> {
    return (await Promise.all(this.#instances.map(isReady))).includes(true);
  }

  close(): void {
    for (const { requests } of this.#instances) requests.close();
  }

  #pause(instance: Instance): void {
    instance.pausedUntilMs = performance.now() + (this.options.pauseMs ?? PAUSE_MS);
  }

  /**
   * Gives the instances, beginning with the next in turn. Those that are paused come last, first of them the one that
   * was paused first: where they are restarted one after the other, it is back, and the last one is about to close.
   */
  #inTurn(): Instance[] {
    const first = this.#turn++ % this.#instances.length;
    const inTurn = [...this.#instances.slice(first), ...this.#instances.slice(0, first)];
    const now = performance.now();
    const pauseEndMs = ({ pausedUntilMs }: Instance) => (pausedUntilMs > now ? pausedUntilMs : 0);
    return inTurn.sort((a, b) => pauseEndMs(a) - pauseEndMs(b));
  }
}

const isRemembered = ({ extensions }: SubgraphResponse) => extensions?.remembered === true;

async function isReady({ requests }: Instance): Promise<boolean> {
  try {
    const response = await fetch(new URL('/health/ready', requests.url), {
      signal: AbortSignal.timeout(READY_TIMEOUT_MS),
    });
    return response.ok;
  } catch {
    return false;
  }
}
