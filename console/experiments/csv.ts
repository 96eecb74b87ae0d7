/** The vehicles of an experiment's analysis as CSV (RFC 4180), for other programs. */
import type { AnalysedVehiclesQuery } from '../generated/operations.ts';

export type Vehicle = NonNullable<
  NonNullable<AnalysedVehiclesQuery['experiment']>['analysedVehicles']
>['nodes'][number];

const COLUMNS = [
  'id',
  'arm',
  'exposedAt',
  'settlesAt',
  'measured',
  'used',
  'outOfRange',
  'neverReported',
  'model',
  'region',
  'swVersion',
] as const satisfies readonly (keyof Vehicle)[];

/** The beginnings of a text that a spreadsheet would take for a formula. */
const FORMULA = /^[=+\-@\t\r]/;

function cell(value: Vehicle[(typeof COLUMNS)[number]]): string {
  if (value === null) return '';
  if (typeof value !== 'string') return String(value);
  const text = FORMULA.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Gives rows with their head; numbers with a point, whatever the reader's language. */
export const csvOf = (vehicles: readonly Vehicle[]) =>
  [COLUMNS.join(','), ...vehicles.map((vehicle) => COLUMNS.map((name) => cell(vehicle[name])).join(','))]
    .map((row) => `${row}\r\n`)
    .join('');
