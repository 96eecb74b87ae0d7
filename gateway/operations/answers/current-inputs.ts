/**
 * The states by which held answers are compared. All who ask before a read begins share it, and two reads at most are
 * under way, so that the cost does not grow with their number. Each gets a read that began after its request: whatever
 * was committed before, on any gateway, is in it.
 */
import { FleetFlagError } from '../../../core/errors.ts';
import { withTimeout } from '../../../core/async/timeout.ts';
import { unattended } from '../../../core/async/unattended.ts';
import { MAX_INPUT_NAMES, readAnswerInputs, type AnswerInputs } from '../../../core/wire/answer-inputs.ts';
import type { SubgraphConnection } from '../../../core/wire/subgraph.ts';
import type { GatewayLogger } from '../../context.ts';
import { gatewayIdentity } from '../../credentials/api-key-directory.ts';

/** Reads the positions of all environments, and the states of these vehicles and flags. */
export type ReadInputs = (vins: readonly string[], keys: readonly string[]) => Promise<AnswerInputs>;

/** The least milliseconds between the beginnings of two reads, for each caller that the last one answered. */
const PACE_MS = 0.1;
/** The highest such pace in milliseconds: 100 small statements a second for a crowd. */
const CROWD_PACE_MS = 10;
/** Milliseconds that a read may take. An operation that is run without it has timeouts of its own. */
const READ_TIMEOUT_MS = 1_000;
/** Milliseconds for which nothing is read after a read that failed: nobody waits for a database that is away. */
const AWAY_MS = 1_000;

/** Reads at the same time: while the answers of one are sent, the next one is on its way. */
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

/** Those who share a read, and what they ask for. */
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
  // eslint-disable-next-line fleetflag/no-promise-in-object -- It never rejects.
  return { callers: 0, vins: new Set(), keys: new Set(), inputs, resolve };
}

export class CurrentInputs {
  /** In the order in which they are read; further names go into the last one. */
  readonly #waiting: Batch[] = [];
  #reads = 0;
  /** Whether the next one begins in the next turn. */
  #isDue = false;
  /** On the clock of `performance.now()`. */
  #awayUntilMs = -Infinity;
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
    if (performance.now() < this.#awayUntilMs) return Promise.resolve(null);
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
    if (this.#isDue || this.#reads === MAX_READS || this.#waiting.length === 0) return;
    this.#isDue = true;
    const begin = () => {
      this.#isDue = false;
      unattended(this.#readBatch(), 'Reading the states of answers');
    };
    const wait = this.#nextReadMs - performance.now();
    // In a later turn, so that requests that have arrived together share the read.
    if (wait > 0) setTimeout(begin, wait);
    else setImmediate(begin);
  }

  async #readBatch(): Promise<void> {
    const batch = this.#waiting.shift();
    if (batch === undefined) return;
    this.#reads += 1;
    this.#nextReadMs = performance.now() + Math.min(CROWD_PACE_MS, this.paceMs * batch.callers);
    this.#readNext();
    try {
      batch.resolve(
        await withTimeout(READ_TIMEOUT_MS, 'The flags subgraph did not answer in time.', () =>
          this.read([...batch.vins], [...batch.keys]),
        ),
      );
    } catch (error) {
      if (performance.now() >= this.#awayUntilMs)
        this.logger.warn(
          { err: error },
          'Cannot read the positions of environments; running every query until they can be read',
        );
      this.#awayUntilMs = performance.now() + AWAY_MS;
      for (const { resolve } of [batch, ...this.#waiting.splice(0)]) resolve(null);
    }
    this.#reads -= 1;
    this.#readNext();
  }
}
