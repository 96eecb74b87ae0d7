import { describe, expect, test } from '@jest/globals';
import { FleetFlagError } from '../../errors.ts';
import { Faults, parseEnvironmentFile } from './environment-file.ts';
import { sampled } from '../../testing/rounds.ts';
import { parseFlagsFile, typeOfValue } from './flags-file.ts';

const FLAG = `
  lane.keep:
    name: Lane keeping
    type: boolean
    safetyLevel: ASIL-B
    enabled: true
    defaultValue: false`;

const faultsOf = (text: string) =>
  parseFlagsFile(text).faults.map(({ line, path, message }) => `${line} ${path}: ${message}`);

describe('a file of flags', () => {
  test('is an environment’s file, with values that win over the rules', () => {
    const { flags, overrides, faults } = parseFlagsFile(
      `fleetflag: 1\nflags:${FLAG}\noverrides:\n  lane.keep: true\n  mode: sport\n  limit: 80\n  zones: { max: [1, 2] }\n  list: []\n`,
    );
    expect(faults).toEqual([]);
    expect(flags).toMatchObject([{ key: 'lane.keep', type: 'boolean', rules: [] }]);
    expect([...overrides]).toEqual([
      ['lane.keep', true],
      ['mode', 'sport'],
      ['limit', 80],
      ['zones', { max: [1, 2] }],
      ['list', []],
    ]);
  });

  test('gives flags in the order of their keys, whatever theirs in the file is', () => {
    const keys = ['b', 'c', 'a'];
    const text = `fleetflag: 1\nflags:${keys.map((key) => FLAG.replace('lane.keep', key)).join('')}\n`;
    expect(parseFlagsFile(text).flags.map(({ key }) => key)).toEqual(['a', 'b', 'c']);
  });

  test('may have flags alone, overrides alone, or neither', () => {
    expect(parseFlagsFile(`fleetflag: 1\nflags:${FLAG}\n`)).toMatchObject({
      flags: [{ key: 'lane.keep' }],
      faults: [],
    });
    expect(parseFlagsFile('fleetflag: 1\noverrides: { a: 1 }\n')).toMatchObject({ flags: [], faults: [] });
    expect(parseFlagsFile('fleetflag: 1\n')).toMatchObject({ flags: [], faults: [] });
  });

  test('names the line and the path of everything that is wrong', () => {
    const text = `fleetflag: 1
flags:${FLAG}
    rules:
      - type: vehicle_target
        conditions: { regions: [EU] }
      - type: percentage_rollout
        conditions:
          rollout_percentage: 101
  lane:
    name: " "
    type: number
    safetyLevel: ASIL-B
    enabled: 1
    defaultValue: eighty
  gone: 5
  listed:
    name: Listed
    type: json
    safetyLevel: ASIL-B
    enabled: true
    defaultValue: {}
    rules: 5
  typed: { name: Typed, type: json, safetyLevel: ASIL-B, enabled: true, defaultValue: {}, rules: [5, { type: no_such }, { type: vehicle_target, conditions: { regions: [EU] }, priority: high }] }
overrides:
  lane.keep: 5
  bad key: 1
  nothing: null
others: 1
`;
    expect(faultsOf(text)).toEqual([
      '34 others: Unknown member; expected one of fleetflag, releasePolicy, flags, overrides.',
      expect.stringMatching(/^14 flags\.lane\.keep\.rules\.1\.conditions\.rollout_percentage: /),
      expect.stringMatching(/^16 flags\.lane\.name: /),
      expect.stringMatching(/^19 flags\.lane\.enabled: /),
      expect.stringMatching(/^20 flags\.lane\.defaultValue: /),
      '21 flags.gone: Expected an object.',
      '28 flags.listed.rules: Expected a list.',
      '29 flags.typed.rules.0: Expected an object.',
      expect.stringMatching(/^29 flags\.typed\.rules\.1\.type: /),
      expect.stringMatching(/^29 flags\.typed\.rules\.2\.priority: /),
      expect.stringMatching(/^32 overrides\.bad key: /),
      '33 overrides.nothing: A flag value must not be null.',
    ]);
  });

  test('with a flag of a wrong value, or without an object where one belongs, says where', () => {
    expect(faultsOf(`fleetflag: 1\nflags:${FLAG}\noverrides:\n\n  lane.keep: 5\n`)).toEqual([
      '11 overrides.lane.keep: A value of this flag must be of type boolean.',
    ]);
    expect(faultsOf('fleetflag: 1\noverrides: [1]\n')).toEqual([expect.stringMatching(/^2 overrides: /)]);
    expect(faultsOf('fleetflag: 1\nflags: 5\n')).toEqual([expect.stringMatching(/^2 flags: /)]);
    expect(faultsOf('fleetflag: 2\n')).toEqual([expect.stringMatching(/^1 fleetflag: .*found 2\./)]);
    expect(faultsOf('\n\nflags: {}\n')).toEqual([expect.stringMatching(/^1 fleetflag: .*found none\./)]);
    expect(faultsOf('fleetflag: 1\nflags:\n  a: {}\n  1: {}\n').length).toBeGreaterThan(1);
  });

  test('names the value that is outside a contract, and of rules the one of the file', () => {
    const flag = (more: string) =>
      `fleetflag: 1\nflags:\n  limit:\n    name: Limit\n    type: number\n    safetyLevel: ASIL-B\n    enabled: true\n    valueSchema: { maximum: 5 }\n${more}`;
    const rule = (members: string) => `      - { type: vehicle_target, conditions: { regions: [EU] }, ${members} }\n`;
    const start = '    defaultValue: 3\n    rules:\n';
    expect(faultsOf(flag('    defaultValue: 6\n'))).toEqual([
      "9 flags.limit.defaultValue: Outside the flag's value contract: it must be at most 5.",
    ]);
    // Rules are sorted by their priorities, which is 100 where there is none.
    for (const priority of ['', ', priority: null'])
      expect(faultsOf(flag(`${start}${rule('value: 4, priority: 7')}${rule(`value: 6${priority}`)}`))).toEqual([
        "12 flags.limit.rules.1.value: Outside the flag's value contract: it must be at most 5.",
      ]);
    expect(faultsOf(flag(`${start}${rule('value: 6, priority: 7')}${rule('value: 4')}`))).toEqual([
      "11 flags.limit.rules.0.value: Outside the flag's value contract: it must be at most 5.",
    ]);
  });

  test('names the rule that has the type and priority of another', () => {
    const rule = '      - { type: vehicle_target, conditions: { regions: [EU] } }\n';
    expect(faultsOf(`fleetflag: 1\nflags:${FLAG}\n    rules:\n${rule}${rule}`)).toEqual([
      '11 flags.lane.keep.rules.1.priority: Rule 0 is already a vehicle_target rule of priority 100; choose another priority.',
    ]);
  });

  test('that is not YAML names the line', () => {
    expect(faultsOf('fleetflag: 1\nflags:\n  a: [1\n')).toEqual([expect.stringMatching(/^\d+ : /)]);
    expect(parseEnvironmentFile('a: [1').faults).toEqual([expect.objectContaining({ path: '' })]);
    expect(faultsOf('fleetflag: 1\na: &x 1\nb: *x\n')).toEqual([expect.stringMatching(/^3 : The alias \*x/)]);
    expect(faultsOf('just text')).toEqual([
      '1 : Expected a file of flags: an object with the members fleetflag and flags.',
    ]);
    expect(faultsOf('')).toEqual(['1 : Expected a file of flags: an object with the members fleetflag and flags.']);
  });
});

test('overrides that differ by case alone, from each other or from a flag of the file, are refused', () => {
  expect(faultsOf('fleetflag: 1\noverrides: { mode: 1, Mode: 2 }\n')).toEqual([
    '2 overrides.Mode: This key differs from "mode" only in case.',
  ]);
  expect(faultsOf(`fleetflag: 1\nflags:${FLAG}\noverrides:\n  Lane.keep: true\n`)).toEqual([
    expect.stringContaining('overrides.Lane.keep: This key differs from "lane.keep" only in case.'),
  ]);
});

test.each(['!!binary aGk=', '!!timestamp 2026-01-01', '!!set { a }', '!!omap [ a: 1 ]', '!!pairs [ a: 1 ]', '!own 1'])(
  'the value %s, which JSON does not have, is refused with its line',
  (value) => {
    expect(faultsOf(`fleetflag: 1\noverrides:\n  a: { b: ${value} }\n`)).toEqual([expect.stringMatching(/^3 : .*tag/)]);
  },
);

test.each([65, 200, ...sampled([20_000, 100_000], 2)])(
  'a file that is nested %d levels deep is refused as such',
  (depth) => {
    for (const [open, close] of [
      ['[', ']'],
      ['{a: ', '}'],
    ] as const) {
      const faults = faultsOf(`fleetflag: 1\noverrides:\n  a: ${open.repeat(depth)}${close.repeat(depth)}\n`);
      expect(faults).toEqual([
        expect.stringMatching(
          depth > 10_000
            ? /: Lists and objects may be nested at most 64 levels deep/
            : /^3 overrides\.a.*: Lists and objects may be nested at most 64 levels deep/,
        ),
      ]);
    }
  },
);

test('an environment’s file has no overrides, and no keys that differ by case alone', () => {
  expect(parseEnvironmentFile('fleetflag: 1\nflags: {}\noverrides: {}\n').faults).toEqual([
    { path: 'overrides', message: 'Unknown member; expected one of fleetflag, releasePolicy, flags.' },
  ]);
  const twice = `fleetflag: 1\nflags:${FLAG}${FLAG.replace('lane.keep', 'Lane.keep')}\n`;
  expect(parseEnvironmentFile(twice).faults).toEqual([
    { path: 'flags.Lane.keep', message: 'This key differs from "lane.keep" only in case.' },
  ]);
});

test('the type of a value is that of the flag that always has it', () => {
  expect([true, 'a', 1.5, { a: 1 }, [1]].map((value) => typeOfValue(value as never))).toEqual([
    'boolean',
    'string',
    'number',
    'json',
    'json',
  ]);
});

test('an unexpected error is not reported as a fault of the file', () => {
  const faults = new Faults();
  expect(() => faults.try(() => JSON.parse('{') as unknown)).toThrow(SyntaxError);
  expect(
    faults.try(() => {
      throw new FleetFlagError('CONFLICT', 'no');
    }),
  ).toBeUndefined();
  expect(faults.list).toEqual([{ path: '', message: 'no' }]);
});

test.each(['base', '[base]', '[{ flag: base, models: [EV6] }]', '{ flag: base }'])(
  'a flag of a file that requires %s is refused with the place of it',
  (requires) => {
    const faults = faultsOf(`fleetflag: 1\nflags:${FLAG}\n    requires: ${requires}\n`);
    expect(faults).toContainEqual(expect.stringContaining('flags.lane.keep.requires'));
  },
);
