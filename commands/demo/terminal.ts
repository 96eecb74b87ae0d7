/** The demo's output: headings, sentences and aligned tables, coloured only for a person at a terminal. */
import { stripVTControlCharacters } from 'node:util';
import { createColors } from 'picocolors';

/** The functions that colour text. */
export type Colors = ReturnType<typeof createColors>;

/** The cells of a row. A cell may contain colour codes, which do not count as width. */
export type TableRow = readonly string[];

const width = (cell: string) => stripVTControlCharacters(cell).length;

/**
 * Gives the lines of a table: headings first, columns as wide as their widest cell, two spaces between them. Columns of
 * numbers (every cell begins with a digit) are aligned to the right.
 */
export function tableLines(headings: TableRow, rows: readonly TableRow[], colors: Colors): string[] {
  const columns = headings.map((heading, index) => {
    const cells = rows.map((row) => row[index] ?? '');
    const numeric =
      cells.length > 0 && cells.every((cell) => /^\d[\d,.]*(?: ms)?$/.test(stripVTControlCharacters(cell)));
    return { numeric, width: Math.max(width(heading), ...cells.map(width)) };
  });
  const line = (row: TableRow) =>
    columns
      .map((column, index) => {
        const cell = row[index] ?? '';
        const space = ' '.repeat(column.width - width(cell));
        return column.numeric ? space + cell : cell + space;
      })
      .join('  ')
      .trimEnd();
  return [colors.dim(line(headings)), ...rows.map(line)];
}

/** Writes the demo's output. */
export class Terminal {
  readonly colors: Colors;
  #step = 0;

  /** @param color whether to use colours: stdout is a terminal and NO_COLOR is not set */
  constructor(
    color: boolean,
    private readonly write: (text: string) => void,
  ) {
    this.colors = createColors(color);
  }

  /** Waits until the reader goes on; does not wait where nobody watches. */
  pause: () => Promise<void> = async () => undefined;

  /** Begins the next numbered step. */
  step(title: string): void {
    this.#step++;
    this.write(`\n${this.colors.bold(this.colors.cyan(`${this.#step}`))}  ${this.colors.bold(title)}\n`);
  }

  /** Writes a heading without a number. */
  title(text: string): void {
    this.write(`${this.colors.bold(text)}\n`);
  }

  /** Writes one line. */
  say(text = ''): void {
    this.write(text === '' ? '\n' : `   ${text}\n`);
  }

  /** Writes a table. */
  table(headings: TableRow, rows: readonly TableRow[]): void {
    this.say();
    for (const line of tableLines(headings, rows, this.colors)) this.say(line);
    this.say();
  }
}

/** Formats a duration in milliseconds: `8.4 ms`, `132 ms`. */
export function milliseconds(time: number): string {
  return `${time < 10 ? time.toFixed(1) : Math.round(time)} ms`;
}

/** Formats a flag's value: text bare, everything else as JSON. */
export function shown(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
