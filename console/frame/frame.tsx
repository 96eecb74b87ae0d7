/** The frame of every page: navigation, changes that wait, whether news arrive, the account, the kill switch. */
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { connection } from '../api/client.ts';
import { useChange, useQuery } from '../api/use-query.ts';
import { SignOutDocument, WaitingCountDocument } from '../generated/operations.ts';
import { flagKeyIn, flagPath } from '../navigation/paths.ts';
import { Link, usePlace } from '../navigation/router.tsx';
import { Select } from '../parts/select.tsx';
import { SignInAgain } from '../session/sign-in.tsx';
import { forgetSession, may, sessionState, type Session } from '../session/session.ts';
import { useStore } from '../store.ts';
import { THEMES, chooseTheme, theme } from './theme.ts';
import { LanguageChoice } from '../words/language-choice.tsx';
import { useWords } from '../words/language.ts';

/** The rooms for administrators alone. */
const ADMINISTRATION = [
  ['accounts', '/accounts'],
  ['apiKeys', '/keys'],
  ['operations', '/operations'],
  ['webhooks', '/webhooks'],
] as const;

/** The number of things that wait for a second person; nothing where none does. */
function Waiting({ count }: { readonly count: number }) {
  const { words, formats } = useWords();
  if (count === 0) return null;
  return (
    <span class="waiting-count">
      <span aria-hidden="true">{formats.number(count)}</span>
      <span class="hidden">{words.changesWait(count)}</span>
    </span>
  );
}

function Navigation() {
  const { session } = useStore(sessionState);
  const { words } = useWords();
  const { path } = usePlace();
  const { data } = useQuery(WaitingCountDocument, {}, { concerns: ({ about }) => about === 'request' });
  const policies = [data?.production, data?.staging, data?.development];
  const current = (prefix: string) => (path.startsWith(prefix) ? 'page' : undefined);
  const nav = useRef<HTMLElement>(null);
  useEffect(() => {
    // On a phone the rooms are a line that scrolls. By `scrollIntoView` the page would scroll as well.
    const room = nav.current?.querySelector<HTMLElement>('[aria-current]') ?? null;
    if (nav.current !== null && room !== null)
      nav.current.scrollLeft = room.offsetLeft + (room.offsetWidth - nav.current.clientWidth) / 2;
  }, [path, session]);
  return (
    <nav ref={nav} class="side" aria-label={words.navigation}>
      <ul>
        <li>
          <Link to="/flags" aria-current={current('/flags')}>
            {words.flags}
          </Link>
        </li>
        <li>
          <Link to="/segments" aria-current={current('/segments')}>
            {words.segments}
          </Link>
        </li>
        <li>
          <Link to="/changes" aria-current={current('/changes')}>
            {words.waitingChanges}
            <Waiting count={data?.changeRequestCount ?? 0} />
          </Link>
        </li>
        <li>
          <Link to="/rollouts" aria-current={current('/rollouts')}>
            {words.rollouts.title}
          </Link>
        </li>
        <li>
          <Link to="/experiments" aria-current={current('/experiments')}>
            {words.experiments.title}
          </Link>
        </li>
        <li>
          <Link to="/fleet" aria-current={current('/fleet')}>
            {words.fleet}
          </Link>
        </li>
        <li>
          <Link to="/audit" aria-current={current('/audit')}>
            {words.auditLog}
          </Link>
        </li>
        <li>
          <Link to="/policies" aria-current={current('/policies')}>
            {words.policies}
            <Waiting count={policies.filter((policy) => policy?.proposal != null).length} />
          </Link>
        </li>
        <li>
          <Link to="/health" aria-current={current('/health')}>
            {words.health}
          </Link>
        </li>
        {may(session, 'administer') &&
          ADMINISTRATION.map(([room, to]) => (
            <li key={to}>
              <Link to={to} aria-current={current(to)}>
                {words[room]}
              </Link>
            </li>
          ))}
      </ul>
    </nav>
  );
}

function ConnectionState() {
  const { words } = useWords();
  const state = useStore(connection);
  return (
    <p class={`connection connection-${state}`} role="status">
      {words.connection[state]}
    </p>
  );
}

function Account({ session }: { readonly session: Session }) {
  const { words } = useWords();
  const chosen = useStore(theme);
  const [signOut, { sending }] = useChange(SignOutDocument, forgetSession);
  const { path } = usePlace();
  const menu = useRef<HTMLDetailsElement>(null);
  const close = () => menu.current?.removeAttribute('open');
  // It would lie over the page that was chosen in it.
  useEffect(close, [path]);
  return (
    <details
      ref={menu}
      class="menu"
      onKeyDown={(event) => {
        if (event.key !== 'Escape') return;
        close();
        menu.current?.querySelector('summary')?.focus();
      }}
      onFocusOut={({ currentTarget, relatedTarget }) => {
        if (relatedTarget instanceof Node && !currentTarget.contains(relatedTarget)) close();
      }}
    >
      <summary>{session.name}</summary>
      <div class="menu-content">
        <p>
          {session.email}
          <br />
          <span class="quiet">{words.roles[session.role]}</span>
        </p>
        <Select
          label={words.theme}
          value={chosen}
          options={THEMES.map((one) => [one, words.themes[one]])}
          onChoose={(next) => chooseTheme(next ?? 'system')}
        />
        <LanguageChoice />
        <Link to="/password" class="button">
          {words.changeOwnPassword}
        </Link>
        <button type="button" class="button" disabled={sending} onClick={() => signOut({})}>
          {words.signOut}
        </button>
      </div>
    </details>
  );
}

/**
 * Leads to the kill switch of the flag that is shown, or to the choice of one. It is at the same place on every page.
 */
function KillButton() {
  const { words } = useWords();
  const { path } = usePlace();
  const key = flagKeyIn(path);
  return (
    <Link to={key === null ? '/kill' : flagPath(key, '/kill')} class="button button-kill">
      {words.killShort}
    </Link>
  );
}

interface FrameProps {
  readonly session: Session;
  readonly ended: boolean;
  readonly children: ComponentChildren;
}

/**
 * Shows a page within the frame. Takes the session, and whether it has ended, in which case a dialog asks for the
 * password.
 */
export function Frame({ session, ended, children }: FrameProps) {
  const { words } = useWords();
  return (
    <>
      <a class="skip" href="#content">
        {words.skip}
      </a>
      <header class="top">
        <Link to="/flags" class="brand">
          {words.product}
        </Link>
        <ConnectionState />
        <Account session={session} />
        <KillButton />
      </header>
      <Navigation />
      <main id="content" tabIndex={-1}>
        {children}
      </main>
      {ended && <SignInAgain session={session} />}
    </>
  );
}
