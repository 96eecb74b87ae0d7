/**
 * Bugs that are planted into a copy of the sources, to prove that the checker finds them. Nothing of them is in the
 * product: each is a text in one file and what stands there in the copy.
 */
import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from '../harness/process.ts';

/** A bug that is planted into a copy of the sources. */
export interface PlantedBug {
  /** The path of the file from the root of the repository. */
  readonly file: string;
  /** The text that is replaced. */
  readonly text: string;
  readonly instead: string;
  /** Whether the bug shows only where announcements are lost. */
  readonly losesAnnouncements?: boolean;
  /** The laws of which a run must find at least one broken. */
  readonly found: readonly string[];
}

/** The planted bugs by their names on the command line. */
export const PLANTED_BUGS: Readonly<Record<string, PlantedBug>> = {
  'no-polling': {
    file: 'subgraphs/flags/sync/feed.ts',
    text: 'const POLL_INTERVAL_MS = 1_000;',
    instead: 'const POLL_INTERVAL_MS = 3_600_000;',
    losesAnnouncements: true,
    found: ['no recovery', 'vehicle that was left behind'],
  },
  'revision-without-lock': {
    file: 'subgraphs/flags/flags/flag-store.ts',
    text: 'SET revision = revision + ${count},',
    instead: 'SET revision = (SELECT e.revision FROM environments e WHERE e.name = ${environment}) + ${count},',
    found: ['gap in the revisions', 'half a change', 'lost change'],
  },
  'answer-before-commit': {
    file: 'subgraphs/flags/changes/change-lanes.ts',
    text: 'turns.run(() => database.$transaction(work, options)) };',
    instead: `turns.run(() => new Promise((answer, fail) => {
    database.$transaction(async (tx) => {
      answer(await work(tx));
      await new Promise((resolve) => setTimeout(resolve, 400));
    }, options).catch(fail);
  })) };`,
    found: ['lost change', 'stale read', 'reordered change', 'gap in the revisions'],
  },
  'delta-skips-an-entry': {
    file: 'subgraphs/flags/sync/snapshots/revision-list.ts',
    text: '(index === 0 ? part.slice(after(part, revision)) : part)',
    instead: '(index === 0 ? part.slice(after(part, revision)) : part).slice(part.length > 2 ? 1 : 0)',
    found: ['honest data refused', 'vehicle that was left behind', 'no recovery'],
  },
  'agent-believes-any-set': {
    file: 'agent/sync/apply.ts',
    text: 'return proof.set === setDigest(',
    instead: "return proof.set !== '' || proof.set === setDigest(",
    found: ['vehicle with another set'],
  },
  'expected-revision-ignored': {
    file: 'subgraphs/flags/changes/change-checks.ts',
    text: 'expectedRevision !== currentRevision)',
    instead: 'expectedRevision > currentRevision)',
    found: ['stale change'],
  },
  'read-without-a-look': {
    file: 'subgraphs/flags/flags/remembered/remembering-flag-service.ts',
    text: 'await this.look();\n        const found',
    instead: 'const found',
    losesAnnouncements: true,
    found: ['stale read', 'read that went back'],
  },
  'review-skipped': {
    file: 'subgraphs/flags/changes/change.ts',
    text: 'if (needsSecondPerson(flag, edited, record.action)) return',
    instead: 'if (needsSecondPerson(flag, edited, record.action) && flag.revision % 2 === 0) return',
    found: ['change without a second person'],
  },
  'batches-count-twice': {
    file: 'subgraphs/experiments/metrics/metric-batch.ts',
    text: 'vin, batchId, position, item.variant',
    instead: 'vin, batchId + receivedAt, position, item.variant',
    found: ['doubled measurement'],
  },
  'change-without-audit': {
    file: 'subgraphs/flags/changes/change.ts',
    text: 'await appendAudit(tx, identity, { ...record, after, flagId: flag.id });',
    instead:
      "if (record.action !== 'ENABLE_FLAG') await appendAudit(tx, identity, { ...record, after, flagId: flag.id });",
    found: ['half a change'],
  },
};

const SOURCES = [
  ...['agent', 'commands', 'console', 'core', 'e2e', 'gateway', 'main', 'prisma', 'subgraphs', 'tests'],
  ...['package.json', 'schema.graphql', 'tsconfig.json'],
];

/** Copies the sources, plants bugs in the copy and builds it. Gives its folder, which the caller removes. */
export async function copySources(bugs: readonly PlantedBug[]): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'fleetflag-planted-'));
  try {
    for (const name of SOURCES) await cp(join(ROOT, name), join(root, name), { recursive: true });
    await symlink(join(ROOT, 'node_modules'), join(root, 'node_modules'));
    for (const { file, text, instead } of bugs) {
      const source = await readFile(join(root, file), 'utf8');
      if (source.split(text).length !== 2) throw new Error(`${file} does not hold once: ${text}`);
      await writeFile(
        join(root, file),
        source.replace(text, () => instead),
      );
    }
    await promisify(execFile)(process.execPath, ['--import', 'tsx', 'commands/build.ts'], { cwd: root });
    return root;
  } catch (error) {
    await rm(root, { recursive: true, force: true });
    throw error;
  }
}
