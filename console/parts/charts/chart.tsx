/** Lines over time, with the same numbers as a table: for screen readers, for the keyboard, and to be read exactly. */
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { Time } from '../parts.tsx';
import { TableHead } from '../table-head.tsx';
import { useStore } from '../../store.ts';
import { theme } from '../../frame/theme.ts';
import { useWords } from '../../words/language.ts';

/** One line of a chart: its name in the legend, and its values. */
export interface Line {
  readonly name: string;
  /** A value for each time of the chart; null: there is none. */
  readonly values: readonly (number | null)[];
  /** `step`: a value holds until the next one. `limit`: a border that should not be crossed. By default a line. */
  readonly kind?: 'line' | 'step' | 'limit';
}

interface ChartProps {
  readonly title: string;
  /** Milliseconds since 1970, rising. */
  readonly times: readonly number[];
  readonly lines: readonly Line[];
  readonly format: (value: number) => string;
  /** The ends of the horizontal axis, as times are; absent: the first and the last time. */
  readonly span?: readonly [from: number, to: number];
  /** The ends of the vertical axis; absent: where the values need it. `fromZero`: it begins at 0. */
  readonly range?: readonly [low: number, high: number] | 'fromZero';
  /** The indexes of two lines; what is between them is tinted. */
  readonly band?: readonly [high: number, low: number];
}

/** The lines that differ by colour and dash; further ones stand in the table alone. */
export const DRAWN_LINES = 6;
const DASHES: readonly (readonly number[])[] = [[], [7, 4], [2, 3], [10, 3, 2, 3], [4, 2], [14, 4]];
const LIMIT_DASH = [4, 4];

const darkness = matchMedia('(prefers-color-scheme: dark)');

/** Whether the system is dark; rendered again when that changes. */
function useDarkness(): boolean {
  const [isDark, setDark] = useState(darkness.matches);
  useEffect(() => {
    const read = () => setDark(darkness.matches);
    darkness.addEventListener('change', read);
    return () => darkness.removeEventListener('change', read);
  }, []);
  return isDark;
}

const classOf = ({ kind }: Line, index: number) => (kind === 'limit' ? 'chart-limit' : `chart-line-${index + 1}`);

/** Shows a chart, and below it the table of its numbers, which is folded at first. */
export function Chart({ title, times, lines: given, format, span, range, band }: ChartProps) {
  const { words, formats, language } = useWords();
  const lines = given.slice(0, DRAWN_LINES);
  const id = useId();
  const target = useRef<HTMLDivElement>(null);
  const legend = useRef<HTMLUListElement>(null);
  const [at, setAt] = useState<number | null>(null);
  const [failed, setFailed] = useState(false);
  const look = `${useStore(theme)} ${useDarkness()} ${language}`;
  const content = JSON.stringify([times, lines, span, range, band]);
  const latest = useRef(format);
  latest.current = format;

  useEffect(() => {
    const [place, key] = [target.current, legend.current];
    if (place === null || key === null || times.length === 0) return;
    let isShown = true;
    let remove = () => {};
    import('./draw.ts')
      .then(({ draw }) => {
        if (!isShown) return;
        // A canvas knows no custom properties: the colours are those that the legend has got from them.
        const colours = [...key.children].map((item) => getComputedStyle(item).color);
        const colourOf = (name: string) => {
          const probe = key.parentElement?.querySelector(`.${name}`);
          return probe === null || probe === undefined ? '' : getComputedStyle(probe).color;
        };
        remove = draw(place, {
          times,
          lines: lines.map(({ values, kind = 'line' }, index) => ({
            values,
            colour: colours[index] ?? '',
            dash: kind === 'limit' ? LIMIT_DASH : (DASHES[index] ?? []),
            isStepped: kind === 'step',
          })),
          band: band ?? null,
          span: span ?? null,
          range: range ?? null,
          ink: colourOf('chart-ink'),
          grid: colourOf('chart-grid'),
          tint: colourOf('chart-tint'),
          timeMarks: (marks, step) => formats.timeMarks(marks, step),
          valueMark: (value) => latest.current(value),
          point: setAt,
        });
        setFailed(false);
      })
      .catch(() => isShown && setFailed(true));
    return () => {
      isShown = false;
      remove();
      setAt(null);
    };
    // `content` stands for the times and lines, `look` for colours and words.
  }, [content, look]);

  if (times.length === 0) return <p class="quiet">{words.charts.nothing}</p>;
  const valueText = (value: number | null | undefined) => (value === null || value === undefined ? '–' : format(value));
  const pointed = at === null ? undefined : times[at];
  return (
    <figure class="chart" aria-labelledby={id}>
      <figcaption id={id}>{title}</figcaption>
      <ul class="chart-legend" ref={legend}>
        {lines.map((line, index) => (
          <li key={line.name} class={classOf(line, index)}>
            <span class="chart-marker" aria-hidden="true" />
            <span class="chart-name">
              {line.name}
              {at !== null && ` ${valueText(line.values[at])}`}
            </span>
          </li>
        ))}
      </ul>
      {given.length > lines.length && <p class="quiet">{words.charts.moreInTable}</p>}
      <span hidden>
        <span class="chart-ink" />
        <span class="chart-grid" />
        <span class="chart-tint" />
      </span>
      <div class="chart-place" ref={target} role="img" aria-label={words.charts.drawn(title)} />
      <p class="chart-time quiet" aria-hidden="true">
        {pointed === undefined ? '' : formats.time(new Date(pointed).toISOString())}
      </p>
      {failed && <p class="quiet">{words.charts.notDrawn}</p>}
      <Numbers title={title} times={times} lines={given} valueText={valueText} />
    </figure>
  );
}

interface NumbersProps {
  readonly title: string;
  readonly times: readonly number[];
  readonly lines: readonly Line[];
  readonly valueText: (value: number | null | undefined) => string;
}

/** The table; its rows are made when somebody opens it. */
function Numbers({ title, times, lines, valueText }: NumbersProps) {
  const { words } = useWords();
  const [open, setOpen] = useState(false);
  return (
    <details class="entry" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{words.charts.numbers}</summary>
      {open && (
        <table class="table" aria-label={title}>
          <TableHead columns={[words.charts.time, ...lines.map(({ name }) => ({ number: name }))]} />
          <tbody>
            {times.map((time, index) => (
              <tr key={time}>
                <th scope="row">
                  <Time at={new Date(time).toISOString()} />
                </th>
                {lines.map(({ name, values }) => (
                  <td key={name} data-label={name} class="number">
                    {valueText(values[index])}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </details>
  );
}
