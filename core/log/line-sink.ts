/**
 * Writing lines (a log's, a command's) so that nothing on the other side matters: a full disk, a reader that has gone
 * and one that does not read lose lines, which are counted, and neither block nor end the process.
 */

/** The parts of a stream that are needed; a `process.stderr` is one. */
export interface LineStream {
  readonly writableLength: number;
  readonly isTTY?: boolean;
  write(text: string, written: (error?: Error | null) => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
}

/** The parts of `node:fs` that are needed. */
export interface LineFiles {
  fstatSync(descriptor: number): { isFIFO(): boolean; isSocket(): boolean };
  writeSync(descriptor: number, bytes: Uint8Array): number;
}

export class LineSink {
  #lost = 0;
  #untold = 0;
  /** The last line was written in part, so that the next one begins with a line break. */
  #torn = false;
  /** The reader has gone for good. */
  #closed = false;
  readonly #encoder = new TextEncoder();
  /**
   * A file takes each write at once or refuses it. Node's own stream for it would keep in memory what was refused, for
   * ever.
   */
  readonly #isFile: boolean;

  /**
   * @param descriptor 1 or 2, whose stream is `stream`
   * @param maxWaitingBytes what may wait in memory for a reader that does not read
   */
  constructor(
    private readonly descriptor: 1 | 2,
    private readonly stream: LineStream,
    private readonly files: LineFiles,
    private readonly maxWaitingBytes: number,
  ) {
    stream.on('error', () => {
      this.#closed = true;
    });
    this.#isFile = stream.isTTY !== true && isFile(descriptor, files);
  }

  /** How many lines were lost since the start. */
  get lost(): number {
    return this.#lost;
  }

  /** How many lines were lost since this was last asked, for a line that says so. */
  takeUntold(): number {
    const untold = this.#untold;
    this.#untold = 0;
    return untold;
  }

  /**
   * Writes `text`, which ends with a line break. False when it is already known to be lost.
   *
   * @param written told once whether the text was handed on; never told while a reader does not read
   */
  write(text: string, written: (handedOn: boolean) => void = () => undefined): boolean {
    if (this.#isFile) {
      const handedOn = this.#writeFile(text);
      written(handedOn);
      return handedOn;
    }
    if (this.#closed || this.stream.writableLength > this.maxWaitingBytes) {
      this.#lose();
      written(false);
      return false;
    }
    this.stream.write(text, (error) => {
      const failed = error !== undefined && error !== null;
      if (failed) this.#lose();
      written(!failed);
    });
    return true;
  }

  #writeFile(text: string): boolean {
    const bytes = this.#encoder.encode(this.#torn ? `\n${text}` : text);
    let count = 0;
    try {
      count = this.files.writeSync(this.descriptor, bytes);
    } catch {
      // Whatever it was (no space, a limit, a device that has gone): the next line is tried again.
    }
    if (count > 0) this.#torn = count < bytes.length;
    if (count === bytes.length) return true;
    this.#lose();
    return false;
  }

  #lose(): void {
    this.#lost += 1;
    this.#untold += 1;
  }
}

/** Pipes and sockets are no files; a descriptor that is closed is treated as one, whose writes fail. */
function isFile(descriptor: number, files: LineFiles): boolean {
  try {
    const stat = files.fstatSync(descriptor);
    return !stat.isFIFO() && !stat.isSocket();
  } catch {
    return true;
  }
}
