/** The texts of charts, and of a flag's metrics over time. */
import { number } from './counts.ts';

export const charts = {
  charts: {
    time: 'Time',
    numbers: 'The numbers as a table',
    nothing: 'Nothing was measured in this time.',
    drawn: (title: string) => `Chart: ${title}. The table below it has the numbers.`,
    notDrawn: 'The chart cannot be drawn. The table has all its numbers.',
    moreInTable: 'The table alone has further lines.',
  },
  metrics: {
    title: 'Metrics over time',
    period: 'Period',
    periods: { day: 'A day, by hour', week: 'A week, by hour', month: '30 days, by day', quarter: '90 days, by day' },
    evaluations: 'Evaluations by variant',
    activeVehicles: 'Active vehicles by variant',
    metric: 'Measured metric',
    meanOf: (metric: string) => `${metric}: mean by variant`,
    none: 'Vehicles have measured nothing for this flag in the last 30 days.',
    totals: (evaluations: string, vehicles: string) =>
      `${evaluations} evaluations in all; ${vehicles} ${vehicles === '1' ? 'vehicle was' : 'vehicles were'} active in the last 30 days.`,
    lastAt: 'Last evaluation',
  },
  numberOfVehicles: (count: number) => `${number.format(count)} ${count === 1 ? 'vehicle' : 'vehicles'}`,
};
