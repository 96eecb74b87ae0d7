/**
 * Stores a vehicle's faults in a small file beside its database, so that a fault costs a page of flash and not the
 * whole database. The file has two generations. Only this vehicle uses it, and nothing in it is signed, so a damaged
 * generation is skipped.
 */
import { is } from '../../core/json/shape.ts';
import { isCount, parseJson } from '../../core/json/json-value.ts';
import { FAULT_KINDS, validateFault } from '../../core/wire/vehicle/fault.ts';
import { describeError, type Log } from '../log.ts';
import { DurableFile, type FileSystem } from '../store/files/durable-file.ts';
import { MAX_KEPT_FAULTS, type KeptFault } from './fault-log.ts';
import { MAX_WATCHED_CHANGES, type WatchedChange } from './restart-watch.ts';

/** The content of the file. */
export interface FaultFileContent {
  readonly vin: string;
  readonly environment: string;
  readonly faults: readonly KeptFault[];
  readonly changes: readonly WatchedChange[];
  /** The highest revision of a definition that the agent has served so far. A higher one at a start is a change. */
  readonly seenRevision: number;
}

/** The latest time that a date can have, in Unix seconds. */
const LAST_SECOND = 8.64e12;

const count = (value: unknown): value is number => isCount(value);
const time = (value: unknown): value is number => isCount(value) && value <= LAST_SECOND;

const isContent = is.shape({
  vin: is.string,
  environment: is.string,
  faults: is.listOf(
    is.shape({
      flagKey: is.string,
      revision: count,
      kind: is.oneOf(FAULT_KINDS),
      message: is.string,
      at: time,
      count,
      sent: is.boolean,
    }),
  ),
  changes: is.listOf(is.shape({ flagKey: is.string, revision: count, at: count, starts: count })),
  seenRevision: count,
});

/** Reads and writes the file. */
export class FaultFile {
  readonly #file: DurableFile;

  constructor(
    databaseFile: string,
    files: FileSystem,
    private readonly log: Log,
  ) {
    this.#file = new DurableFile(`${databaseFile}.faults`, files);
  }

  /** Reads the newest generation that can be used; null where there is none. Never rejects. */
  async read(): Promise<FaultFileContent | null> {
    for (const generation of ['current', 'previous'] as const) {
      try {
        const bytes = await this.#file.read(generation);
        if (bytes === null) continue;
        const content: unknown = parseJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
        if (!isContent(content)) throw new Error('it does not have the expected form');
        const { faults, changes } = content;
        if (faults.length > MAX_KEPT_FAULTS || changes.length > MAX_WATCHED_CHANGES)
          throw new Error('it has more entries than an agent writes');
        // A fault that cannot be reported would end each connection, and with it the stream of kill switches.
        for (const [index, fault] of faults.entries()) validateFault(fault, `faults.${index}.`);
        return content;
      } catch (error) {
        this.log('warn', `cannot use the ${generation} file of faults: ${describeError(error)}`);
      }
    }
    return null;
  }

  /** Writes the file. Resolves when the content is on disk. */
  write(content: FaultFileContent): Promise<void> {
    return this.#file.replace(new TextEncoder().encode(JSON.stringify(content)), true);
  }
}
