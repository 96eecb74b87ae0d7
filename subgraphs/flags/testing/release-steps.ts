/** Steps of tests with releases: what they change, let pass and read. */
import { bucketing } from '../../../core/evaluation/bucket.ts';
import { compileFlag, evaluateFlag } from '../../../core/evaluation/evaluate.ts';
import type { JsonValue } from '../../../core/model.ts';
import { definitionIn } from '../signing/signing.ts';
import type { FlagJson } from './flags-under-test.ts';
import { THREE_STAGES, type ReleasesUnderTest } from './releases-under-test.ts';

interface ReleaseJson {
  readonly id: string;
  readonly status: string;
  readonly percentage: number;
  readonly reason: string | null;
  readonly content: { readonly defaultValue: JsonValue };
  readonly endedAt: string | null;
}

/** Gives the steps on a running subgraph. */
export function releaseTestSteps(running: () => ReleasesUnderTest) {
  const RELEASE =
    'id status percentage reason content endedAt flag { key } startedBy { id } stages { percentage soak minimumVehicles }';

  /** Gives a flag whose content all vehicles have, and which is on. */
  async function released(over: Record<string, unknown> = {}): Promise<FlagJson> {
    await running().setPolicy('staging', []);
    const flag = await running().flags.create({ type: 'STRING', defaultValue: 'old', enabled: true, ...over });
    await running().setPolicy('staging', THREE_STAGES);
    return flag;
  }

  const update = (key: string, input: Record<string, unknown>) => {
    // Releases are listed by the time of their beginning.
    running().clock.now += 1;
    return running().flags.ok<{ updateFlag: { applied: boolean; changeRequest: { id: string } | null } }>(
      'mutation ($key: String!, $input: UpdateFlagInput!) { updateFlag(key: $key, input: $input) { applied changeRequest { id } } }',
      { key, input },
    );
  };

  const releasing = async (key: string) =>
    (
      await running().flags.ok<{ flag: { release: ReleaseJson | null } }>(
        `query ($key: String!) { flag(key: $key) { release { ${RELEASE} } } }`,
        { key },
      )
    ).flag.release;

  const listed = async (key: string) =>
    (
      await running().flags.ok<{ releases: { nodes: ReleaseJson[]; totalCount: number } }>(
        `query ($key: String!) { releases(flagKey: $key) { nodes { ${RELEASE} } totalCount } }`,
        { key },
      )
    ).releases;

  const auditOf = async (key: string, action: string) =>
    (
      await running().flags.prisma.auditLog.findMany({
        where: { flag: { key }, action },
        orderBy: { chainPosition: 'asc' },
      })
    ).map(({ beforeValue: before, afterValue: after }) => ({ before, after }));

  /** Moves the clock past the soak of a stage and runs the job. */
  async function soak(ms = 60_000): Promise<number> {
    running().clock.now += ms;
    return running().job.runDue();
  }

  const vinOf = (n: number) => `KMH${String(n * 7_919).padStart(14, '0')}`;
  /** Gives VINs in the ring of a percentage, and VINs outside of it. */
  function ringOf(ring: string, percentage: number): { readonly inside: string[]; readonly outside: string[] } {
    const bucketOf = bucketing(`release:${ring}`);
    const all = Array.from({ length: 2_000 }, (_, n) => vinOf(n));
    const isIn = (vin: string) => bucketOf(vin) < percentage * 1_000;
    return { inside: all.filter(isIn), outside: all.filter((vin) => !isIn(vin)) };
  }

  const served = async (key: string, vin: string) => {
    const { signedDefinition } = await running().stored(key);
    return evaluateFlag(compileFlag(definitionIn(signedDefinition)), { vin }).value;
  };

  const addVehicles = (
    vins: readonly string[],
    over: { appliedRevision?: number; lastSeenAt?: Date; evaluatedFlags?: string[] } = {},
  ) =>
    running().flags.prisma.vehicle.createMany({
      data: vins.map((vin) => ({
        ...{ vin, model: 'EV9', swVersion: '1', region: 'KR', environment: 'staging', status: 'online' },
        ...over,
      })),
    });

  const halt = (key: string, reason = 'by hand') =>
    running().flags.ask<{ haltRelease: { flag: FlagJson } }>(
      running().flags.writer,
      'mutation ($key: String!, $reason: String!) { haltRelease(flagKey: $key, reason: $reason) { applied flag { defaultValue enabled } } }',
      { key, reason },
    );
  const promote = (key: string, percentage: number) =>
    running().flags.ask<{ promoteRelease: { applied: boolean; changeRequest: { id: string } | null } }>(
      running().flags.writer,
      'mutation ($key: String!, $percentage: Float!) { promoteRelease(flagKey: $key, percentage: $percentage, reason: "seen enough") { applied changeRequest { id } } }',
      { key, percentage },
    );

  return { released, update, releasing, listed, auditOf, soak, ringOf, served, addVehicles, halt, promote };
}
