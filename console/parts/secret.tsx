/** A secret that is shown once, with a button that copies it. */
import { useId, useRef, useState } from 'preact/hooks';

interface SecretProps {
  readonly label: string;
  readonly hint: string;
  readonly secret: string;
  readonly copyWords: { readonly copy: string; readonly copied: string; readonly notCopied: string };
}

/** Shows a secret in a field that cannot be edited, and says whether it was copied. */
export function Secret({ label, hint, secret, copyWords }: SecretProps) {
  const id = useId();
  const input = useRef<HTMLInputElement>(null);
  const [outcome, setOutcome] = useState<'copied' | 'notCopied' | null>(null);
  const copy = () => {
    input.current?.select();
    // Over HTTP, browsers give pages no clipboard.
    const clipboard: Clipboard | undefined = navigator.clipboard;
    if (clipboard === undefined) setOutcome('notCopied');
    else
      clipboard.writeText(secret).then(
        () => setOutcome('copied'),
        () => setOutcome('notCopied'),
      );
  };
  return (
    <div class="field secret">
      <label for={id}>{label}</label>
      <div class="secret-line">
        <input
          ref={input}
          id={id}
          type="text"
          readOnly
          aria-describedby={`${id}-about`}
          value={secret}
          onFocus={(event) => event.currentTarget.select()}
        />
        <button type="button" class="button" onClick={copy}>
          {copyWords.copy}
        </button>
      </div>
      <p id={`${id}-about`} class="quiet field-about">
        {hint}
      </p>
      <p role="status">{outcome !== null && copyWords[outcome]}</p>
    </div>
  );
}
