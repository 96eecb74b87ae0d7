/** Writes a history: one JSON object a line, with times of the machine's monotonic clock. */
import { createWriteStream, type WriteStream } from 'node:fs';
import { finished } from 'node:stream/promises';
import type { Answer, Call, Entry } from '../../tests/faults/history.ts';

/** The milliseconds of the machine's monotonic clock, the same in all of its processes. */
export function machineMs(): number {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000;
}

type Distribute<Line> = Line extends Entry ? Omit<Line, 'at'> : never;
/** A line without its time. */
export type RecordedLine = Distribute<Entry>;

export class Recorder {
  readonly #file: WriteStream;
  readonly entries: Entry[] = [];
  #calls = 0;

  /** @param path where the history is written */
  constructor(path: string) {
    this.#file = createWriteStream(path);
  }

  note(line: RecordedLine): void {
    this.add({ ...line, at: machineMs() });
  }

  /** Adds a line with its time, as another process has noted it. */
  add(entry: Entry): void {
    this.entries.push(entry);
    this.#file.write(`${JSON.stringify(entry)}\n`);
  }

  /** Notes a request, runs it, and notes its answer. */
  async exchange(client: string, call: Call, run: () => Promise<Answer>): Promise<Answer> {
    const id = (this.#calls += 1);
    this.note({ kind: 'call', id, client, call });
    const answer = await run();
    this.note({ kind: 'answer', id, answer });
    return answer;
  }

  async close(): Promise<void> {
    this.#file.end();
    await finished(this.#file);
  }
}
