/** Hooks that run operations: a query with its latest answer, and a change with its outcome. */
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { sessionState } from '../session/session.ts';
import { useStore } from '../store.ts';
import { ask, change, type Operation } from './client.ts';
import type { Fault } from './fault.ts';
import { useNews, type News } from './live.ts';

/** News that come within this time of each other cause one query. Milliseconds. */
const COALESCE_MS = 150;

/** The state of a query, and the function that runs it again. */
export interface QueryState<Result> {
  /** The latest answer; it stays while another is awaited or has failed. */
  readonly data: Result | null;
  readonly fault: Fault | null;
  readonly loading: boolean;
  readonly refresh: () => void;
}

/** The reasons to run a query again by itself. */
export interface QueryOptions {
  /** The news after which the query is run again. By default none but that of a lost connection. */
  readonly concerns?: (news: News) => boolean;
  /** Milliseconds between two runs; absent: it is not repeated. */
  readonly everyMs?: number | undefined;
}

const nothing = () => false;

/**
 * Runs a query, again whenever its variables change, news concern it, or another session begins.
 *
 * @param variables null: there is nothing to ask yet
 */
export function useQuery<Result, Variables extends object>(
  operation: Operation<Result, Variables>,
  variables: Variables | null,
  { concerns = nothing, everyMs }: QueryOptions = {},
): QueryState<Result> {
  const { session, ended } = useStore(sessionState);
  const asked = variables === null ? null : JSON.stringify(variables);
  const [state, setState] = useState<{ data: Result | null; fault: Fault | null; of: string | null }>({
    data: null,
    fault: null,
    of: null,
  });
  const [round, setRound] = useState(0);
  const token = ended ? null : (session?.token ?? null);

  useEffect(() => {
    if (variables === null || token === null) return;
    let current = true;
    ask(operation, variables)
      .then(({ data, fault }) => {
        // An ended session asks to sign in again; the page below it keeps what it shows.
        if (!current || fault?.code === 'UNAUTHENTICATED') return;
        setState((before) => ({ data: data ?? (before.of === asked ? before.data : null), fault, of: asked }));
      })
      .catch(reportError);
    return () => {
      current = false;
    };
    // `asked` stands for the variables.
  }, [operation, asked, token, round]);

  const refresh = useCallback(() => setRound((before) => before + 1), []);
  const waiting = useRef<ReturnType<typeof setTimeout> | null>(null);
  useNews(concerns, () => {
    waiting.current ??= setTimeout(() => {
      waiting.current = null;
      refresh();
    }, COALESCE_MS);
  });
  useEffect(() => () => void (waiting.current !== null && clearTimeout(waiting.current)), []);
  useEffect(() => {
    if (everyMs === undefined) return;
    const timer = setInterval(() => {
      if (document.visibilityState === 'visible') refresh();
    }, everyMs);
    return () => clearInterval(timer);
  }, [everyMs, refresh]);

  return { data: state.data, fault: state.fault, loading: variables !== null && state.of !== asked, refresh };
}

/** The state of a mutation. `forget` takes its fault from the page. */
export interface ChangeState {
  readonly sending: boolean;
  readonly fault: Fault | null;
  readonly forget: () => void;
}

/** Gives a function that sends a mutation, and its state. What the control plane refuses stays in `fault`. */
export function useChange<Result, Variables extends object>(
  operation: Operation<Result, Variables>,
  done: (data: Result) => void,
): [(variables: Variables) => void, ChangeState] {
  const [sending, setSending] = useState(false);
  const [fault, setFault] = useState<Fault | null>(null);
  const latest = useRef(done);
  latest.current = done;
  const busy = useRef(false);
  const send = (variables: Variables) => {
    // A second press of the button while the first is under way.
    if (busy.current) return;
    busy.current = true;
    setSending(true);
    setFault(null);
    change(operation, variables)
      .then((answer) => {
        if (answer.fault === null) latest.current(answer.data);
        else setFault(answer.fault);
      })
      .finally(() => {
        busy.current = false;
        setSending(false);
      })
      .catch(reportError);
  };
  return [send, { sending, fault, forget: () => setFault(null) }];
}
