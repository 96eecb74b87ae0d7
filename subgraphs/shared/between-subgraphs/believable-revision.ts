/**
 * How far above its environment's revision a vehicle's own is believed. A vehicle is ahead only after a restore, by
 * what the backup lacks; one that says far more is broken or lies, and one stolen token must not move an environment.
 */
export const MAX_LEAD = 1_000_000;
