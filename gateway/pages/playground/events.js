/** A subscription over a websocket, shown as the list of its events. */
import { createClient } from './graphql-ws/client.js';
import { failure } from './request.js';
import { credentials } from './session.js';

/** The most events that are shown, and their most characters together, so that the pane stays fast for days. */
const MAX_EVENTS = 100;
const MAX_CHARACTERS = 200_000;
/** The least time between two updates of the pane, in milliseconds: more would make it unreadable. */
const PAUSE_MS = 250;

const message = (error) =>
  Array.isArray(error)
    ? { errors: error }
    : error instanceof CloseEvent
      ? failure(error.reason || 'The connection was lost, and could not be made again.', { closeCode: error.code })
      : failure(error instanceof Error ? error.message : 'The websocket could not be opened.');

/** The events of one subscription, newest first. */
class EventList {
  received = 0;
  #events = [];
  #characters = 0;

  add(result) {
    const event = { at: new Date().toISOString(), ...result };
    const characters = JSON.stringify(event).length;
    this.received += 1;
    this.#characters += characters;
    this.#events.unshift({ event, characters });
    while (this.#events.length > MAX_EVENTS || (this.#characters > MAX_CHARACTERS && this.#events.length > 1))
      this.#characters -= this.#events.pop().characters;
  }

  view(state) {
    return {
      subscription: state,
      received: this.received,
      ...(this.received > this.#events.length && { shown: this.#events.length }),
      events: this.#events.map(({ event }) => event),
    };
  }
}

/** Gives a subscription as an observable, which is what GraphiQL stops with its button. */
export const eventsOf = (request, typed) => ({
  subscribe(observer) {
    const list = new EventList();
    let state = 'connecting';
    let hasEnded = false;
    let timer = null;
    const show = (extra = {}) => observer.next({ ...list.view(state), ...extra });
    const showSoon = () => {
      timer ??= setTimeout(() => {
        timer = null;
        show();
      }, PAUSE_MS);
    };
    const client = createClient({
      url: `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/graphql`,
      connectionParams: () => credentials(typed),
      on: {
        connected() {
          state = 'open';
          show();
        },
        closed() {
          if (hasEnded) return;
          state = 'reconnecting: events meanwhile are missing';
          show();
        },
      },
    });
    const end = (finalState, extra) => {
      hasEnded = true;
      clearTimeout(timer);
      state = finalState;
      show(extra);
      observer.complete();
      void client.dispose();
    };
    const unsubscribe = client.subscribe(request, {
      next(result) {
        list.add(result);
        showSoon();
      },
      error: (error) => end('failed', message(error)),
      complete: () => end('ended'),
    });
    show();
    return {
      unsubscribe() {
        hasEnded = true;
        clearTimeout(timer);
        unsubscribe();
        void client.dispose();
      },
    };
  },
});
