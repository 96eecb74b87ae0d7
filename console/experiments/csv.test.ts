import { expect, test } from '@jest/globals';
import { csvOf } from './csv.ts';

const VEHICLE = {
  id: 'b6d6',
  arm: 'treatment',
  exposedAt: '2027-01-04T09:00:00Z',
  settlesAt: null,
  measured: 1234.5,
  used: null,
  outOfRange: false,
  neverReported: true,
  model: 'Ioniq 6, "long"',
  region: 'KR',
  swVersion: '=1+1',
};

test('rows have a head and an end, empty cells for null, and quotation marks where they are needed', () => {
  expect(csvOf([VEHICLE]).split('\r\n')).toEqual([
    'id,arm,exposedAt,settlesAt,measured,used,outOfRange,neverReported,model,region,swVersion',
    // A spreadsheet would compute the version.
    `b6d6,treatment,2027-01-04T09:00:00Z,,1234.5,,false,true,"Ioniq 6, ""long""",KR,'=1+1`,
    '',
  ]);
});
