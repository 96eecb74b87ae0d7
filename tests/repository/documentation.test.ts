import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { ERROR_CATALOGUE, type CatalogueEntry, type ErrorCode, type ErrorDetails } from '../../core/errors.ts';
import { SUBGRAPH_NAMES } from '../../core/wire/subgraph/subgraph.ts';
import { MAX_JSON_BYTES, MAX_JSON_DEPTH } from '../../core/json/json-value.ts';
import { ACCOUNT_LIMITS } from '../../gateway/operations/turns/account-limits.ts';
import { OPERATION_LIMITS } from '../../gateway/operations/limits/operation-limits.ts';
import { DEFAULT_LIMITS } from '../../gateway/subscriptions/subscription-limits.ts';
import { EXPLORATION_LIMITS } from '../../subgraphs/experiments/experiments/exploration/exploration-service.ts';
import { MAX_FURTHER_METRICS } from '../../subgraphs/experiments/experiments/further-metrics.ts';
import { COLLECTOR_LIMITS } from '../../subgraphs/experiments/metrics/metric-collector.ts';
import { BACKUP_LIMITS } from '../../subgraphs/vehicles/backups/backup.ts';
import { BACKUP_COLLECTOR_LIMITS } from '../../subgraphs/vehicles/backups/backup-collector.ts';
import { MAX_DEFINITION_BYTES, MAX_FLAGS } from '../../subgraphs/flags/flags/limits.ts';
import { NONCE_LIMITS } from '../../subgraphs/flags/sync/nonce-admission.ts';
import { MAX_SEARCH } from '../../subgraphs/flags/flags/reading/flag-queries.ts';
import type { ConfigurationError } from '../../main/configuration.ts';
import { readConfiguration } from '../../main/configuration.ts';
import { SETTINGS } from '../../main/settings/known-settings.ts';

const read = (name: string) => readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8');

describe('docs/operations/configuration.md', () => {
  const page = read('operations/configuration.md');

  test('has a row for each setting, with the words of the code, and no other', () => {
    const table = page.split('\n## ')[0] ?? '';
    const rows = Array.from(table.matchAll(/^\| `([A-Z_]+)` \| (.*) \|$/gm), ([, name, meaning]) => [name, meaning]);
    expect(rows).toEqual(Object.entries(SETTINGS));
  });

  test('and the table in the code leave out no variable that is read', () => {
    const seen = new Set<string>();
    const watched = new Proxy<Record<string, string | undefined>>(
      {},
      { get: (_target, name) => void seen.add(String(name)) },
    );
    readConfiguration(watched);
    expect([...seen].filter((name) => name !== 'NODE_ENV').sort()).toEqual(Object.keys(SETTINGS).sort());
    expect(page).toContain('`NODE_ENV=production`');
  });

  test.each(['gateway', ...SUBGRAPH_NAMES] as const)('says what %s cannot do without', (role) => {
    const row = page
      .split('\n')
      .find((line) => line.startsWith('| `') && line.split('|')[1]?.includes(`\`${role}\``) === true);
    const documented = Array.from((row?.split('|')[2] ?? '').matchAll(/`([A-Z_]+)`/g), ([, name]) => name);
    let required: string[] = [];
    try {
      readConfiguration({}, { role });
    } catch (error) {
      required = (error as ConfigurationError).faults.map((fault) => fault.split(' ')[0] ?? '');
    }
    expect(required.length).toBeGreaterThan(0);
    expect(documented.sort()).toEqual(required.sort());
  });
});

describe('docs/reference/errors.md', () => {
  const sections = new Map(
    read('reference/errors.md')
      .split('\n## ')
      .slice(1)
      .map((section) => [section.slice(0, section.indexOf('\n')), section.slice(section.indexOf('\n'))] as const),
  );
  const DETAILS: Record<keyof ErrorDetails | 'requestId', true> = {
    field: true,
    faults: true,
    currentRevision: true,
    limit: true,
    retryAfter: true,
    requestId: true,
  };

  test('has a section for each code of the catalogue, in its order, and no other', () => {
    expect([...sections.keys()]).toEqual(Object.keys(ERROR_CATALOGUE));
  });

  test.each(Object.entries(ERROR_CATALOGUE) as [ErrorCode, CatalogueEntry][])(
    'says of %s what the catalogue says',
    (code, { httpStatus, retryable, meaning }) => {
      const section = sections.get(code) ?? '';
      expect(section.trim().split('\n')[0]).toBe(meaning);
      expect(section).toContain(`\n- HTTP status: ${httpStatus}\n- Retryable: ${retryable ? 'yes' : 'no'}\n`);
      const extensions = Array.from(
        (/- Extensions: (.*)/.exec(section)?.[1] ?? '').matchAll(/`(\w+)`/g),
        ([, name]) => name,
      );
      expect(extensions.filter((name) => !Object.hasOwn(DETAILS, name ?? ''))).toEqual([]);
      // What the meaning promises is listed, and the example shows only what is listed.
      for (const [, name] of meaning.matchAll(/`extensions\.(\w+)`/g)) expect(extensions).toContain(name);
      const example = JSON.parse(/```json\n(.*)\n```/.exec(section)?.[1] ?? '') as {
        message: string;
        extensions: Record<string, unknown>;
      };
      expect(example.extensions['code']).toBe(code);
      expect([...extensions, 'code']).toEqual(expect.arrayContaining(Object.keys(example.extensions)));
      expect(example.message).not.toBe('');
    },
  );
});

describe('docs/operations/limits.md', () => {
  const [
    operations = '',
    accounts = '',
    sockets = '',
    measurements = '',
    backups = '',
    experiments = '',
    values = '',
    nonces = '',
  ] = read('operations/limits.md').split('\n## ').slice(1);
  const rows = (section: string) =>
    Array.from(section.matchAll(/^\| `(\w+)` \| ([\d,]+) \|/gm), ([, name = '', value = '']) => [
      name,
      Number(value.replaceAll(',', '')),
    ]);

  test('has a row for each limit of an operation, with its number, and no other', () => {
    expect(rows(operations)).toEqual(Object.entries(OPERATION_LIMITS));
  });

  test('has a row for each limit of an account, with its number, and no other', () => {
    expect(rows(accounts)).toEqual(Object.entries(ACCOUNT_LIMITS));
  });

  test('has a row for each limit of a socket, with its number, and no other', () => {
    expect(rows(sockets)).toEqual(Object.entries(DEFAULT_LIMITS));
  });

  test('has a row for each limit of measurements, with its number, and no other', () => {
    expect(rows(measurements)).toEqual(Object.entries(COLLECTOR_LIMITS));
  });

  test('has a row for each limit of backups, with its number, and no other', () => {
    expect(rows(backups)).toEqual(Object.entries({ ...BACKUP_LIMITS, ...BACKUP_COLLECTOR_LIMITS }));
  });

  test('has a row for each limit of experiments, with its number, and no other', () => {
    const limits = { furtherMetrics: MAX_FURTHER_METRICS, ...EXPLORATION_LIMITS };
    expect(rows(experiments)).toEqual(Object.entries(limits));
  });

  test('has a row for each limit of flags and values, with its number', () => {
    const limits = {
      flags: MAX_FLAGS,
      definitions: MAX_DEFINITION_BYTES,
      value: MAX_JSON_BYTES,
      valueDepth: MAX_JSON_DEPTH,
      search: MAX_SEARCH,
      wholeNumber: Number.MAX_SAFE_INTEGER,
    };
    expect(rows(values)).toEqual(Object.entries(limits));
  });

  test('has a row for each limit of nonces, with its number, and no other', () => {
    expect(rows(nonces)).toEqual(Object.entries(NONCE_LIMITS));
  });
});

describe('SECURITY.md', () => {
  const [, table = ''] = readFileSync(new URL('../../SECURITY.md', import.meta.url), 'utf8').split('\n## Threats\n');
  const threats = table
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .slice(2)
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );

  test('says of each threat what stops it, and which test shows that or that nothing does', () => {
    expect(threats.length).toBeGreaterThan(30);
    for (const threat of threats) {
      expect(threat).toEqual([
        expect.stringMatching(/./),
        expect.stringMatching(/./),
        expect.stringMatching(/^(–|(`\S+\.test\.ts`( “[^”]+”,?)+ ?)+)$/),
      ]);
      if (threat[2] === '–') expect(threat[1]).toMatch(/^nothing\b/);
    }
  });

  test('names tests that there are', () => {
    const named = threats.flatMap(([, , tests = '']) =>
      Array.from(tests.matchAll(/`(\S+)`((?: “[^”]+”,?)+)/g), ([, file = '', titles = '']) =>
        Array.from(titles.matchAll(/“([^”]+)”/g), ([, title = '']) => ({ file, title })),
      ).flat(),
    );
    expect(named.length).toBeGreaterThan(30);
    const sources = new Map(
      named.map(({ file }) => [file, readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8')]),
    );
    // A title stands in the source as it is, within quotes, on the line of the parenthesis or on the next one; one with
    // an apostrophe may escape it.
    const withoutBreaks = new Map([...sources].map(([file, text]) => [file, text.replaceAll(/\(\s+/g, '(')]));
    const missing = named.filter(
      ({ file, title }) =>
        ![title, title.replaceAll("'", "\\'")].some((text) =>
          ["'", '"', '`'].some((quote) => withoutBreaks.get(file)?.includes(`(${quote}${text}${quote},`)),
        ),
    );
    expect(missing).toEqual([]);
  });
});
