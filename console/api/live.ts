/** The news of the control plane, as subscriptions bring it: pages ask again for what it is about. */
import { useEffect, useRef } from 'preact/hooks';
import { FlagNewsDocument, RequestNewsDocument } from '../generated/operations.ts';
import { sessionState } from '../session/session.ts';
import { ENVIRONMENTS } from './environments.ts';
import { closeSocket, connection, follow } from './client.ts';

/** A flag or a change request has changed; `everything`: the connection was lost, and news with it. */
export type News = { readonly about: 'flag'; readonly key: string } | { readonly about: 'request' | 'everything' };

const listeners = new Set<(news: News) => void>();

/** Gives every listener the news. A page does so itself after a change of its own, to be ahead of the stream. */
export function publish(news: News): void {
  for (const listener of [...listeners]) listener(news);
}

/** Calls `listener` with each piece of news that `concerns` accepts, for as long as the component is shown. */
export function useNews(concerns: (news: News) => boolean, listener: () => void): void {
  const latest = useRef({ concerns, listener });
  latest.current = { concerns, listener };
  useEffect(() => {
    const take = (news: News) => {
      if (news.about === 'everything' || latest.current.concerns(news)) latest.current.listener();
    };
    listeners.add(take);
    return () => void listeners.delete(take);
  }, []);
}

/** Follows the news for as long as somebody is signed in. */
export function startNews(): void {
  let stops: (() => void)[] = [];
  let token: string | null = null;
  const apply = () => {
    const { session, ended } = sessionState.get();
    const wanted = ended ? null : (session?.token ?? null);
    if (wanted === token) return;
    token = wanted;
    for (const stop of stops) stop();
    stops = [];
    closeSocket();
    if (wanted === null) return;
    for (const environment of ENVIRONMENTS)
      stops.push(
        follow(FlagNewsDocument, { environment }, ({ flagChanges }) =>
          publish({ about: 'flag', key: flagChanges.flag.key }),
        ),
      );
    stops.push(follow(RequestNewsDocument, {}, () => publish({ about: 'request' })));
  };
  sessionState.subscribe(apply);
  let wasLost = false;
  connection.subscribe(() => {
    const state = connection.get();
    if (state === 'live' && wasLost) publish({ about: 'everything' });
    wasLost = state === 'lost';
  });
  apply();
}
