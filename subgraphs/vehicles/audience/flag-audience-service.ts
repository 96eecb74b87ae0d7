/** Counts the vehicles that get each variant of a flag, as the flag is now and as a change would make it. */
import type { Environment } from '../../../core/model.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import type { VehicleGroup } from './audience.ts';
import { readGroups } from './audience-store.ts';
import {
  ChangedVehiclesCounter,
  FlagAudienceCounter,
  type AudienceChange,
  type ContentChange,
  type EvaluatedContent,
  type FlagAudience,
} from './flag-audience.ts';

/** The evaluations in one turn of the event loop, which take about 10 ms. */
const EVALUATIONS_A_TURN = 20_000;
/** The fewest vehicles that are read at once. For fewer, the statement costs more than its rows. */
const SMALLEST_PAGE = 500;

/** A counter that gets each group of vehicles in a pass over an environment. */
interface GroupCounter {
  add(group: VehicleGroup): void;
}

/** The counters of several audiences, which share one pass over the vehicles of each environment. */
class Passes {
  readonly #counters = new Map<Environment, GroupCounter[]>();

  /** Adds a counter to the pass over an environment's vehicles, and gives it back. */
  add<Counter extends GroupCounter>(environment: Environment, counter: Counter): Counter {
    const counters = this.#counters.get(environment);
    if (counters === undefined) this.#counters.set(environment, [counter]);
    else counters.push(counter);
    return counter;
  }

  /** Reads the vehicles of each environment once. */
  async run(prisma: PrismaClient, evaluationsATurn: number): Promise<void> {
    for (const [environment, counters] of this.#counters) {
      const pageSize = Math.max(SMALLEST_PAGE, Math.floor(evaluationsATurn / counters.length));
      for await (const groups of readGroups(prisma, environment, null, pageSize)) {
        for (const group of groups) for (const counter of counters) counter.add(group);
      }
    }
  }
}

const EMPTY: FlagAudience = { total: 0, variants: [] };

/** Gives the audiences of flags. */
export class FlagAudienceService {
  constructor(
    private readonly prisma: PrismaClient,
    private readonly evaluationsATurn = EVALUATIONS_A_TURN,
  ) {}

  /**
   * Gives the audience of each content, in the same order. All contents of one environment share one pass over its
   * vehicles. Only a vehicle's agent knows the vehicle's attributes, so here a rule by attributes matches no vehicle.
   */
  async audiences(contents: readonly (EvaluatedContent | null)[]): Promise<FlagAudience[]> {
    const passes = new Passes();
    const counters = contents.map((content) => audienceIn(passes, content));
    await passes.run(this.prisma, this.evaluationsATurn);
    return counters.map((counter) => counter?.result() ?? EMPTY);
  }

  /** Gives the audiences before and after each change, and how many vehicles it concerns, in the same order. */
  async changes(changes: readonly ContentChange[]): Promise<AudienceChange[]> {
    const passes = new Passes();
    const counters = changes.map(({ before, after }) => ({
      before: audienceIn(passes, before),
      after: audienceIn(passes, after),
      changed:
        before !== null && after !== null && before.environment === after.environment
          ? passes.add(before.environment, new ChangedVehiclesCounter(before.evaluate, after.evaluate))
          : null,
    }));
    await passes.run(this.prisma, this.evaluationsATurn);
    return counters.map(({ before: was, after: becomes, changed }) => {
      const [before, after] = [was?.result() ?? null, becomes?.result() ?? null];
      return { before, after, changedVehicles: changed?.vehicles ?? (before?.total ?? 0) + (after?.total ?? 0) };
    });
  }
}

function audienceIn(passes: Passes, content: EvaluatedContent | null): FlagAudienceCounter | null {
  return content === null ? null : passes.add(content.environment, new FlagAudienceCounter(content.evaluate));
}
