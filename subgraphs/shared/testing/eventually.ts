import { setTimeout as delay } from 'node:timers/promises';

/** Waits until `condition` holds. Rejects when it does not within `seconds`. */
export async function eventually(condition: () => boolean | Promise<boolean>, seconds = 15): Promise<void> {
  const deadline = performance.now() + seconds * 1000;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`Not within ${seconds} s: ${condition.toString()}`);
    await delay(10);
  }
}
