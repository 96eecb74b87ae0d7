import { expect, test } from '@jest/globals';
import { createColors } from 'picocolors';
import { Terminal, milliseconds, shown, tableLines } from './terminal.ts';

const plain = createColors(false);
const coloured = createColors(true);

test('columns are aligned, numbers to the right', () => {
  expect(
    tableLines(
      ['model', 'vehicles'],
      [
        ['EV9', '8'],
        ['Ioniq 6', '120'],
      ],
      plain,
    ),
  ).toEqual(['model    vehicles', 'EV9             8', 'Ioniq 6       120']);
});

test('colours do not move columns', () => {
  const lines = tableLines(
    ['value', 'reason'],
    [
      [coloured.green('true'), 'SPLIT'],
      ['false', 'DEFAULT'],
    ],
    plain,
  );
  expect(lines[1]).toBe(`${coloured.green('true')}   SPLIT`);
});

test('without colour the output contains only text', () => {
  let text = '';
  const terminal = new Terminal(false, (written) => (text += written));
  terminal.title('Title');
  terminal.step('First');
  terminal.table(['a'], [['b']]);
  terminal.step('Second');
  expect(text).toBe('Title\n\n1  First\n\n   a\n   b\n\n\n2  Second\n');
});

test('with colour headings carry escape sequences', () => {
  let text = '';
  new Terminal(true, (written) => (text += written)).step('First');
  expect(text).toContain('\u001B[');
});

test('times and values are formatted for people', () => {
  expect([milliseconds(8.44), milliseconds(131.6)]).toEqual(['8.4 ms', '132 ms']);
  expect([shown('eco'), shown(false), shown({ a: 1 })]).toEqual(['eco', 'false', '{"a":1}']);
});
