/** Answers `POST /v1/track`, by which a program in any language reports a measurement. */
import { badInput } from '../../core/errors.ts';
import type { LocalAnswer } from './ofrep.ts';
import { answerReport } from './report-answer.ts';

/** The part of the agent that the endpoint needs. */
export interface Tracker {
  /** Records a measurement. Throws a FleetFlagError where an argument is invalid. */
  track(metric: unknown, value: number, options: { readonly flagKey: string; readonly tags?: unknown }): void;
}

/** Answers a request with the body `{"metric", "value", "flagKey", "tags"?}`, as `answerReport` does. */
export function track(tracker: Tracker, body: string): LocalAnswer {
  return answerReport(body, ({ metric, value, flagKey, tags = null }) => {
    if (typeof value !== 'number') throw badInput('value', 'A value must be a finite number.');
    if (typeof flagKey !== 'string') throw badInput('flagKey', 'A flag key must be a string.');
    tracker.track(metric, value, { flagKey, tags: tags ?? undefined });
  });
}
