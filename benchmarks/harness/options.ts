/** What `npm run bench` passes to each benchmark. */
export interface BenchmarkOptions {
  /** Fewer and shorter rounds: all benchmarks together fit in ten minutes. */
  readonly quick: boolean;
}
