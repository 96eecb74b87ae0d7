/**
 * The vehicles of the storm benchmark, in as many processes as they need: one may open some 20,000 files.
 */
import { Participant } from '../harness/participant.ts';
import type { BackupAnswers, Interruptions, VehicleCommand, VehicleMessage } from './storm-messages.ts';

/** The most vehicles of a process. */
const VEHICLES_OF_PROCESS = 19_000;

type VehicleProcess = Participant<VehicleCommand, VehicleMessage>;

interface Part {
  readonly process: VehicleProcess;
  readonly vehicles: number;
}

/** Starts the vehicles' processes, and passes them the benchmark's commands. */
export class StormFleet {
  #connected = 0;

  private constructor(
    private readonly parts: readonly Part[],
    private readonly vehicles: number,
  ) {}

  /**
   * Starts the processes.
   *
   * @param tokensFile a JSON list with a token for each vehicle
   */
  static async start({ port }: URL, tokensFile: string, vehicles: number): Promise<StormFleet> {
    const count = Math.ceil(vehicles / VEHICLES_OF_PROCESS);
    const parts = Array.from({ length: count }, (_, index): Part => {
      const [from, to] = [Math.floor((index * vehicles) / count), Math.floor(((index + 1) * vehicles) / count)];
      return {
        process: Participant.start<VehicleCommand, VehicleMessage>(new URL('./storm-vehicles.ts', import.meta.url), [
          '127.0.0.1',
          port,
          tokensFile,
          String(from),
        ]),
        vehicles: to - from,
      };
    });
    await Promise.all(parts.map(({ process }) => process.next('ready')));
    return new StormFleet(parts, vehicles);
  }

  /** Connects more vehicles at once, shared among the processes. Resolves when all of them have synced. */
  async connect(count: number): Promise<{ readonly seconds: number } & Interruptions> {
    const share = (connected: number, { vehicles }: Part) => Math.floor((connected * vehicles) / this.vehicles);
    const [before, after] = [this.#connected, this.#connected + count];
    this.#connected = after;
    const answers = await Promise.all(
      this.parts.map(async (part) => {
        part.process.tell({ connect: share(after, part) - share(before, part) });
        return part.process.next('allSyncedAtMs');
      }),
    );
    return {
      seconds: Math.max(...answers.map(({ seconds }) => seconds)),
      refused: answers.reduce((sum, { refused }) => sum + refused, 0),
      reset: answers.reduce((sum, { reset }) => sum + reset, 0),
      lost: answers.reduce((sum, { lost }) => sum + lost, 0),
    };
  }

  /**
   * Resolves when all connected vehicles have received a revision, to the wall-clock time, a message's bytes and the
   * backups that are answered.
   */
  async until(revision: number): Promise<{ readonly lastAtMs: number; readonly messageBytes: number } & BackupAnswers> {
    const answers = await Promise.all(
      this.parts.map(({ process }) => {
        process.tell({ until: revision });
        return process.next('lastAtMs');
      }),
    );
    return {
      lastAtMs: Math.max(...answers.map(({ lastAtMs }) => lastAtMs)),
      messageBytes: Math.max(...answers.map(({ messageBytes }) => messageBytes)),
      stored: answers.reduce((sum, { stored }) => sum + stored, 0),
      notStored: answers.reduce((sum, { notStored }) => sum + notStored, 0),
    };
  }

  /** Lets each connected vehicle store a backup at a random moment within some milliseconds. */
  backUp(withinMs: number): void {
    for (const { process } of this.parts) process.tell({ backUpWithinMs: withinMs });
  }

  async stop(): Promise<void> {
    await Promise.all(this.parts.map(({ process }) => process.stop()));
  }
}
