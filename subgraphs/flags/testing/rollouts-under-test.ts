/** Rollouts on a test database: a clock that tests set, jobs that tests run, and the operations on rollouts. */
import type { Caller } from '../../../core/access/caller.ts';
import { silent, user, type DataOrErrors } from '../../shared/testing/asking.ts';
import { createFlagChanges } from '../changes/change.ts';
import { RolloutStepJob } from '../rollouts/rollout-step-job.ts';
import { RolloutTransitions } from '../rollouts/rollout-transitions.ts';
import { FlagsUnderTest } from './flags-under-test.ts';

/** A rollout as the API gives it. */
export interface RolloutJson {
  readonly id: string;
  readonly status: string;
  readonly currentPercentage: number;
  readonly nextStepAt: string | null;
  readonly pausedReason: string | null;
  readonly scheduledBy: { readonly id: string };
  readonly approvedBy: { readonly id: string } | null;
  readonly changeRequest: { readonly id: string; readonly status: string } | null;
  readonly steps: readonly {
    readonly percentage: number;
    readonly at: string;
    readonly appliedAt: string | null;
    readonly revision: number | null;
  }[];
}

/** A flag and its rule. */
export interface Target {
  readonly key: string;
  readonly flagId: string;
  readonly ruleId: string;
}

/** The selection of `RolloutJson`. */
const ROLLOUT =
  'id status currentPercentage nextStepAt pausedReason scheduledBy { id } approvedBy { id } changeRequest { id status } steps { percentage at appliedAt revision }';
const SCHEDULE = `mutation ($key: String!, $rule: ID!, $steps: [RolloutStepInput!]!, $guard: RolloutGuardInput, $expected: Int) {
  scheduleRollout(flagKey: $key, ruleId: $rule, steps: $steps, guard: $guard, expectedRevision: $expected) { applied flag { key revision } changeRequest { id status action after } rollout { ${ROLLOUT} } }
}`;

/** The answer to scheduling a rollout. */
export interface Scheduled {
  readonly scheduleRollout: {
    applied: boolean;
    flag: { key: string; revision: number };
    changeRequest: { id: string; status: string; action: string; after: unknown } | null;
    rollout: RolloutJson;
  };
}

/** One hour, in milliseconds. */
export const HOUR_MS = 3_600_000;

/** A running flags subgraph with a rollout job that tests run. */
export class RolloutsUnderTest {
  readonly transitions: RolloutTransitions;
  readonly scheduler: RolloutStepJob;

  private constructor(
    readonly flags: FlagsUnderTest,
    /** Unix milliseconds. */
    readonly clock: { now: number },
    readonly safety: Caller & { kind: 'user' },
  ) {
    this.transitions = new RolloutTransitions(async () => new Date(clock.now));
    this.scheduler = this.newScheduler(this.transitions);
  }

  /** Starts the subgraph without its own job. */
  static async start(): Promise<RolloutsUnderTest> {
    const clock = { now: Date.UTC(2027, 0, 4, 9) };
    const flags = await FlagsUnderTest.start({ clock: async () => new Date(clock.now), appliesRollouts: false });
    const { id } = await flags.prisma.user.create({
      data: { email: 'safety@example.com', name: 'S', passwordHash: '-', role: 'SAFETY' },
    });
    return new RolloutsUnderTest(flags, clock, user('SAFETY', id) as Caller & { kind: 'user' });
  }

  /** Ends the rollouts that other tests have left running, so that steps can be counted. */
  async endAll(): Promise<void> {
    await this.flags.prisma.rollout.updateMany({
      where: { status: 'running' },
      data: { status: 'cancelled', nextStepAt: null },
    });
  }

  /** Creates the job of another instance. */
  newScheduler(transitions = this.transitions): RolloutStepJob {
    const { prisma, signer, bus } = this.flags;
    return new RolloutStepJob(prisma, createFlagChanges(prisma, signer, bus, silent, transitions), transitions, silent);
  }

  /** Advances the clock, then applies what is due; gives the number of steps. */
  async after(milliseconds: number): Promise<number> {
    this.clock.now += milliseconds;
    return this.scheduler.runDue();
  }

  /** Gives a time that lies this far after the clock's, as ISO 8601. */
  at(milliseconds: number): string {
    return new Date(this.clock.now + milliseconds).toISOString();
  }

  /** Creates an enabled flag with a rule at 5 %. */
  async target(over: Record<string, unknown> = {}): Promise<Target> {
    const flag = await this.flags.create({ enabled: true, safetyLevel: 'ASIL_B', ...over });
    const { rules } = await this.flags.addRule(flag.key, {
      type: 'PERCENTAGE_ROLLOUT',
      conditions: { rollout_percentage: 5, regions: ['EU'] },
    });
    return { key: flag.key, flagId: flag.id, ruleId: rules[0]?.id ?? '' };
  }

  /** Creates the same and makes the flag ASIL-D. */
  async asilD(): Promise<Target> {
    const target = await this.target();
    await this.raise(target);
    return target;
  }

  /** Makes the flag ASIL-D, which a second person approves. */
  async raise(target: Pick<Target, 'key'>): Promise<void> {
    const { changeRequest } = await this.change(`updateFlag(key: "${target.key}", input: { safetyLevel: ASIL_D })`);
    await this.flags.approve(changeRequest?.id ?? '');
  }

  /** Schedules a rollout and gives the whole answer. */
  ask(
    target: Pick<Target, 'key' | 'ruleId'>,
    steps: unknown,
    caller: Caller = this.flags.writer,
    more: { expected?: number; guard?: object } = {},
  ): Promise<DataOrErrors<Scheduled>> {
    return this.flags.ask<Scheduled>(caller, SCHEDULE, { key: target.key, rule: target.ruleId, steps, ...more });
  }

  /** Schedules a rollout, which must succeed. */
  async schedule(
    target: Pick<Target, 'key' | 'ruleId'>,
    steps: unknown,
    guard?: object,
  ): Promise<Scheduled['scheduleRollout']> {
    const { data, errors } = await this.ask(target, steps, this.flags.writer, guard && { guard });
    if (errors.length > 0) throw new Error(JSON.stringify(errors));
    return data.scheduleRollout;
  }

  /** Schedules 10 % after an hour, 25 % an hour later, 100 % a day later. */
  async scheduleHourly(target: Pick<Target, 'key' | 'ruleId'>): Promise<Scheduled['scheduleRollout']> {
    return this.schedule(target, [
      { percentage: 10, after: 'PT1H' },
      { percentage: 25, after: 'PT1H' },
      { percentage: 100, after: 'P1D' },
    ]);
  }

  /** Pauses, resumes or cancels a rollout. */
  to(
    what: 'pause' | 'resume' | 'cancel',
    id: string,
    more = '',
    caller: Caller = this.flags.writer,
  ): Promise<DataOrErrors<{ rollout: RolloutJson }>> {
    return this.flags.ask(caller, `mutation { rollout: ${what}Rollout(id: "${id}"${more}) { ${ROLLOUT} } }`);
  }

  async change(
    mutation: string,
    caller: Caller = this.flags.writer,
  ): Promise<{ applied: boolean; flag: { revision: number }; changeRequest: { id: string } | null }> {
    const data = await this.flags.ok<{
      change: { applied: boolean; flag: { revision: number }; changeRequest: { id: string } | null };
    }>(`mutation { change: ${mutation} { applied flag { revision } changeRequest { id } } }`, {}, caller);
    return data.change;
  }

  decide(mutation: string, caller: Caller = this.safety): Promise<DataOrErrors> {
    return this.flags.ask(caller, `mutation { ${mutation} { id status } }`);
  }

  setPercentage(target: Target, percentage: number) {
    return this.change(
      `updateRule(id: "${target.ruleId}", input: { conditions: { rollout_percentage: ${percentage}, regions: ["EU"] } })`,
    );
  }

  /** Gives `Rule.rollout`. */
  async shown(target: Target): Promise<RolloutJson> {
    const { flag } = await this.flags.ok<{ flag: { rules: { id: string; rollout: RolloutJson }[] } }>(
      `query ($key: String!) { flag(key: $key) { rules { id rollout { ${ROLLOUT} } } } }`,
      { key: target.key },
    );
    const rollout = flag.rules.find((rule) => rule.id === target.ruleId)?.rollout;
    if (!rollout) throw new Error('The rule shows no rollout');
    return rollout;
  }

  /** Gives the rule's stored percentage. */
  async percentage(target: Target): Promise<number> {
    const rule = await this.flags.prisma.rule.findUniqueOrThrow({ where: { id: target.ruleId } });
    return (rule.conditions as { rollout_percentage: number }).rollout_percentage;
  }

  /** Reads the flag's audit rows. */
  trail(target: Target) {
    return this.flags.prisma.auditLog.findMany({ where: { flagId: target.flagId }, orderBy: { chainPosition: 'asc' } });
  }

  /** Gives the actions of the flag's audit rows. */
  async actions(target: Target): Promise<string[]> {
    return (await this.trail(target)).map((row) => row.action);
  }
}
