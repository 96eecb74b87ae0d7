/**
 * Runs agents in a process that tests kill. The agents keep recording measurements, and print on stdout, without delay,
 * what they hold to be on disk. The argument is a list of VehicleOptions as JSON. They begin when stdin has data.
 *
 * Lines, each after the agent's place in the list: `loaded JSON` (LoadedReport), before it connects; `revision R`
 * whenever `status()` reports another one; `durable N`: measurements 1 to N are on disk; `evaluated R`; `fault TEXT`:
 * why the last write failed, empty where it did not; `reported 1`: the state of the vehicle is on disk.
 */
import { readFileSync, writeSync } from 'node:fs';
import { errorCode } from '../../core/caught-error.ts';
import type { VehicleStateReport } from '../../core/activation/drive.ts';
import { FleetFlagAgent } from '../assembly/fleet-flag-agent.ts';
import { nodeFileSystem, type FileSystem } from '../store/files/durable-file.ts';
import { PinnedKeys } from '../trust/pinned-keys.ts';

/** Writes to stdout and returns when all of it is there. A pipe that is full for the moment is tried again. */
function writeWhole(text: string): void {
  let rest = Buffer.from(text);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(1, rest));
    } catch (error) {
      if (errorCode(error) !== 'EAGAIN') throw error;
    }
  }
}

/** The options of one agent of the process. */
export interface VehicleOptions {
  readonly url: string;
  readonly tokenFile: string;
  readonly databaseFile: string;
  readonly keysFile: string;
  /** The round in the tags of each measurement, beside its number `n`. */
  readonly round: number;
  /** The state of the vehicle that it reports at its start; absent for none. */
  readonly report?: VehicleStateReport;
}

/** The state of a vehicle after a start, before it connects. */
export interface LoadedReport {
  readonly ready: boolean;
  readonly revision: number;
  readonly faults: readonly string[];
  readonly source: string;
  /** The key, revision, value and reason of each flag. */
  readonly flags: readonly (readonly [string, number, unknown, string])[];
}

/** Runs one agent until the process ends. */
async function drive(place: number, options: VehicleOptions): Promise<void> {
  let tracked = 0;
  const said = new Map<string, string>();

  /** Prints a line synchronously, so that the test gets it even if the process dies at the next instruction. */
  function say(what: string, value: string): void {
    if (said.get(what) === value) return;
    said.set(what, value);
    writeWhole(`${place} ${what} ${value}\n`);
  }

  /**
   * A write of the database holds all that was tracked when it began, with this call. Which file a call is for is not
   * known, because the faults have a file of their own: the least of those since the write before is true in any case.
   */
  let begun: number[] = [];
  let inReplacement = 0;
  const files: FileSystem = {
    ...nodeFileSystem,
    async createFolder(path) {
      begun.push(tracked);
      await nodeFileSystem.createFolder(path);
    },
    async write(path, bytes) {
      if (path === `${options.databaseFile}.next`) {
        inReplacement = Math.min(...begun);
        begun = [];
      }
      await nodeFileSystem.write(path, bytes);
    },
    async rename(from, to) {
      await nodeFileSystem.rename(from, to);
      if (to === options.databaseFile) say('durable', String(inReplacement));
    },
    async append(path, bytes) {
      const before = tracked;
      await nodeFileSystem.append(path, bytes);
      say('durable', String(before));
    },
  };
  const agent = new FleetFlagAgent({
    url: options.url,
    tokenFile: options.tokenFile,
    databaseFile: options.databaseFile,
    keys: await PinnedKeys.parse(JSON.parse(readFileSync(options.keysFile, 'utf8'))),
    files,
    timings: {
      backoffMs: 5,
      backoffCapMs: 20,
      aheadMs: 10,
      rareBackoffMs: 20,
      rareBackoffCapMs: 100,
      metricsWriteMs: 5,
      metricsIntervalMs: 15,
      storeRetryMs: 20,
      assignmentSpreadMs: 5,
    },
  });
  await agent.start();
  const { ready, revision, store } = agent.status();
  const flags = agent.flagKeys().map((key) => {
    const { definition, evaluation } = agent.evaluate(key)!;
    return [key, definition.revision, evaluation.value, evaluation.reason] as const;
  });
  say(
    'loaded',
    JSON.stringify({ ready, revision, faults: store.faults, source: store.source, flags } satisfies LoadedReport),
  );
  if (options.report !== undefined) {
    await agent.setVehicleState(options.report);
    say('reported', '1');
  }
  setInterval(() => {
    const status = agent.status();
    say('revision', String(status.revision));
    say('evaluated', String(status.evaluatedRevision));
    say('fault', status.store.writeFault ?? '');
    const [flagKey] = agent.flagKeys();
    if (flagKey === undefined) return;
    agent.evaluate(flagKey);
    tracked += 1;
    agent.track('number', tracked, { flagKey, tags: { round: options.round, n: tracked } });
  }, 8);
}

const vehicles = JSON.parse(process.argv[2]!) as VehicleOptions[];
process.stdin.once('data', () => vehicles.forEach((options, place) => void drive(place, options)));
