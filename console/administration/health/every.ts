/** The milliseconds between two polls of numbers that change by themselves. */
export const POLL_MS = 10_000;
