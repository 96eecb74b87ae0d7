/**
 * Several changes of one environment's flags as one: one transaction, consecutive revisions, one request where any of
 * them needs a second person. What they come to is checked at the end, not what each leaves in between. Source:
 * scopes.md, "Change sets".
 */
import { randomUUID } from 'node:crypto';
import type { Environment, JsonValue } from '../../../../core/model.ts';
import type { AuditAction } from '../../../shared/audit/audit-log.ts';
import type { Flag } from '../../flags/flag.ts';
import type { FaultPlace } from '../../partitions/dependencies.ts';
import type { Warning } from '../../partitions/registered-models.ts';
import type { FlagEdit, GivenScope } from '../change.ts';
import type { SignedForms } from '../flag-writing.ts';
import type { ChangeRequest } from '../requests/change-request.ts';

/** A flag that a set creates. `place` is where its faults are. */
export interface FlagCreation {
  readonly newFlag: (at: Date) => Flag;
  readonly place: FaultPlace;
}

/** An edit of a set; `path` is the place of the change in the caller's list. */
export interface SetEdit extends FlagEdit {
  readonly path: string;
  readonly place: FaultPlace;
}

/** A flag under its lock that stays as it is and is signed again, because what it names has changed. */
export interface Resigning {
  readonly resigned: Flag;
  /** The flag in the form that vehicles have and will have; null where these are the same, and nothing is signed. */
  readonly forms: SignedForms | null;
  readonly entry: ChangeEntry;
}

/** The thing that a set changes beside flags, under its lock: a segment that they name. */
export interface SharedChange extends ChangeEntry {
  /** Writes it, before the flags are signed. `by` is the acting person; null for the control plane. */
  readonly write: (by: string | null) => Promise<void>;
  /** Whether the log has an entry for it, beside those of the flags. */
  readonly isRecorded: boolean;
}

/** Changes that are made together or not at all. */
export interface ChangeSet {
  /** The environment of the changes; null where all are `Resigning`, whose flags may live in several. */
  readonly environment: Environment | null;
  readonly changes: readonly (SetEdit | FlagCreation | Resigning)[];
  readonly shared?: SharedChange | undefined;
  /** The environment's revision that the caller has seen. Any newer one makes the set a CONFLICT. */
  readonly expectedRevision?: number | null | undefined;
  /** Whether the changes may disturb running experiments. */
  readonly force?: boolean | null | undefined;
}

/** The outcome of a set: its flags as they are now, and the one request where the set waits for a second person. */
export interface ChangeSetOutcome {
  /** Names the set in the audit log; where it waits, the id of its request. */
  readonly id: string;
  readonly flags: readonly Flag[];
  readonly applied: boolean;
  readonly changeRequest: ChangeRequest | null;
  /** The environment's revision after the set; null where it waits, and for a set of no or several environments. */
  readonly revision: number | null;
  readonly warnings: readonly Warning[];
  /** The scopes that the caller has given, for warnings. */
  readonly given?: readonly GivenScope[] | undefined;
}

/** Gives the outcome of a set that changes nothing. */
export const unchanged = (): ChangeSetOutcome => ({
  ...{ id: randomUUID(), flags: [], applied: true, changeRequest: null, revision: null, warnings: [] },
});

/** One row of the audit log about a change. */
export interface ChangeEntry {
  readonly action: AuditAction;
  readonly before: JsonValue;
  readonly after: JsonValue;
}

/** The flags as a set has written them, and whether it has pulled a kill switch. */
export interface WrittenSet {
  readonly flags: readonly Flag[];
  readonly isKill: boolean;
}
