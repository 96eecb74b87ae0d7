/**
 * The furthest that a vehicle's revision may be ahead of its environment's and still be believed. A vehicle is ahead
 * only after a restore, by the changes that the backup lacks. One that is far more ahead is broken or lies, and one
 * stolen token must not move an environment.
 */
export const MAX_LEAD = 1_000_000;
