/** A button or a link for an act that may not be possible. It then stays where it is, and says why. */
import type { ComponentChildren } from 'preact';
import { useId, useState } from 'preact/hooks';
import { Link } from '../navigation/router.tsx';

interface OfferProps {
  /** The reason why it is not possible; null: it is. */
  readonly why: string | null;
  /** The name for screen readers, where the text alone does not say which thing is meant. */
  readonly label?: string | undefined;
  readonly class?: string;
  /** The page that it leads to. */
  readonly to?: string;
  readonly onClick?: () => void;
  readonly children: ComponentChildren;
}

/** Shows a link where `to` is given and a button otherwise; where `why` is given, a button that only says it. */
export function Offer({ why, label, class: look = 'button', to, onClick, children }: OfferProps) {
  const id = useId();
  const [isAsked, setIsAsked] = useState(false);
  if (why !== null)
    return (
      <span class="offer">
        {/* Not `disabled`: who comes by keyboard or taps on a phone has to learn the reason as well. */}
        <button
          type="button"
          class={look}
          aria-disabled="true"
          aria-label={label}
          aria-describedby={isAsked ? id : undefined}
          title={why}
          onClick={() => setIsAsked(true)}
        >
          {children}
        </button>
        <span id={id} role="status" class="offer-why">
          {isAsked && why}
        </span>
      </span>
    );
  if (to !== undefined)
    return (
      <Link to={to} class={look} aria-label={label}>
        {children}
      </Link>
    );
  return (
    <button type="button" class={look} aria-label={label} onClick={onClick}>
      {children}
    </button>
  );
}
