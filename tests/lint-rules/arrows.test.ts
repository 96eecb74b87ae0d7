import { describe, expect, test } from '@jest/globals';

interface Report {
  readonly data: { readonly reason: string };
}
type Check = (node: { readonly source: { readonly value: string } }) => void;

const ROOT = new URL('../../', import.meta.url);
const { arrows } = (await import(new URL('arrows.js', import.meta.url).href)) as {
  arrows: { create(context: { filename: string; report(report: Report): void }): { ImportDeclaration: Check } };
};

/** Gives what the rule says of an import from one file, by its path from the root. */
function faultOf(file: string, imported: string): string | undefined {
  const reports: Report[] = [];
  const filename = new URL(file, ROOT).pathname;
  arrows
    .create({ filename, report: (report) => reports.push(report) })
    .ImportDeclaration({ source: { value: imported } });
  return reports[0]?.data.reason;
}

describe('the arrows between rooms', () => {
  test.each([
    ['core/model.ts', './errors.ts'],
    ['gateway/gateway.ts', '../core/model.ts'],
    ['gateway/gateway.ts', 'fastify'],
    ['subgraphs/flags/subgraph.ts', '../shared/subgraph/subgraph.ts'],
    ['gateway/operations/pipeline.test.ts', '../subscriptions/testing/wire-client.ts'],
    ['main/subgraphs.ts', '../gateway/gateway.ts'],
  ])('let %s import %s', (file, imported) => {
    expect(faultOf(file, imported)).toBeUndefined();
  });

  test.each([
    ['core/model.ts', '../gateway/gateway.ts', 'core may import only from itself.'],
    ['subgraphs/flags/subgraph.ts', '../vehicles/subgraph.ts', 'subgraphs/flags may import only from'],
    ['subgraphs/shared/subgraph/subgraph.ts', '../../flags/subgraph.ts', 'subgraphs/shared may import only from'],
    [
      'agent/assembly/fleet-flag-agent.ts',
      '../../core-of-another/model.ts',
      'agent may import only from itself, core.',
    ],
    ['gateway/operations/pipeline.ts', '../gateway.ts', 'may not import from gateway/gateway.ts.'],
    ['gateway/operations/pipeline.ts', '../subscriptions/hub.ts', 'may not import from gateway/subscriptions.'],
  ])('refuse that %s imports %s', (file, imported, reason) => {
    expect(faultOf(file, imported)).toContain(reason);
  });
});
