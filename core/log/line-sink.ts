/**
 * Writes lines of a log or a command so that a fault on the other side neither blocks nor ends the process. Lines are
 * lost, and counted, when the disk is full, when the reader has gone, and when it does not read.
 */

/** The parts of a stream that a LineSink needs; `process.stderr` has them. */
export interface LineStream {
  readonly writableLength: number;
  readonly isTTY?: boolean;
  write(text: string, written: (error?: Error | null) => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
}

/** The parts of `node:fs` that a LineSink needs. */
export interface LineFiles {
  fstatSync(descriptor: number): { isFIFO(): boolean; isSocket(): boolean };
  writeSync(descriptor: number, bytes: Uint8Array): number;
}

/** Writes lines to one of the process' output descriptors and counts the lines that are lost. */
export class LineSink {
  #lost = 0;
  #unreported = 0;
  /** Whether the last line was written in part, so that the next one has to begin with a line break. */
  #torn = false;
  /** Whether the reader has gone for good. */
  #closed = false;
  readonly #encoder = new TextEncoder();
  /**
   * Whether the descriptor is a file, which takes each write at once or refuses it. Node's own stream would keep
   * refused writes in memory for ever, so files are written without it.
   */
  readonly #isFile: boolean;

  /**
   * @param descriptor 1 or 2, whose stream is `stream`
   * @param maxWaitingBytes the most bytes that may wait in memory for a slow reader
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

  /** The number of lines that were lost since the start. */
  get lost(): number {
    return this.#lost;
  }

  /** Gives the number of lines that were lost since the last call, for a line that reports them. */
  takeUnreported(): number {
    const unreported = this.#unreported;
    this.#unreported = 0;
    return unreported;
  }

  /**
   * Writes `text`, which ends with a line break.
   *
   * @param written called once with whether the text was handed on; not called while the reader does not read
   * @returns false when the text is already known to be lost
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
      // The cause (no space, a limit, a device that has gone) may pass, so the next line is written as usual.
    }
    if (count > 0) this.#torn = count < bytes.length;
    if (count === bytes.length) return true;
    this.#lose();
    return false;
  }

  #lose(): void {
    this.#lost += 1;
    this.#unreported += 1;
  }
}

/** Says whether a descriptor is neither a pipe nor a socket. A closed one counts as a file whose writes fail. */
function isFile(descriptor: number, files: LineFiles): boolean {
  try {
    const stat = files.fstatSync(descriptor);
    return !stat.isFIFO() && !stat.isSocket();
  } catch {
    return true;
  }
}
