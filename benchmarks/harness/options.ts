/** The options that `npm run bench` passes to each benchmark. */
export interface BenchmarkOptions {
  /** Fewer and shorter rounds: all benchmarks together fit in ten minutes. */
  readonly quick: boolean;
  /** The number of vehicles of `storm`, and below it the number of gateway processes that serve them. */
  readonly vehicles?: number;
  readonly workers?: number;
  /** The number of models of the vehicles of `storm`, each with a partition of its own. */
  readonly models?: number;
  /** Whether the vehicles of `storm` store their backups after it. */
  readonly backups?: boolean;
}
