/**
 * `noReturnBelow` as it is signed, after any sequence of edits, kills, disablings, stages, halts, archived flags,
 * moves, restores and sets of changes. Which steps are stops is found here by what is stored before and after them.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { returnRefusal } from '../../../../core/activation/last-known-good.ts';
import { FleetFlagError } from '../../../../core/errors.ts';
import { isKilling } from '../../../../core/evaluation/rules/kill-switch.ts';
import type { FlagDefinition } from '../../../../core/model.ts';
import { rounds } from '../../../../core/testing/rounds.ts';
import type { Flag } from '../../flags/flag.ts';
import { definitionIn } from '../../signing/signing.ts';
import { ReleasesUnderTest, THREE_STAGES } from '../../testing/releases-under-test.ts';

let releases: ReleasesUnderTest;
beforeAll(async () => {
  releases = await ReleasesUnderTest.start();
});
afterAll(() => releases.flags.remove());

type Step = 'stage' | 'promote' | 'halt' | 'restore' | 'rule' | 'release rule' | `${string}($key)`;

/** Fields of a mutation; `$key` stands for the flag's key. */
const FIELDS: readonly Step[] = [
  'updateFlag(key: $key, input: { defaultValue: "b" }) { applied }($key)',
  'updateFlag(key: $key, input: { defaultValue: "c" }) { applied }($key)',
  'updateFlag(key: $key, input: { name: "Other" }) { applied }($key)',
  'updateFlag(key: $key, input: { environment: DEVELOPMENT }) { applied }($key)',
  'updateFlag(key: $key, input: { environment: STAGING }) { applied }($key)',
  'createRule(flagKey: $key, input: { type: VEHICLE_TARGET, value: "x", conditions: { regions: ["KR"] } }) { applied }($key)',
  'killSwitch(flagKey: $key, reason: "smoke") { applied }($key)',
  'releaseKillSwitch(flagKey: $key, reason: "clear") { applied }($key)',
  'enableFlag(key: $key) { applied }($key)',
  'disableFlag(key: $key) { applied }($key)',
  'archiveFlag(key: $key) { applied }($key)',
  'unarchiveFlag(key: $key) { applied }($key)',
  'applyChanges(environment: STAGING, changes: [{ disableFlag: $key }]) { applied }($key)',
  'applyChanges(environment: STAGING, changes: [{ enableFlag: $key }]) { applied }($key)',
];
const RULE =
  'createRule(flagKey: $key, input: { type: KILL_SWITCH, priority: 7, conditions: { force_disabled: true, reason: "two" } }) { applied }($key)';
const RULE_IN_SET =
  'applyChanges(environment: STAGING, changes: [{ createRule: { flagKey: $key, input: { type: KILL_SWITCH, priority: 8, conditions: { force_disabled: true, reason: "set" } } } }]) { applied }($key)';

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 10, arbitrary: fc.constantFrom<Step>(...FIELDS, RULE, RULE_IN_SET) },
  { weight: 4, arbitrary: fc.constantFrom<Step>('stage', 'promote', 'halt', 'restore', 'release rule') },
);

async function unlessRefused(work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof FleetFlagError)) throw error;
  }
}

/** Makes a step; one that is refused changes nothing. */
async function make(key: string, one: Step, first: number): Promise<void> {
  const { flags, service, job, clock, writer } = releases;
  const ask = (field: string) => flags.ask(flags.writer, `mutation ($key: String!) { ${field} }`, { key });
  if (one === 'stage') {
    clock.now += 60_000;
    await job.runDue();
  } else if (one === 'promote') await unlessRefused(() => service.promote(writer, key, 100, 'by hand'));
  else if (one === 'halt') await unlessRefused(() => service.halt(writer, key, 'by hand'));
  else if (one === 'restore')
    await flags.ask(
      flags.writer,
      `mutation ($key: String!) { restoreFlag(key: $key, revision: ${first}) { applied } }`,
      { key },
    );
  else if (one === 'release rule') {
    const rule = (await releases.stored(key)).rules.find(isKilling);
    if (rule !== undefined)
      await flags.ask(
        flags.writer,
        `mutation { updateRule(id: "${rule.id}", input: { enabled: false }, reason: "clear") { applied } }`,
      );
  } else await ask(one.replace(/\(\$key\)$/, ''));
}

/** The parts of a flag in which a stop is seen. */
interface Seen {
  readonly flag: Flag;
  readonly definition: FlagDefinition | null;
  readonly halted: number;
}

async function seen(key: string): Promise<Seen> {
  const flag = await releases.stored(key);
  const definition = flag.archivedAt === null ? definitionIn(flag.signedDefinition) : null;
  const halted = await releases.flags.prisma.release.count({ where: { flagId: flag.id, status: 'halted' } });
  return { flag, definition, halted };
}

const switches = ({ rules }: Flag) => rules.filter(isKilling).map(({ id }) => id);

function isStop({ flag: was, halted }: Seen, { flag, halted: haltedNow }: Seen): boolean {
  return (
    haltedNow > halted ||
    (was.enabled && !flag.enabled) ||
    switches(flag).some((id) => !switches(was).includes(id)) ||
    was.environment !== flag.environment ||
    (was.archivedAt === null) !== (flag.archivedAt === null)
  );
}

test.each([true, false])(
  'the signed bound is the revision of the last stop, never falls, and lets no vehicle go back behind it (policy: %s)',
  async (hasPolicy) => {
    await releases.flags.prisma.releasePolicy.deleteMany();
    if (hasPolicy) await releases.setPolicy('staging', THREE_STAGES);
    let stops = 0;
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 14 }), async (steps) => {
        const { key, revision: first } = await releases.flags.create({
          type: 'STRING',
          defaultValue: 'a',
          enabled: true,
        });
        let before = await seen(key);
        expect([before.flag.noReturnBelow, before.definition]).toEqual([
          0,
          expect.not.objectContaining({ noReturnBelow: 0 }),
        ]);
        let former: FlagDefinition[] = [];
        for (const one of steps) {
          await make(key, one, first);
          const after = await seen(key);
          if (after.flag.environment !== before.flag.environment) former = [];
          const stopped = isStop(before, after);
          const bound = after.flag.noReturnBelow;
          expect(bound).toBe(stopped ? after.flag.revision : before.flag.noReturnBelow);
          if (after.definition !== null) expect(after.definition.noReturnBelow ?? 0).toBe(bound);
          if (stopped) stops += 1;
          const { definition } = after;
          for (const good of former) {
            if (definition === null) continue;
            const refusal = returnRefusal({
              ...{ held: definition, faulty: definition, content: 'now', seconds: 1 },
              good: { content: 'then', definition: good, cachedAt: 1, ttlSeconds: 60 },
            });
            const isBehind = good.revision < bound;
            if (isBehind) expect(['BELOW', 'STOPPED']).toContain(refusal);
            if (refusal === 'BELOW') refused += 1;
          }
          if (before.definition !== null && before.flag.environment === after.flag.environment)
            former.push(before.definition);
          before = after;
        }
        // An environment holds 100 flags at most.
        for (const field of ['disableFlag', 'archiveFlag'])
          await releases.flags.ask(
            releases.flags.writer,
            `mutation ($key: String!) { ${field}(key: $key) { applied } }`,
            { key },
          );
      }),
      { numRuns: rounds(6, 100) },
    );
    expect(Math.min(stops, refused)).toBeGreaterThan(rounds(6, 100));
  },
  rounds(120_000, 1_800_000),
);
