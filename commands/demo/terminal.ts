/** What the demo writes: headings, sentences and aligned tables, coloured only for a person at a terminal. */
import { stripVTControlCharacters } from 'node:util';
import { createColors } from 'picocolors';

export type Colors = ReturnType<typeof createColors>;

/** A cell is text that may hold colours; its width is that of what is seen. */
export type Row = readonly string[];

const width = (cell: string) => stripVTControlCharacters(cell).length;

/**
 * The lines of a table: columns as wide as their widest cell, two spaces between, headings first. Columns of numbers
 * (every cell begins with a digit) are aligned to the right.
 */
export function tableLines(headings: Row, rows: readonly Row[], colors: Colors): string[] {
  const columns = headings.map((heading, index) => {
    const cells = rows.map((row) => row[index] ?? '');
    const numeric =
      cells.length > 0 && cells.every((cell) => /^\d[\d,.]*(?: ms)?$/.test(stripVTControlCharacters(cell)));
    return { numeric, width: Math.max(width(heading), ...cells.map(width)) };
  });
  const line = (row: Row) =>
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

export class Terminal {
  readonly colors: Colors;
  #step = 0;

  /** @param color whether to colour: stdout is a terminal and NO_COLOR is not set */
  constructor(
    color: boolean,
    private readonly write: (text: string) => void,
  ) {
    this.colors = createColors(color);
  }

  /** Begins the next numbered step. */
  step(title: string): void {
    this.#step++;
    this.write(`\n${this.colors.bold(this.colors.cyan(`${this.#step}`))}  ${this.colors.bold(title)}\n`);
  }

  title(text: string): void {
    this.write(`${this.colors.bold(text)}\n`);
  }

  say(text = ''): void {
    this.write(text === '' ? '\n' : `   ${text}\n`);
  }

  table(headings: Row, rows: readonly Row[]): void {
    this.say();
    for (const line of tableLines(headings, rows, this.colors)) this.say(line);
    this.say();
  }
}

/** A time measured in milliseconds, as it is shown: `8.4 ms`, `132 ms`. */
export function milliseconds(time: number): string {
  return `${time < 10 ? time.toFixed(1) : Math.round(time)} ms`;
}

/** A flag's value as it is shown: text bare, everything else as JSON. */
export function shown(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
