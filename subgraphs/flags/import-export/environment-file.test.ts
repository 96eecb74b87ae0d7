import fc from 'fast-check';
import { describe, expect, test } from '@jest/globals';
import { RULE_TYPES, SAFETY_LEVELS, type JsonValue, type RuleDefinition } from '../../../core/model.ts';
import { FleetFlagError } from '../../../core/errors.ts';
import { validateFlagDescription, validateFlagName } from '../../../core/validation/validate-flag.ts';
import { parseEnvironmentFile, type FlagEntry } from '../../../core/wire/flag-files/environment-file.ts';
import { flagEntry, printEnvironmentFile } from './environment-file.ts';

const entry = (over: Partial<FlagEntry> = {}): FlagEntry => ({
  key: 'lane_keep',
  name: 'Lane keeping',
  description: null,
  type: 'boolean',
  safetyLevel: 'ASIL-B',
  enabled: true,
  defaultValue: false,
  scope: null,
  requires: [],
  valueSchema: null,
  activation: 'IMMEDIATE',
  killActivation: 'IMMEDIATE',
  excludes: [],
  rules: [],
  ...over,
});

const faultsOf = (text: string) => parseEnvironmentFile(text).faults;
const file = (flags: string) => `fleetflag: 1\nflags:\n${flags}`;

describe('the file', () => {
  test('lists sorted flags with members in one order and long texts as blocks, and contains nothing superfluous', () => {
    const text = printEnvironmentFile([
      entry({ key: 'zoom', type: 'json', defaultValue: { b: 1, a: ['x'] }, safetyLevel: 'Non-Critical' }),
      entry({
        description: 'Keeps the lane.\nNot in tunnels.',
        rules: [
          {
            type: 'vehicle_whitelist',
            priority: 100,
            enabled: true,
            conditions: { vins: ['KMHK281HGNU000001'] },
            value: null,
            variant: 'pilot',
          },
        ],
      }),
    ]);
    expect(text.split('\n').slice(1).join('\n')).toBe(`fleetflag: 1
flags:
  lane_keep:
    name: Lane keeping
    description: |-
      Keeps the lane.
      Not in tunnels.
    type: boolean
    safetyLevel: ASIL-B
    enabled: true
    defaultValue: false
    rules:
      - type: vehicle_whitelist
        priority: 100
        enabled: true
        conditions:
          vins:
            - KMHK281HGNU000001
        variant: pilot
  zoom:
    name: Lane keeping
    type: json
    safetyLevel: Non-Critical
    enabled: true
    defaultValue:
      a:
        - x
      b: 1
    rules: []
`);
  });

  test('has rules in the order of evaluation, whatever their ids', () => {
    const rule = (type: 'kill_switch' | 'percentage_rollout', priority: number, id: string): RuleDefinition => ({
      id,
      type,
      priority,
      enabled: false,
      conditions: type === 'kill_switch' ? { force_disabled: true } : { rollout_percentage: 5 },
    });
    const flag = {
      ...entry(),
      environment: 'staging',
      revision: 7,
      rules: [rule('percentage_rollout', 5, 'a'), rule('percentage_rollout', 9, 'b'), rule('kill_switch', 5, 'c')],
    } as const;
    expect(flagEntry(flag).rules.map(({ type, priority }) => [type, priority])).toEqual([
      ['percentage_rollout', 9],
      ['kill_switch', 5],
      ['percentage_rollout', 5],
    ]);
    expect(printEnvironmentFile([flagEntry(flag)])).not.toMatch(/id:|revision/);
  });

  test.each([
    'yes',
    'No',
    'on',
    'true',
    'null',
    '~',
    '',
    ' ',
    '0x1F',
    '1e3',
    '.5',
    '-0',
    '.inf',
    '.NaN',
    '2024-01-31',
    '2024-01-31T10:00:00Z',
    '12:30:45',
    '0o17',
    '017',
    '1_000',
    '=',
    '<<',
    '- a',
    '# no comment',
    'a: b',
    '"quoted"',
    "it's",
    '*alias',
    '&anchor',
    '!tag',
    '%TAG',
    '@at',
    '`tick',
    '|',
    '>',
    '? x',
    '{',
    '[1]',
    '---',
    '...',
    'ends with space ',
    '\ttab',
    'a\r\nb',
    'a\n',
    '\n',
    'a\n\n\n',
    '\n  indented',
    ' a\n b',
    '\u0085',
    '\u2028',
    '\uFEFF',
    '\u0007',
    'ünï 漢字 🚗',
    '日本\n語',
    'constructor',
  ])('gives the text %j back exactly, as a value and as a member', (text) => {
    const flag = entry({
      type: 'json',
      defaultValue: { [text]: text, list: [text, [text]] },
      description: accepted(() => validateFlagDescription(text, '')),
    });
    const printed = printEnvironmentFile([flag]);
    expect(parseEnvironmentFile(printed)).toEqual({ flags: [flag], releasePolicy: null, faults: [] });
  });

  /** Gives the text as the API stores it; null for a text that it refuses. */
  const accepted = (read: () => string | null) => {
    try {
      return read();
    } catch (error) {
      if (error instanceof FleetFlagError) return null;
      throw error;
    }
  };
  const text = fc
    .oneof(
      fc.string({ unit: 'grapheme' }),
      fc.string({ unit: 'binary' }),
      fc.string({
        unit: fc.constantFrom(
          'a',
          ' ',
          '\n',
          '\r',
          '\t',
          '\u0085',
          '\u2028',
          '\ufeff',
          ':',
          '#',
          '-',
          '"',
          '\\',
          '차',
          '🚗',
        ),
      }),
    )
    .map((value) => value.replaceAll(/\0|\p{Surrogate}/gu, ''));
  const json = fc.letrec<{ value: JsonValue }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom<JsonValue>(null, true, false, 0, 5e-324, 0.1 + 0.2, 2 ** 53 - 1),
      fc
        .double({ noNaN: true, noDefaultInfinity: true })
        .map((value) => (Number.isInteger(value) ? value % 2 ** 53 : value) + 0),
      fc.integer(),
      text,
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(text, tie('value'), { maxKeys: 4 }),
    ),
  })).value;
  const rule = fc.record({
    type: fc.constantFrom(...RULE_TYPES),
    priority: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
    enabled: fc.boolean(),
    value: json,
    variant: fc.option(fc.stringMatching(/^[A-Za-z0-9_.-]{1,50}$/)),
  });
  const CONDITIONS: Record<string, JsonValue> = {
    kill_switch: { force_disabled: false, reason: 'no: really' },
    vehicle_whitelist: { vins: ['KMHK281HGNU000001', 'KMHK281HGNU000002'] },
    vehicle_target: { models: ['Ioniq 6', 'null', '5'], sw_version: '>=2.5.0 <3' },
    user_attribute: { attribute: 'tier', operator: 'in', values: ['on', '1e3', 5, true] },
    percentage_rollout: { rollout_percentage: 12.345, salt: '1e3' },
  };
  const flag = fc.record({
    key: fc.stringMatching(/^[a-zA-Z0-9][a-zA-Z0-9._-]{0,20}$/),
    name: text.map((name) => accepted(() => validateFlagName(name, '')) ?? 'A flag'),
    description: text.map((description) => accepted(() => validateFlagDescription(description, ''))),
    safetyLevel: fc.constantFrom(...SAFETY_LEVELS),
    enabled: fc.boolean(),
    defaultValue: json.filter((value) => value !== null),
    rules: fc.uniqueArray(rule, { maxLength: 4, selector: ({ type, priority }) => `${type}@${priority}` }),
  });

  test('is written for data older than the checks of text, and names the flags that it could not contain exactly', () => {
    fc.assert(
      fc.property(text, text, (name, description) => void printEnvironmentFile([entry({ name, description })])),
      { numRuns: 100 },
    );
    const lossy = { toJSON: () => 'something else' } as unknown as JsonValue;
    expect(() =>
      printEnvironmentFile([
        entry({ key: 'good' }),
        entry({ key: 'bad', type: 'json', defaultValue: [lossy] }),
        entry({ key: 'worse', type: 'json', defaultValue: lossy }),
      ]),
    ).toThrow(/bad, worse would not be the same when read back/);
  });

  test('has no two keys that differ only by case', () => {
    const flag = '{ name: A, type: boolean, safetyLevel: ASIL-B, enabled: true, defaultValue: false }';
    expect(faultsOf(file(`  Lane: ${flag}\n  lane: ${flag}\n`))).toEqual([
      { path: 'flags.lane', message: expect.stringContaining('"Lane"') },
    ]);
  });

  test('is read back exactly as it was printed, whatever the flags contain', () => {
    fc.assert(
      fc.property(fc.uniqueArray(flag, { maxLength: 4, selector: ({ key }) => key }), (flags) => {
        const entries = flags.map((one) =>
          flagEntry({
            ...one,
            type: 'json',
            environment: 'staging',
            revision: 1,
            rules: one.rules.map((each, index) => ({
              ...each,
              id: String(index),
              conditions: CONDITIONS[each.type] ?? null,
            })),
          }),
        );
        const printed = printEnvironmentFile(entries);
        const read = parseEnvironmentFile(printed);
        expect(read.faults).toEqual([]);
        const sorted = JSON.parse(JSON.stringify([...entries].sort((a, b) => (a.key < b.key ? -1 : 1)))) as unknown;
        expect(read.flags).toEqual(sorted);
        expect(printEnvironmentFile(read.flags)).toBe(printed);
      }),
      { numRuns: 100 },
    );
  });
});

describe('faults of a file', () => {
  test('name the value that is outside a contract, and of rules the one of the file', () => {
    const flag = (default_: string, more = '') =>
      file(
        `  limit:\n    name: Limit\n    type: number\n    safetyLevel: Non-Critical\n    enabled: true\n    defaultValue: ${default_}\n    valueSchema: { maximum: 5 }\n${more}`,
      );
    const rule = (priority: string, value: number) =>
      `      - type: vehicle_target\n        priority: ${priority}\n        conditions: { regions: [EU] }\n        value: ${value}\n`;
    expect(faultsOf(flag('6'))).toMatchObject([{ path: 'flags.limit.defaultValue' }]);
    expect(faultsOf(flag('3', `    rules:\n${rule('7', 4)}${rule('null', 6)}`))).toMatchObject([
      { path: 'flags.limit.rules.1.value' },
    ]);
    expect(faultsOf(flag('3'))).toEqual([]);
  });

  test('are reported all at once, each with its path', () => {
    const faults = faultsOf(
      file(`
  lane_keep:
    name: ""
    type: boolean
    safetyLevel: ASIL-C
    enabled: maybe
    defaultValue: 3
    color: red
    rules:
      - {type: kill_switch, priority: 1, conditions: {force_disabled: true}}
      - {type: kill_switch, priority: 1, conditions: {force_disabled: true}}
      - type: vehicle_whitelist
        priority: high
        conditions: {vins: [KMHK281HGNU000001, KMHK281HGNU000002, KMHK281HGNU000003, nonsense]}
        value: text
        variant: "!"
        extra: 1
      - {type: magic, conditions: {}}
  "-bad-": 5
`),
    );
    expect(faults.map(({ path }) => path).sort()).toEqual(
      [
        'flags.-bad-',
        'flags.-bad-',
        'flags.lane_keep.color',
        'flags.lane_keep.defaultValue',
        'flags.lane_keep.enabled',
        'flags.lane_keep.name',
        'flags.lane_keep.rules.1.priority',
        'flags.lane_keep.rules.2.conditions.vins.3',
        'flags.lane_keep.rules.2.extra',
        'flags.lane_keep.rules.2.priority',
        'flags.lane_keep.rules.2.value',
        'flags.lane_keep.rules.2.variant',
        'flags.lane_keep.rules.3.type',
        'flags.lane_keep.safetyLevel',
      ].sort(),
    );
    expect(parseEnvironmentFile(file('  a: 5')).flags).toEqual([]);
  });

  test.each([
    ['no YAML', 'a: [', '', /line 1/],
    ['a key given twice', file('  a: 1\n  a: 2'), '', /line 4: .*unique/],
    ['a list', '- 1', '', /Expected a file of flags/],
    ['nothing', '', '', /Expected a file of flags/],
    ['two documents', 'fleetflag: 1\nflags: {}\n---\na: 1\n', '', /multiple documents/],
    ['another version', 'fleetflag: 2\nflags: {}', 'fleetflag', /version 1 .*found 2/],
    ['no version', 'flags: {}', 'fleetflag', /found none/],
    ['no flags', 'fleetflag: 1', 'flags', /Expected an object/],
    ['something beside the flags', 'fleetflag: 1\nflags: {}\nflagz: {}', 'flagz', /Unknown member/],
    ['an alias', file('  a: &x {}\n  b: *x'), '', /line 4: .*\*x/],
    ['an own type', file('  a: !car {}'), '', /Unresolved tag/],
    [
      'an invalid number',
      file('  a: {name: a, type: number, safetyLevel: ASIL-B, enabled: true, defaultValue: .nan}'),
      'flags.a.defaultValue',
      /finite/,
    ],
  ])('are reported for %s', (_what, text, path, message) => {
    const faults = faultsOf(text);
    expect(faults).toHaveLength(1);
    expect(faults[0]?.path).toBe(path);
    expect(faults[0]?.message).toMatch(message);
  });
});
