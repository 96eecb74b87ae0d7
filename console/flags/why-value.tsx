/** The reason why one vehicle gets its value of a flag: each rule, whether it matched, and by which condition. */
import { useState } from 'preact/hooks';
import { Explanation } from '../fleet/explanation.tsx';
import type { TargetedSubmitEvent } from '../navigation/events.ts';
import { Field } from '../parts/parts.tsx';
import { useWords } from '../words/language.ts';

const VIN = /^[0-9A-HJ-NPR-Z]{17}$/;

/** Shows a field for a VIN, and then why that vehicle gets its value of the flag. */
export function WhyValue({ flagKey }: { readonly flagKey: string }) {
  const { words } = useWords();
  const [typed, setTyped] = useState('');
  const [asked, setAsked] = useState<string | null>(null);
  const [isWrong, setIsWrong] = useState(false);
  const submit = (event: TargetedSubmitEvent) => {
    event.preventDefault();
    const vin = typed.trim().toUpperCase();
    setIsWrong(!VIN.test(vin));
    setAsked(VIN.test(vin) ? vin : null);
  };
  return (
    <section class="panel" aria-labelledby="why-title">
      <h2 id="why-title">{words.forms.whyTitle}</h2>
      <form class="form" onSubmit={submit} noValidate>
        <Field label={words.forms.whyVin} hint={words.forms.whyVinHint} wrong={isWrong ? words.forms.vinInvalid : null}>
          {(control) => (
            <div class="with-button">
              <input
                {...control}
                type="text"
                maxLength={20}
                autocomplete="off"
                autocapitalize="characters"
                spellcheck={false}
                value={typed}
                onInput={(event) => {
                  setTyped(event.currentTarget.value);
                  setIsWrong(false);
                }}
              />
              <button type="submit" class="button">
                {words.forms.explain}
              </button>
            </div>
          )}
        </Field>
      </form>
      {asked !== null && <Explanation key={asked} flagKey={flagKey} vin={asked} />}
    </section>
  );
}
