/** Steps of tests with guarded rollouts: what they schedule, judge and read. */
import type { GuardFigures, GuardVerdict } from '../../../core/rollouts/rollout-guard.ts';
import { definitionIn } from '../signing/signing.ts';
import { RolloutsUnderTest, type Target } from './rollouts-under-test.ts';

export const GUARD = { metric: 'charge_minutes', worse: 'HIGHER', maxWorsePercent: 5 };
export const STEPS = [
  { percentage: 10, after: 'PT1H' },
  { percentage: 25, after: 'PT1H' },
];
export const FIGURES: GuardFigures = {
  controlVehicles: 61,
  treatmentVehicles: 54,
  vehiclesInBothArms: 1,
  controlMean: 40,
  treatmentMean: 46,
  worsePercent: 15,
  worsePercentAtLeast: 10,
  detectablePercent: 9.5,
  outOfRange: { control: 2, treatment: 0 },
  neverReported: { control: 1, treatment: 0 },
  pValue: 0.0004,
  significance: 0.05,
  lastMeasurementAt: '2027-01-04T08:59:00.000Z',
};

interface Shown {
  guard: Record<string, unknown>;
  guardStatus: Record<string, unknown> | null;
  watchedUntil: string | null;
  nextStepAt: string | null;
  status: string;
}

/** Starts the subgraph with metrics that guards may watch. */
export async function startGuardedRollouts(): Promise<RolloutsUnderTest> {
  const rollouts = await RolloutsUnderTest.start();
  await rollouts.flags.prisma.metricDefinition.createMany({
    data: [
      { key: 'charge_minutes', kind: 'mean', minimum: 0, maximum: 600 },
      { key: 'range_km', kind: 'mean', minimum: 0, maximum: 1_000 },
      { key: 'cell_celsius', kind: 'mean', maximum: 60 },
    ],
  });
  return rollouts;
}

/** Gives the steps on a running subgraph. */
export function guardedRolloutSteps(running: () => RolloutsUnderTest) {
  const SHOWN = `guard { metric worse maxWorsePercent bound confidenceLevel minimumVehicles silenceSeconds watchForSeconds initialPercentage watchedSince }
  guardStatus { verdict treatmentVehicles controlMean worsePercentInterval worsePercentAtLeast outOfRange { control treatment } pValue significance lastMeasurementAt computedAt } watchedUntil nextStepAt status`;

  async function shown({ key, ruleId }: Target): Promise<Shown> {
    const { flag } = await running().flags.ok<{ flag: { rules: { id: string; rollout: Shown }[] } }>(
      `query ($key: String!) { flag(key: $key) { rules { id rollout { ${SHOWN} } } } }`,
      { key },
    );
    return flag.rules.find(({ id }) => id === ruleId)?.rollout as Shown;
  }

  /** Creates a flag with a guarded rollout from 5 % over 10 % to 25 %. */
  async function guarded(
    made: Promise<Target> = running().target(),
    guard: object = GUARD,
    steps: unknown = STEPS,
  ): Promise<{ target: Target; id: string }> {
    const target = await made;
    const { rollout, changeRequest } = await running().schedule(target, steps, guard);
    if (changeRequest !== null) await running().decide(`approveChangeRequest(id: "${changeRequest.id}")`);
    return { target, id: rollout.id };
  }

  /** Writes a verdict as the experiments subgraph would: by default of the current watch, computed now. */
  async function judge(
    id: string,
    verdict: GuardVerdict,
    { watch, age = 0, figures = FIGURES }: { watch?: number; age?: number; figures?: GuardFigures } = {},
  ): Promise<void> {
    const { prisma } = running().flags;
    const present = (await prisma.rolloutGuard.findUniqueOrThrow({ where: { rolloutId: id } })).watch;
    const columns = {
      watch: watch ?? present,
      verdict,
      figures: { ...figures, outOfRange: { ...figures.outOfRange }, neverReported: { ...figures.neverReported } },
      computedAt: new Date(running().clock.now - age),
    };
    await prisma.rolloutVerdict.upsert({
      where: { rolloutId: id },
      create: { rolloutId: id, ...columns },
      update: columns,
    });
  }

  const flagOf = ({ key }: Target) =>
    running()
      .flags.ok<{ flag: { killed: boolean; rules: { type: string; conditions: unknown }[] } }>(
        'query ($key: String!) { flag(key: $key) { killed rules { type conditions } } }',
        { key },
      )
      .then(({ flag }) => flag);
  /** Gives the revision below which no vehicle goes back, as vehicles have it. */
  async function signedBound({ flagId }: Target): Promise<number | null | undefined> {
    const { signedDefinition } = await running().flags.prisma.flag.findUniqueOrThrow({ where: { id: flagId } });
    return definitionIn(signedDefinition ?? '').noReturnBelow;
  }
  const lastRows = async (target: Target, count: number) => (await running().trail(target)).slice(-count);

  return { shown, guarded, judge, flagOf, signedBound, lastRows };
}
