/** The place of a release among its stages. */

/** A stage that the release has left behind, the one that it is in, or one that is to come. */
export type StagePlace = 'passed' | 'present' | 'ahead';

interface Stage {
  readonly percentage: number;
}

/**
 * Gives the place of each stage, by its own percentage and that of the release. A promotion between two stages leaves
 * the release in the lower of them, and one below the first leaves it in the first.
 */
export function stagePlaces(stages: readonly Stage[], percentage: number): StagePlace[] {
  const present = Math.max(
    0,
    stages.findLastIndex((stage) => stage.percentage <= percentage),
  );
  return stages.map((_, index) => (index < present ? 'passed' : index === present ? 'present' : 'ahead'));
}
