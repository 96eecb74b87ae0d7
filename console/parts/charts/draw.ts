/** Draws a chart with uPlot. This file, and uPlot with it, is loaded when the first chart is shown. */
import uPlot from 'uplot';

/** A chart to draw; times and colours are those of the page, so that nothing here knows words or themes. */
export interface Drawing {
  /** Milliseconds since 1970, rising. */
  readonly times: readonly number[];
  readonly lines: readonly {
    readonly values: readonly (number | null)[];
    readonly colour: string;
    /** Lengths of strokes and gaps in pixels; empty: an unbroken line. */
    readonly dash: readonly number[];
    /** Whether a value holds until the next one. */
    readonly isStepped: boolean;
  }[];
  /** The indexes of two lines; what is between them is tinted. */
  readonly band: readonly [high: number, low: number] | null;
  /** The ends of the horizontal axis, as times are; null: the first and the last time. */
  readonly span: readonly [from: number, to: number] | null;
  /** The ends of the vertical axis; null: where the values need it. `fromZero`: it begins at 0. */
  readonly range: readonly [low: number, high: number] | 'fromZero' | null;
  readonly ink: string;
  readonly grid: string;
  readonly tint: string;
  /** @param step seconds between two marks */
  readonly timeMarks: (times: readonly number[], step: number) => string[];
  readonly valueMark: (value: number) => string;
  /** Called with the index of the time under the pointer; null when it leaves. */
  readonly point: (index: number | null) => void;
}

const HEIGHT_PX = 220;
/** The factor by which an axis from 0 exceeds the greatest value. */
const HEADROOM = 1.1;
const FONT = '12px system-ui, sans-serif';
const stepped = uPlot.paths.stepped?.({ align: 1 });

/** Draws into an element, in its width. Gives the function that removes it. */
export function draw(target: HTMLElement, drawing: Drawing): () => void {
  const { times, lines, band, span, range, ink, grid, tint, timeMarks, valueMark, point } = drawing;
  const axis = { stroke: ink, font: FONT, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 } };
  const data: uPlot.AlignedData = [times.map((time) => time / 1_000), ...lines.map(({ values }) => [...values])];
  // A single time would have no width.
  const [first = 0, last = 0] = span ?? [times[0], times.at(-1)];
  const ends: [number, number] =
    first === last ? [first / 1_000 - 1_800, last / 1_000 + 1_800] : [first / 1_000, last / 1_000];
  const y: uPlot.Scale | null =
    range === null
      ? null
      : range === 'fromZero'
        ? { range: (_, __, most) => [0, most > 0 ? most * HEADROOM : 1] }
        : { range: [range[0], range[1]] };
  const chart = new uPlot(
    {
      width: Math.max(target.clientWidth, 1),
      height: HEIGHT_PX,
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, points: { size: 6 } },
      scales: { x: { time: true, range: ends }, ...(y !== null && { y }) },
      axes: [
        {
          ...axis,
          space: 90,
          values: (_, splits, __, ___, step) =>
            timeMarks(
              splits.map((split) => split * 1_000),
              step,
            ),
        },
        { ...axis, size: 62, values: (_, splits) => splits.map(valueMark) },
      ],
      series: [
        {},
        ...lines.map(({ colour, dash, isStepped, values }) => ({
          stroke: colour,
          width: 2,
          dash: [...dash],
          spanGaps: false,
          ...(isStepped && stepped !== undefined && { paths: stepped }),
          // A value alone between gaps would be no line.
          points: { show: values.filter((value) => value !== null).length < 30, size: 5, fill: colour },
        })),
      ],
      ...(band !== null && { bands: [{ series: [band[0] + 1, band[1] + 1], fill: tint }] }),
      hooks: { setCursor: [({ cursor }) => point(cursor.idx ?? null)] },
    },
    data,
    target,
  );
  const observer = new ResizeObserver(() => {
    if (target.clientWidth > 0 && target.clientWidth !== chart.width)
      chart.setSize({ width: target.clientWidth, height: HEIGHT_PX });
  });
  observer.observe(target);
  return () => {
    observer.disconnect();
    chart.destroy();
  };
}
