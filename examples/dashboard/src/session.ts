/** The session of the person at the page: the token of `login`, kept in this tab. */
import { useSyncExternalStore } from 'react';

const KEY = 'fleetflag-example:token';
const listeners = new Set<() => void>();

/** Gives the token; null while nobody is signed in. */
export const token = (): string | null => sessionStorage.getItem(KEY);

/** Keeps a token; null signs out. */
export function keepToken(next: string | null): void {
  if (next === null) sessionStorage.removeItem(KEY);
  else sessionStorage.setItem(KEY, next);
  for (const listener of listeners) listener();
}

/** Gives the headers of a request, which are the members of connection_init as well. */
export function credentials(): Record<string, string> {
  const present = token();
  return present === null ? {} : { authorization: `Bearer ${present}` };
}

function listen(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Gives the token, and renders again when it changes. */
export const useToken = (): string | null => useSyncExternalStore(listen, token);
