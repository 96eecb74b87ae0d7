/**
 * Reads the states that decide whether a kept answer is still current. All callers that ask before a read begins share
 * it, and at most two reads are under way, so that the cost does not grow with the number of callers. Each caller gets
 * a read that began after its request, so it contains everything that was committed before, on any gateway.
 */
import { FleetFlagError } from '../../../core/errors.ts';
import { withTimeout } from '../../../core/async/timeout.ts';
import { unattended } from '../../../core/last-handler/unattended.ts';
import { MAX_INPUT_NAMES, readAnswerInputs, type AnswerInputs } from '../../../core/wire/subgraph/answer-inputs.ts';
import type { SubgraphConnection } from '../../../core/wire/subgraph/subgraph.ts';
import type { GatewayLogger } from '../../context.ts';
import { gatewayIdentity } from '../../credentials/gateway-identity.ts';

/** Reads the positions of all environments, and the states of these vehicles and flags. */
export type ReadInputs = (vins: readonly string[], keys: readonly string[]) => Promise<AnswerInputs>;

/**
 * The least milliseconds between the beginnings of two reads, times the number of callers that the last one answered.
 */
const PACE_MS = 0.03;
/**
 * The most milliseconds between the beginnings of two reads, however many callers there are: 100 small statements a
 * second.
 */
const CROWD_PACE_MS = 10;
/** The timeout of a read. An operation that is run without it has timeouts of its own. */
const READ_TIMEOUT_MS = 1_000;
/**
 * The milliseconds for which nothing is read after a failed read, so that no caller waits for a database that does not
 * answer.
 */
const DOWN_MS = 1_000;

/**
 * The most reads at the same time: while the answers of one are sent, the next one is on its way. The second begins
 * once as many callers wait as the first one answers. Otherwise each would answer the few that came in between, and
 * cost as much: between processes, several times what sending the answers costs.
 */
const MAX_READS = 2;

const QUERY = 'query ($vins: [ID!]!, $keys: [String!]!) { answerInputs(vins: $vins, keys: $keys) }';

/** Reads the states from the flags subgraph. */
export function inputsOf(flags: Pick<SubgraphConnection, 'execute'>): ReadInputs {
  return async (vins, keys) => {
    const { data, errors } = await flags.execute({
      query: QUERY,
      variables: { vins, keys },
      identity: gatewayIdentity(),
    });
    const inputs = readAnswerInputs(data?.['answerInputs']);
    if (inputs === null)
      throw new FleetFlagError('SERVICE_UNAVAILABLE', 'The states of answers cannot be read.', {}, { cause: errors });
    return inputs;
  };
}

/** The number of callers that share a read, and the VINs and keys that they ask for. */
interface Batch {
  callers: number;
  readonly vins: Set<string>;
  readonly keys: Set<string>;
  readonly inputs: Promise<AnswerInputs | null>;
  readonly resolve: (inputs: AnswerInputs | null) => void;
}

function newBatch(): Batch {
  let resolve!: Batch['resolve'];
  const inputs = new Promise<AnswerInputs | null>((settle) => (resolve = settle));
  // oxlint-disable-next-line fleetflag/no-promise-in-object -- It never rejects.
  return { callers: 0, vins: new Set(), keys: new Set(), inputs, resolve };
}

/** Reads the present states for many callers at once. */
export class CurrentInputs {
  /** The reads that have not begun, in order; further callers join the last one. */
  readonly #waiting: Batch[] = [];
  /** The reads that are under way. */
  readonly #reading = new Set<Batch>();
  /** Whether the next read begins in the next turn of the event loop. */
  #isDue = false;
  /** The time until which nothing is read after a failure, by `performance.now()`. */
  #downUntilMs = -Infinity;
  #nextReadMs = -Infinity;

  constructor(
    private readonly read: ReadInputs,
    private readonly logger: Pick<GatewayLogger, 'warn'>,
    private readonly paceMs = PACE_MS,
  ) {}

  /**
   * Gives the states by a read that begins after this call; null where they cannot be read. Never rejects.
   *
   * @param vins valid VINs
   * @param keys valid keys
   */
  now(vins: readonly string[], keys: readonly string[]): Promise<AnswerInputs | null> {
    if (performance.now() < this.#downUntilMs) return Promise.resolve(null);
    let batch = this.#waiting.at(-1);
    if (batch === undefined || Math.max(batch.vins.size + vins.length, batch.keys.size + keys.length) > MAX_INPUT_NAMES)
      this.#waiting.push((batch = newBatch()));
    batch.callers += 1;
    for (const vin of vins) batch.vins.add(vin);
    for (const key of keys) batch.keys.add(key);
    this.#readNext();
    return batch.inputs;
  }

  #readNext(): void {
    if (this.#isDue || !this.#mayRead()) return;
    this.#isDue = true;
    const begin = () => {
      this.#isDue = false;
      unattended(this.#readBatch(), 'Reading the states of answers');
    };
    const wait = this.#nextReadMs - performance.now();
    // The read begins in a later turn, so that requests that have arrived together share it.
    if (wait > 0) setTimeout(begin, wait);
    else setImmediate(begin);
  }

  /** Whether somebody waits, and is worth a read beside the one that is under way. */
  #mayRead(): boolean {
    const [next] = this.#waiting;
    const [current] = this.#reading;
    if (next === undefined || current === undefined) return next !== undefined;
    return this.#reading.size < MAX_READS && (next.callers >= current.callers || this.#waiting.length > 1);
  }

  async #readBatch(): Promise<void> {
    const batch = this.#waiting.shift();
    if (batch === undefined) return;
    this.#reading.add(batch);
    this.#nextReadMs = performance.now() + Math.min(CROWD_PACE_MS, this.paceMs * batch.callers);
    this.#readNext();
    try {
      batch.resolve(
        await withTimeout(READ_TIMEOUT_MS, 'The flags subgraph did not answer in time.', () =>
          this.read([...batch.vins], [...batch.keys]),
        ),
      );
    } catch (error) {
      if (performance.now() >= this.#downUntilMs)
        this.logger.warn(
          { err: error },
          'Cannot read the positions of environments; running every query until they can be read',
        );
      this.#downUntilMs = performance.now() + DOWN_MS;
      for (const { resolve } of [batch, ...this.#waiting.splice(0)]) resolve(null);
    }
    this.#reading.delete(batch);
    this.#readNext();
  }
}
