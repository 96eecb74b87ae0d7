/**
 * The law of ASIL-D, against every operation at once: whatever a vehicle can see of an ASIL-D flag was decided by two
 * different people with the right to, kill switches apart. People with roles that change, and keys, do anything in any
 * order; after each step what vehicles would be sent is compared with what it was, and the test's own book of who
 * asked, who approved and who had which right says whether that may be.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { FlagDefinition, JsonObject } from '../core/model.ts';
import { isKilled } from '../core/evaluation/rules/kill-switch.ts';
import type { Caller, Role } from '../core/access/caller.ts';
import { startAudit } from '../subgraphs/audit/subgraph.ts';
import { createFlagChanges } from '../subgraphs/flags/changes/change.ts';
import { planEnding } from '../subgraphs/flags/changes/requests/end-plans.ts';
import { flagEntry } from '../subgraphs/flags/import-export/environment-file.ts';
import type { FlagEntry } from '../core/wire/flag-files/environment-file.ts';
import { ImportService, planImport } from '../subgraphs/flags/import-export/import-service.ts';
import { definitionIn } from '../subgraphs/flags/signing/signing.ts';
import { findLivingFlags } from '../subgraphs/flags/flags/reading/flag-reads.ts';
import { addPerson } from '../subgraphs/flags/testing/flags-under-test.ts';
import { HOUR_MS, RolloutsUnderTest } from '../subgraphs/flags/testing/rollouts-under-test.ts';
import { createInProcessBus } from '../subgraphs/shared/feeds/bus.ts';
import { createInProcessStore } from '../subgraphs/shared/stores/key-value-store.ts';
import { createInProcessRateLimiter } from '../subgraphs/shared/stores/rate-limiter.ts';
import { asking, identityOf, silent, type DataOrErrors, type Ask } from '../subgraphs/shared/testing/asking.ts';
import { rounds } from '../core/testing/rounds.ts';
import { testWebhookSettings } from '../subgraphs/shared/testing/webhook-settings.ts';

type Person = Caller & { kind: 'user'; userId: string };

const KEY: Caller = { kind: 'apiKey', apiKeyId: null, role: 'ADMIN', rateLimitPerMin: 60 };
const ENVIRONMENTS = ['STAGING', 'PRODUCTION'];
const OPERATIONS = [
  'createFlag',
  'createFlag',
  'updateFlag',
  'updateFlag',
  'enable',
  'disable',
  'archive',
  'createRule',
  'updateRule',
  'deleteRule',
  'kill',
  'release',
  'approve',
  'approve',
  'approve',
  'approve',
  'approve',
  'approve',
  'approve',
  'approve',
  'reject',
  'cancel',
  'schedule',
  'pause',
  'resume',
  'cancelRollout',
  'time',
  'account',
  'account',
  'account',
  'import',
] as const;

/** One step: an operation, who does it, and numbers of which it takes what it needs. */
interface Step {
  readonly operation: (typeof OPERATIONS)[number];
  readonly actor: number;
  readonly which: number;
  readonly how: number;
}
/** Without fast-check's liking for small numbers: they are places in lists here, and would be the first ones only. */
const number = fc.noBias(fc.nat(999));
const stepArbitrary: fc.Arbitrary<Step> = fc.noBias(
  fc.record({ operation: fc.constantFrom(...OPERATIONS), actor: number, which: number, how: number }),
);

let rollouts: RolloutsUnderTest;
let accounts: Ask;
let stop: () => Promise<void>;
let root: Person;

beforeAll(async () => {
  rollouts = await RolloutsUnderTest.start();
  const parts = {
    prisma: rollouts.flags.prisma,
    sessions: createInProcessStore(),
    bus: createInProcessBus(),
    limiter: createInProcessRateLimiter(),
    checkOperation: () => [],
    logger: silent,
  };
  const started = await startAudit({
    webhooks: testWebhookSettings,
    ...parts,
    endPlans: planEnding(rollouts.transitions),
  });
  [accounts, stop] = [asking(started.subgraph), () => started.close()];
  root = await addPerson(rollouts.flags.prisma, 'ADMIN');
}, 60_000);
afterAll(async () => {
  await stop?.();
  await rollouts?.flags.remove();
});

const pick = <T>(list: readonly T[], number: number): T | undefined => list[number % Math.max(1, list.length)];
const mayWrite = (role: Role | null) => role === 'WRITE' || role === 'ADMIN';
const mayReview = (role: Role | null) => role === 'SAFETY' || role === 'ADMIN';

/**
 * Gives what a vehicle sees of a flag, without what one person alone may change: its kill switches, and the bound that
 * they raise.
 */
function seen({ revision: _, noReturnBelow: __, ...flag }: FlagDefinition): JsonObject {
  const rules = flag.rules.filter(({ type }) => type !== 'kill_switch');
  return { ...flag, rules } as unknown as JsonObject;
}
const percentages = (flag: FlagDefinition) =>
  new Map(
    flag.rules.map(({ id, conditions }) => [id, Number((conditions as JsonObject)['rollout_percentage'] ?? NaN)]),
  );
/** Gives the same without percentages, which an approved rollout raises. */
const withoutPercentages = (flag: FlagDefinition) =>
  JSON.stringify(seen(flag), (name: string, value: unknown) => (name === 'rollout_percentage' ? 0 : value));

class Fleet {
  /** The role of each person as it was last given; null for a person who is not active. */
  readonly roles = new Map<string, Role | null>();
  /** The requester of each change request, by its id. */
  readonly askedBy = new Map<string, string>();
  readonly keys: string[] = [];
  people: readonly Person[] = [];
  served = new Map<string, FlagDefinition>();

  async begin(): Promise<void> {
    this.people = await Promise.all(
      (['WRITE', 'WRITE', 'SAFETY', 'ADMIN'] as const).map((role) => addPerson(rollouts.flags.prisma, role)),
    );
    for (const person of this.people) this.roles.set(person.userId, person.role);
    for (let each = 0; each < 3; each++) this.keys.push(rollouts.flags.newKey());
    this.served = await this.#sync();
  }

  /** Reads the definitions of this run's flags that vehicles would get. */
  async #sync(): Promise<Map<string, FlagDefinition>> {
    const found = new Map<string, FlagDefinition>();
    for (const environment of ENVIRONMENTS) {
      const { flagSync } = await rollouts.flags.ok<{
        flagSync: { flags: { key: string; removed: boolean; jws: string }[] };
      }>(`{ flagSync(environment: ${environment}) { flags { key removed jws } } }`);
      for (const { key, removed, jws } of flagSync.flags)
        if (!removed && this.keys.includes(key)) found.set(key, definitionIn(jws));
    }
    return found;
  }

  async check(step: Step, approval: { by: string; request: string } | null): Promise<void> {
    const before = this.served;
    this.served = await this.#sync();
    for (const key of this.keys) {
      const [was, is] = [before.get(key), this.served.get(key)];
      const critical = was?.safetyLevel === 'ASIL-D' || is?.safetyLevel === 'ASIL-D';
      if (!critical || JSON.stringify(was) === JSON.stringify(is)) continue;
      const released = was !== undefined && is !== undefined && isKilled(was.rules) && !isKilled(is.rules);
      const same = was !== undefined && is !== undefined && JSON.stringify(seen(was)) === JSON.stringify(seen(is));
      if (same && !released) continue;
      if (
        step.operation === 'time' &&
        was !== undefined &&
        is !== undefined &&
        !released &&
        withoutPercentages(was) === withoutPercentages(is)
      ) {
        await this.#checkRaised(key, was, is);
        continue;
      }
      const asked = approval === null ? undefined : this.askedBy.get(approval.request);
      expect({ key, step, changedBy: approval }).toEqual({
        key,
        step,
        changedBy: { by: expect.any(String), request: expect.any(String) },
      });
      expect(asked).toBeDefined();
      expect(asked).not.toBe(approval?.by);
      expect(mayReview(this.roles.get(approval?.by ?? '') ?? null)).toBe(true);
      expect(
        mayWrite(this.roles.get(asked ?? '') ?? null) || (released && this.roles.get(asked ?? '') === 'SAFETY'),
      ).toBe(true);
    }
  }

  /**
   * A step raises a percentage to one of a plan that two people have agreed to, in the name of one who may still do
   * that.
   */
  async #checkRaised(key: string, was: FlagDefinition, is: FlagDefinition): Promise<void> {
    for (const [ruleId, percentage] of percentages(is)) {
      if (percentages(was).get(ruleId) === percentage || Number.isNaN(percentage)) continue;
      const plans = await rollouts.flags.prisma.rollout.findMany({
        where: { ruleId, approvedById: { not: null } },
        include: { steps: true },
      });
      const plan = plans.find(({ steps }) =>
        steps.some((step) => step.appliedAt !== null && step.percentage.toNumber() === percentage),
      );
      expect({ key, plan }).toMatchObject({ key, plan: { scheduledById: expect.any(String) } });
      expect(plan?.approvedById).not.toBe(plan?.scheduledById);
      expect(mayWrite(this.roles.get(plan?.scheduledById ?? '') ?? null)).toBe(true);
    }
  }

  /** Mostly somebody who has the right, or most steps would be refusals; now and then anybody. */
  #who({ operation, actor }: Step): Person {
    const may = operation === 'approve' ? mayReview : mayWrite;
    const able = this.people.filter(({ userId }) => may(this.roles.get(userId) ?? null));
    return pick(actor % 4 === 0 || operation === 'account' || able.length === 0 ? this.people : able, actor >> 2)!;
  }

  /** Does a step; gives the approval that it was, if it was one and was granted. */
  async take(step: Step): Promise<{ by: string; request: string } | null> {
    const { operation, actor, which, how } = step;
    const { prisma } = rollouts.flags;
    const person = this.#who(step);
    const role = this.roles.get(person.userId) ?? null;
    // Whose account is not active has no session; a session has the role of its account.
    const user: Caller = { ...person, role: role ?? 'READ' };
    const caller = actor % 16 === 3 ? KEY : user;
    const key = pick(this.keys, which)!;
    const rule = pick(
      await prisma.rule.findMany({ where: { flag: { key: { in: this.keys } } }, orderBy: { id: 'asc' } }),
      which,
    );
    const level = pick(['ASIL_D', 'ASIL_B', 'ASIL_D', 'NON_CRITICAL'], how);
    const change = async (mutation: string, by: Caller = caller) =>
      this.#note(await rollouts.flags.ask(by, `mutation { it: ${mutation} { applied changeRequest { id } } }`), by);
    const request = async (status?: string) =>
      pick(
        await prisma.changeRequest.findMany({
          where: {
            flag: {
              id: {
                in: (await prisma.flag.findMany({ where: { createdById: { in: [...this.roles.keys()] } } })).map(
                  ({ id }) => id,
                ),
              },
            },
            ...(status !== undefined && { status }),
          },
          orderBy: { createdAt: 'desc' },
        }),
        which,
      )?.id ?? '';
    const rollout = async () =>
      pick(
        await prisma.rollout.findMany({ where: { flag: { key: { in: this.keys } } }, orderBy: { createdAt: 'desc' } }),
        which,
      )?.id ?? '';
    if (role === null && !['time', 'account'].includes(operation) && caller !== KEY) return null;
    switch (operation) {
      case 'createFlag':
        await change(
          `createFlag(input: { key: "${key}", name: "F", type: BOOLEAN, defaultValue: ${how % 2 === 0}, safetyLevel: ${level}, environment: ${pick(ENVIRONMENTS, how)}, enabled: ${how % 3 > 0} })`,
        );
        return null;
      case 'updateFlag':
        await change(
          `updateFlag(key: "${key}", input: { ${pick([`safetyLevel: ${level}, defaultValue: true`, `defaultValue: ${how % 2 === 0}`, `environment: ${pick(ENVIRONMENTS, actor)}`, `safetyLevel: ${level}`], how)} })`,
        );
        return null;
      case 'enable':
      case 'disable':
      case 'archive':
        // Archiving is for good: seldom, or nothing would be left.
        if (operation !== 'archive' || how % 6 === 0) await change(`${operation}Flag(key: "${key}")`);
        return null;
      case 'createRule':
        await change(
          `createRule(flagKey: "${key}", input: { ${pick(
            [
              `type: PERCENTAGE_ROLLOUT, priority: ${how}, conditions: { rollout_percentage: ${how % 40} }`,
              `type: VEHICLE_TARGET, priority: ${how}, conditions: { regions: ["EU"] }`,
              `type: KILL_SWITCH, priority: ${how}, conditions: { force_disabled: true, reason: "Smoke" }`,
            ],
            how,
          )} })`,
        );
        return null;
      case 'updateRule':
        await change(
          `updateRule(id: "${rule?.id}", input: { ${pick([`enabled: ${actor % 2 === 0}`, `priority: ${how}`, 'variant: "v2"', `conditions: ${rule?.type === 'kill_switch' ? `{ force_disabled: ${actor % 2 === 0}, reason: "x" }` : `{ rollout_percentage: ${how % 60} }`}`], how)} })`,
        );
        return null;
      case 'deleteRule':
        await change(`deleteRule(id: "${rule?.id}")`);
        return null;
      case 'kill':
        if (how % 3 === 0) await change(`killSwitch(flagKey: "${key}", reason: "Smoke")`);
        return null;
      case 'release':
        await change(`releaseKillSwitch(flagKey: "${key}", reason: "Fixed")`);
        return null;
      case 'approve': {
        // Mostly what waits, now and then what has been decided.
        const id = await request(how % 8 === 0 ? undefined : 'pending');
        const { errors } = this.#note(
          await rollouts.flags.ask(caller, `mutation { approveChangeRequest(id: "${id}") { status } }`),
          caller,
        );
        return errors.length === 0 ? { by: person.userId, request: id } : null;
      }
      case 'reject':
        this.#note(
          await rollouts.flags.ask(
            caller,
            `mutation { rejectChangeRequest(id: "${await request('pending')}", comment: "No") { status } }`,
          ),
          caller,
        );
        return null;
      case 'cancel':
        this.#note(
          await rollouts.flags.ask(
            caller,
            `mutation { cancelChangeRequest(id: "${await request('pending')}") { status } }`,
          ),
          caller,
        );
        return null;
      case 'schedule': {
        const flag = rule && (await prisma.flag.findUniqueOrThrow({ where: { id: rule.flagId } }));
        await change(
          `scheduleRollout(flagKey: "${flag?.key ?? key}", ruleId: "${rule?.id}", steps: [{ percentage: ${50 + (how % 20)}, after: "PT1H" }, { percentage: ${80 + (how % 20)}, after: "PT1H" }])`,
        );
        return null;
      }
      case 'pause':
      case 'resume':
      case 'cancelRollout': {
        const name = operation === 'cancelRollout' ? operation : `${operation}Rollout`;
        this.#note(
          await rollouts.flags.ask<{ it: { changeRequest: { id: string } | null } }>(
            caller,
            `mutation { it: ${name}(id: "${await rollout()}") { changeRequest { id } } }`,
          ),
          caller,
          operation === 'resume',
        );
        return null;
      }
      case 'time':
        await rollouts.after(HOUR_MS);
        return null;
      case 'account': {
        const next = pick<Role | null>([null, 'READ', 'WRITE', 'SAFETY', 'ADMIN', 'WRITE'], how)!;
        const { errors } = await accounts(
          root,
          `mutation { updateUser(id: "${person.userId}", input: { ${next === null ? 'isActive: false' : `isActive: true, role: ${next}`} }) { id } }`,
        );
        expect(errors).toEqual([]);
        this.roles.set(person.userId, next);
        return null;
      }
      case 'import':
        await this.#import(user, pick(['staging', 'production'] as const, which)!, key, how);
        return null;
    }
  }

  /** Keeps the book, and holds every answer to the catalogue. */
  #note<A extends DataOrErrors<unknown>>(answer: A, by: Caller, asks = true): A {
    for (const { extensions } of answer.errors)
      expect(['FORBIDDEN', 'CONFLICT', 'NOT_FOUND', 'BAD_USER_INPUT']).toContain(extensions?.['code']);
    const { it } = (answer.data ?? {}) as { it?: { changeRequest?: { id: string } | null } };
    const id = it?.changeRequest?.id;
    if (id !== undefined && asks && !this.askedBy.has(id)) {
      // A key may ask for nothing that waits.
      expect(by.kind).toBe('user');
      this.askedBy.set(id, (by as Person).userId);
    }
    return answer;
  }

  /** A file in which one flag is otherwise, or new, applied in the name of a person. */
  async #import(person: Caller, environment: 'staging' | 'production', key: string, how: number): Promise<void> {
    if (!mayWrite((person as Person).role)) return;
    const { prisma, signer } = rollouts.flags;
    const present = (await findLivingFlags(prisma, environment)).map(flagEntry);
    const flag = present.find((entry) => entry.key === key) ?? {
      key,
      name: 'F',
      description: null,
      type: 'boolean' as const,
      safetyLevel: 'ASIL-D' as const,
      enabled: true,
      defaultValue: true,
      ...{
        scope: null,
        requires: [],
        excludes: [],
        valueSchema: null,
        activation: 'IMMEDIATE',
        killActivation: 'IMMEDIATE',
        release: null,
      },
      rules: [],
    };
    const kill = {
      type: 'kill_switch' as const,
      priority: 7,
      enabled: true,
      conditions: { force_disabled: true, reason: 'Smoke' },
      value: null,
      variant: null,
    };
    const rules = how % 4 === 0 ? [kill, ...flag.rules.filter(({ type }) => type !== 'kill_switch')] : flag.rules;
    const edited: FlagEntry = {
      ...flag,
      defaultValue: how % 2 === 0,
      safetyLevel: how % 3 === 0 ? 'ASIL-D' : flag.safetyLevel,
      rules,
    };
    const plan = await planImport(prisma, environment, [...present.filter((entry) => entry.key !== key), edited]);
    if (plan.faults.length > 0) return;
    const service = new ImportService(
      createFlagChanges(prisma, signer, createInProcessBus(), silent, rollouts.transitions),
    );
    for await (const { done, waits } of service.apply(identityOf(person), plan, false))
      if (done !== 'failed' && waits) await this.#noteImported(person as Person);
  }

  async #noteImported(person: Person): Promise<void> {
    const asked = await rollouts.flags.prisma.changeRequest.findMany({ where: { requestedById: person.userId } });
    for (const { id } of asked) if (!this.askedBy.has(id)) this.askedBy.set(id, person.userId);
  }
}

/**
 * The approvals that changed an ASIL-D flag in vehicles. There must be some, because a law about nothing would hold.
 */
let approvals = 0;

test('whatever a vehicle can see of an ASIL-D flag was decided by two different people with the right to', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(stepArbitrary, { minLength: 80, maxLength: 80 }), async (steps) => {
      const fleet = new Fleet();
      await fleet.begin();
      for (const step of steps) {
        const approval = await fleet.take(step);
        if (approval !== null) approvals += 1;
        await fleet.check(step, approval);
      }
    }),
    // A run leaves its flags behind: it is not run again with fewer steps, but is named whole.
    // The same runs each time: the gate finds what a change brings, and nothing by chance.
    { numRuns: rounds(3, 40), endOnFailure: true, seed: 11 },
  );
  expect(approvals).toBeGreaterThan(0);
}, 300_000);
