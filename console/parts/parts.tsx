/** Small parts that the pages are made of. */
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';
import type { Fault } from '../api/fault.ts';
import { useWords } from '../words/language.ts';

interface PageProps {
  readonly title: string;
  /**
   * The name of the thing that the page is about, where the title does not say it: for the title of the browser's tab.
   */
  readonly about?: string | undefined;
  /** Stands beside the title, such as buttons. */
  readonly beside?: ComponentChildren;
  readonly children: ComponentChildren;
}

/** Names the browser's tab after what it shows. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · FleetFlag`;
  }, [title]);
}

/** Gives the element with the focus; null where nothing has it, and the keyboard begins at the top. */
const focusedElement = () => (document.activeElement === document.body ? null : document.activeElement);

/** A page's title and content. The title gets the focus on a new page, and when what had it is gone, such as a form. */
export function Page({ title, about, beside, children }: PageProps) {
  const heading = useRef<HTMLHeadingElement>(null);
  /** The last element that had the focus, since the page is there. */
  const focused = useRef<Element | null>(null);
  useTitle(about === undefined ? title : `${about} · ${title}`);
  useEffect(() => {
    const note = () => {
      focused.current = focusedElement() ?? focused.current;
    };
    note();
    document.addEventListener('focusin', note);
    return () => document.removeEventListener('focusin', note);
  }, []);
  useEffect(() => {
    // So that a screen reader goes on with the page. Who has clicked beside everything has lost nothing.
    if (focusedElement() === null && focused.current?.isConnected !== true)
      heading.current?.focus({ preventScroll: true });
  });
  return (
    <>
      <div class="page-head">
        <h1 ref={heading} tabIndex={-1}>
          {title}
        </h1>
        {beside !== undefined && <div class="page-beside">{beside}</div>}
      </div>
      {children}
    </>
  );
}

/** Says what failed and what to do about it, in the reader's language; below it the control plane's own words. */
export function FaultNotice({ fault, retry }: { readonly fault: Fault; readonly retry?: (() => void) | undefined }) {
  const { words, formats } = useWords();
  const { title, advice } = words.faults[fault.code];
  return (
    <div class="notice notice-fault" role="alert">
      <p>
        <strong>{title}</strong> {advice}
        {fault.retryAfter !== null && ` ${words.faultRetryAfter(formats.number(fault.retryAfter))}`}
      </p>
      {fault.message !== '' && (
        <p class="quiet">
          <span lang="en">{fault.message}</span>
          {fault.requestId !== null && ` · ${words.faultRequest(fault.requestId)}`}
        </p>
      )}
      {retry !== undefined && (
        <button type="button" class="button" onClick={retry}>
          {words.tryAgain}
        </button>
      )}
    </div>
  );
}

/** A time in the viewer's zone, with the offset. */
export function Time({ at }: { readonly at: string }) {
  const { formats } = useWords();
  return <time dateTime={at}>{formats.time(at)}</time>;
}

export type BadgeTone = 'plain' | 'accent' | 'danger' | 'faint' | 'strong';

/** A word or two in a frame, such as a state. */
export function Badge({
  tone = 'plain',
  children,
}: {
  readonly tone?: BadgeTone;
  readonly children: ComponentChildren;
}) {
  return <span class={`badge badge-${tone}`}>{children}</span>;
}

interface FieldProps {
  readonly label: string;
  readonly hint?: ComponentChildren;
  /** Names what is wrong with the value. */
  readonly wrong?: string | null | undefined;
  /** Gives the control; it takes the id, and names the hint and the fault as its description. */
  readonly children: (control: {
    id: string;
    'aria-describedby': string;
    'aria-invalid': boolean;
  }) => ComponentChildren;
}

/** A form's control with its label, its hint and what is wrong with it. */
export function Field({ label, hint, wrong, children }: FieldProps) {
  const id = useId();
  const isWrong = wrong !== null && wrong !== undefined;
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children({ id, 'aria-describedby': `${id}-about`, 'aria-invalid': isWrong })}
      <div id={`${id}-about`} class="field-about">
        {isWrong && <p class="field-wrong">{wrong}</p>}
        {hint !== undefined && <p class="quiet">{hint}</p>}
      </div>
    </div>
  );
}

/** The sentence that stands where something is being read. */
export function Loading() {
  const { words } = useWords();
  return (
    <p class="quiet loading" role="status">
      {words.loading}
    </p>
  );
}

interface ProgressProps {
  readonly label: string;
  /** 0 to 100. */
  readonly percent: number;
}

/** A bar; its numbers stand beside it, in words. */
export function ProgressBar({ label, percent }: ProgressProps) {
  return <progress max={100} value={percent} aria-label={label} />;
}

interface ResultsProps {
  /** The number of what was found, in words. */
  readonly count: string;
  /** Says that nothing was found; null where something was. */
  readonly none: string | null;
  readonly children: ComponentChildren;
}

/** The result of a search: how many were found and the table of them, or that there are none. */
export function Results({ count, none, children }: ResultsProps) {
  return (
    <>
      <p class="quiet count" role="status">
        {count}
      </p>
      {none === null ? children : <p class="empty">{none}</p>}
    </>
  );
}
