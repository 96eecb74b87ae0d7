/**
 * Histories of runs with faults: what clients requested and were answered, what vehicles held, and which faults were
 * injected, one JSON object a line. All times are milliseconds of the machine's monotonic clock, which is the same in
 * all of its processes.
 */

/** A request of a client. */
export type Call =
  | { readonly op: 'set'; readonly flag: string; readonly value: number; readonly expected: number | null }
  | { readonly op: 'enable' | 'disable'; readonly flag: string; readonly expected: number | null }
  | { readonly op: 'kill' | 'release'; readonly flag: string; readonly reason: string }
  | { readonly op: 'propose'; readonly flag: string; readonly value: number }
  | { readonly op: 'approve' | 'approve-own' | 'reject'; readonly request: string }
  | { readonly op: 'read'; readonly flag: string }
  | { readonly op: 'report'; readonly vin: string; readonly batch: string; readonly items: number }
  | { readonly op: 'schedule'; readonly flag: string; readonly percentages: readonly number[] };

/** The content of a flag as far as it is compared. */
export interface FlagView {
  readonly revision: number;
  readonly value: number;
  readonly enabled: boolean;
  readonly killed: boolean;
}

/** An answer. */
export type Answer =
  | {
      readonly ok: true;
      /** The flag in the answer to a change or a read; null where a read found none. */
      readonly flag?: FlagView | null;
      /** Whether a change was made, and does not wait for a second person. */
      readonly applied?: boolean;
      /** The id of the change request, or of the rollout. */
      readonly id?: string;
    }
  | {
      readonly ok: false;
      /** The code of the error, or the fault of the connection. */
      readonly code: string;
      /** Whether the code says that nothing was changed. */
      readonly isRefusal: boolean;
    };

/** A flag in a vehicle: its key, the held revision, the served one, and whether that stops it. */
export type HeldEntry = readonly [key: string, held: number, served: number, stopped: boolean];

/** One line of a history. */
export type Entry =
  | { readonly kind: 'call'; readonly at: number; readonly id: number; readonly client: string; readonly call: Call }
  | { readonly kind: 'answer'; readonly at: number; readonly id: number; readonly answer: Answer }
  /** A vehicle has begun with what its store held: nothing, or the flags of a revision. */
  | { readonly kind: 'start'; readonly at: number; readonly vin: string; readonly revision: number }
  /** A vehicle has applied a state. `flags` are those that changed since its line before. */
  | {
      readonly kind: 'state';
      readonly at: number;
      readonly vin: string;
      readonly revision: number;
      readonly complete: boolean;
      readonly flags: readonly HeldEntry[];
      readonly gone: readonly string[];
    }
  /** A vehicle has refused data. */
  | { readonly kind: 'refusal'; readonly at: number; readonly vin: string; readonly reason: string }
  /** A process has ended though nobody ended it, or its last handler has seen a failure. */
  | { readonly kind: 'unforeseen'; readonly at: number; readonly part: string; readonly detail: string }
  | { readonly kind: 'fault'; readonly at: number; readonly phase: 'begin' | 'end'; readonly name: string }
  /** Faults have ended, and everything has to come back: whether it did, and after how many milliseconds. */
  | {
      readonly kind: 'calm';
      readonly at: number;
      readonly revision: number;
      readonly tookMs: number;
      readonly missing: readonly string[];
    };

/** The content of an environment, read from the tables when everything had ended. */
export interface Truth {
  /** The environment's revision. */
  readonly revision: number;
  /** Each flag after each of its changes, in the order of revisions. */
  readonly versions: readonly (FlagView & {
    readonly flag: string;
    /** The account that made the change. */
    readonly by: string | null;
    /** The reasons of the kill switches that hold the flag. */
    readonly reasons: readonly string[];
    /** The percentage of its rollout; null where it has none. */
    readonly percentage: number | null;
  })[];
  /** The flags as vehicles get them: key and revision. */
  readonly living: readonly (readonly [key: string, revision: number])[];
  /** The rows of the audit log that record a change of a flag: flag and action, in their order. */
  readonly audit: readonly { readonly flag: string; readonly action: string; readonly by: string | null }[];
  readonly isAuditIntact: boolean;
  /** Flags under four-eyes review. */
  readonly reviewed: readonly string[];
  readonly requests: readonly {
    readonly id: string;
    readonly flag: string;
    readonly value: number;
    readonly status: string;
    readonly requestedBy: string;
    readonly reviewedBy: string | null;
  }[];
  readonly steps: readonly {
    readonly rollout: string;
    readonly flag: string;
    readonly position: number;
    readonly percentage: number;
    readonly appliedAt: string | null;
    readonly revision: number | null;
  }[];
  /** The stored measurements of each vehicle. */
  readonly measurements: Readonly<Record<string, number>>;
  /** Vehicles that the control plane takes for connected, and those that are. */
  readonly online: readonly string[];
  readonly connected: readonly string[];
}

/** The accounts of the clients, by their names in the history. */
export type ClientAccounts = Readonly<Record<string, string>>;

/** A history with the state after it. */
export interface Recording {
  readonly entries: readonly Entry[];
  readonly truth: Truth;
}

/** A request with its answer; null where none came. */
export interface Exchange {
  readonly client: string;
  readonly call: Call;
  readonly from: number;
  /** Infinity where no answer came. */
  readonly until: number;
  readonly answer: Answer | null;
}

/** Pairs requests with their answers, in the order of the requests. */
export function exchangesOf(entries: readonly Entry[]): Exchange[] {
  const answers = new Map<number, { at: number; answer: Answer }>();
  for (const entry of entries) if (entry.kind === 'answer') answers.set(entry.id, entry);
  return entries.flatMap((entry) => {
    if (entry.kind !== 'call') return [];
    const answered = answers.get(entry.id);
    const { client, call, at } = entry;
    return [{ client, call, from: at, until: answered?.at ?? Infinity, answer: answered?.answer ?? null }];
  });
}

/** A breach of a law. */
export interface Finding {
  readonly law: string;
  readonly detail: string;
}

/** A law: gives its breaches in a recording. */
export type Law = (recording: Recording, exchanges: readonly Exchange[]) => Finding[];
