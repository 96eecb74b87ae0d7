import type { TargetedEvent } from 'preact';

/** The submit event of a form, whose `currentTarget` is the form. */
export type TargetedSubmitEvent = TargetedEvent<HTMLFormElement, SubmitEvent>;
