/**
 * Reads the file of flags, and reads it again when it changes. Only an agent that is given such a file loads this
 * module, because the YAML parser takes memory.
 */
import { statSync, unwatchFile, watchFile, type Stats } from 'node:fs';
import { resolve } from 'node:path';
import { unattended } from '../../core/last-handler/unattended.ts';
import { FleetFlagError } from '../../core/errors.ts';
import type { FlagDefinition, JsonValue } from '../../core/model.ts';
import { canonicalJson } from '../../core/json/canonical-json.ts';
import type { FlagEntry } from '../../core/wire/flag-files/environment-file.ts';
import { parseFlagsFile, typeOfValue } from '../../core/wire/flag-files/flags-file.ts';
import { describeError, type Log } from '../log.ts';
import { readRegularFile } from '../../core/files/regular-file.ts';
import { LOCAL_ENVIRONMENT, localFlag, type LocalFlag, type LocalFlags, type LocalFlagsStatus } from './local-flags.ts';

/** The options of the reader. */
export interface FlagsFileOptions {
  readonly path: string;
  readonly log: Log;
  /** Adopts the flags that were read, the first time and after each change. */
  readonly use: (flags: LocalFlags) => void;
  /** The milliseconds between two polls of the file. */
  readonly pollMs: number;
}

/** Follows a file of flags. */
export class FlagsFileReader {
  readonly #options: FlagsFileOptions;
  readonly #path: string;
  #text: string | null = null;
  #status: Omit<LocalFlagsStatus, 'unfitOverrides'>;
  #settling: NodeJS.Timeout | undefined;
  #reading: Promise<void> = Promise.resolve();
  #flags: LocalFlags | null = null;
  readonly #polled = (stats: Stats) => this.#changed(marksOf(stats));

  private constructor(options: FlagsFileOptions) {
    this.#options = options;
    this.#path = resolve(options.path);
    this.#status = { file: this.#path, revision: 0, loadedAt: '', flags: 0, overrides: [], fault: null };
  }

  /**
   * Reads the file, passes its flags to `use`, and follows its changes.
   *
   * @throws FleetFlagError BAD_USER_INPUT that names the file, and the line and path of each fault
   */
  static async open(options: FlagsFileOptions): Promise<FlagsFileReader> {
    const reader = new FlagsFileReader(options);
    // Polling notices a file that is edited, one that is replaced, and one behind a link; watching does not. It begins
    // before the file is read, so that no change falls between the two.
    watchFile(reader.#path, { interval: options.pollMs, persistent: false }, reader.#polled);
    try {
      await reader.#read();
    } catch (error) {
      await reader.close();
      throw error;
    }
    return reader;
  }

  /**
   * Gives the status of the file.
   *
   * @param unfit the keys of the overrides that do not fit their flags
   */
  status(unfit: readonly string[]): LocalFlagsStatus {
    return {
      ...this.#status,
      overrides: this.#status.overrides.filter((key) => !unfit.includes(key)),
      unfitOverrides: unfit,
    };
  }

  async close(): Promise<void> {
    // Other readers in this process, and the program itself, may follow the same file.
    unwatchFile(this.#path, this.#polled);
    clearTimeout(this.#settling);
    await this.#reading;
  }

  /**
   * Reads a changed file once a check, one poll later, finds no further change, so that a half-written one is not
   * read.
   *
   * @param found the marks of the file as they were found last
   */
  #changed(found: string): void {
    clearTimeout(this.#settling);
    this.#settling = setTimeout(() => {
      const now = presentMarks(this.#path);
      if (now !== found) return this.#changed(now);
      this.#reading = this.#read().catch((error: unknown) => this.#refuse(error));
      unattended(this.#reading, 'Reading the file of flags');
    }, this.#options.pollMs).unref();
  }

  #refuse(error: unknown): void {
    const fault = describeError(error);
    if (fault !== this.#status.fault)
      this.#options.log('error', `cannot use the file of flags; keeping the flags that were read before: ${fault}`);
    this.#status = { ...this.#status, fault };
    // A file that is restored to its former text must be read again, so that its fault is cleared.
    this.#text = null;
  }

  async #read(): Promise<void> {
    const { bytes } = await readRegularFile(this.#path).catch((cause: unknown) => {
      throw new FleetFlagError('BAD_USER_INPUT', `${this.#path} cannot be read: ${describeError(cause)}`);
    });
    const text = bytes.toString('utf8');
    if (text === this.#text) return;
    const { flags, overrides, faults } = parseFlagsFile(text);
    if (faults.length > 0) {
      const lines = faults.map(
        ({ line, path, message }) => `${this.#path}:${line}: ${path === '' ? '' : `${path}: `}${message}`,
      );
      throw new FleetFlagError('BAD_USER_INPUT', lines.join('\n'), { field: faults[0]!.path });
    }
    this.#text = text;
    const revision = this.#status.revision + 1;
    this.#status = {
      ...this.#status,
      revision,
      loadedAt: new Date().toISOString(),
      flags: flags.length,
      overrides: [...overrides.keys()],
      fault: null,
    };
    const found = `${this.#path} (flags: ${flags.length}; overrides: ${[...overrides.keys()].join(', ') || 'none'})`;
    this.#options.log(
      'warn',
      `USING FLAGS FROM A FILE, for tests and never for a vehicle on the road: ${found}. Kill switches do not reach them.`,
    );
    this.#flags = localFlags(flags, overrides, revision, this.#flags);
    this.#options.use(this.#flags);
  }
}

/** Gives the marks of a file, at least one of which is another one after a change. */
const marksOf = ({ ino, size, mtimeMs, ctimeMs }: Pick<Stats, 'ino' | 'size' | 'mtimeMs' | 'ctimeMs'>): string =>
  [ino, size, mtimeMs, ctimeMs].join(' ');

/** Gives the present marks of a file. They are zeros where it cannot be found, as for `watchFile`. */
function presentMarks(path: string): string {
  try {
    return marksOf(statSync(path));
  } catch {
    return marksOf({ ino: 0, size: 0, mtimeMs: 0, ctimeMs: 0 });
  }
}

/** Makes the flags of one reading. A flag that has not changed keeps its revision. */
function localFlags(
  entries: readonly FlagEntry[],
  overrides: ReadonlyMap<string, JsonValue>,
  revision: number,
  before: LocalFlags | null,
): LocalFlags {
  const common = { environment: LOCAL_ENVIRONMENT, revision };
  const flags = entries.map(
    ({ key, type, safetyLevel, enabled, defaultValue, rules, requires, excludes, valueSchema }): FlagDefinition => ({
      ...common,
      requires,
      excludes,
      valueSchema,
      key,
      type,
      safetyLevel,
      enabled,
      defaultValue,
      rules: rules.map((rule) => ({ ...rule, id: `${rule.type}@${rule.priority}` })),
    }),
  );
  const implied = [...overrides].map(([key, value]): FlagDefinition => ({
    ...common,
    key,
    type: typeOfValue(value),
    safetyLevel: 'Non-Critical',
    enabled: true,
    defaultValue: value,
    rules: [],
  }));
  return { flags: ready(flags, before?.flags), overrides, implied: ready(implied, before?.implied) };
}

function ready(
  definitions: readonly FlagDefinition[],
  before: ReadonlyMap<string, LocalFlag> | undefined,
): Map<string, LocalFlag> {
  return new Map(
    definitions.map((definition) => {
      const known = before?.get(definition.key);
      const same =
        known !== undefined &&
        canonicalJson({ ...known.definition, revision: definition.revision }) === canonicalJson(definition);
      return [definition.key, same ? known : localFlag(definition)];
    }),
  );
}
