/** The filters of the audit log: kind, flag, person and period. What is chosen stands in the page's address. */
import { useId } from 'preact/hooks';
import { useQuery } from '../api/use-query.ts';
import { PersonDocument } from '../generated/operations.ts';
import { localTime } from '../parts/local-time.ts';
import { SearchField } from '../parts/search-field.tsx';
import { Select } from '../parts/select.tsx';
import { useWords } from '../words/language.ts';
import { momentOf, type AuditChoice } from './audit-choice.ts';

interface AuditFiltersProps {
  readonly chosen: AuditChoice;
  readonly choose: (next: Partial<AuditChoice>) => void;
}

interface TimeFieldProps {
  readonly label: string;
  /** ISO 8601, or null. */
  readonly time: string | null;
  readonly choose: (time: string | null) => void;
}

function TimeField({ label, time, choose }: TimeFieldProps) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input
        id={id}
        type="datetime-local"
        value={time === null ? '' : localTime(new Date(time))}
        onChange={(event) => choose(momentOf(event.currentTarget.value))}
      />
    </div>
  );
}

/** Names the person whose entries are shown, with a button that shows those of all. */
function ChosenPerson({ id, all }: { readonly id: string; readonly all: () => void }) {
  const { words } = useWords();
  const { data } = useQuery(PersonDocument, { id });
  const person = data?.node !== null && data?.node !== undefined && 'name' in data.node ? data.node.name : id;
  return (
    <p class="notice">
      <span>{words.entriesOf(person)}</span>
      <button type="button" class="button" onClick={all}>
        {words.entriesOfAll}
      </button>
    </p>
  );
}

/** The fields by which entries of the audit log are found. */
export function AuditFilters({ chosen, choose }: AuditFiltersProps) {
  const { words } = useWords();
  const actions = Object.entries(words.actions).sort(([, one], [, other]) => one.localeCompare(other));
  return (
    <form class="filters" role="search" onSubmit={(event) => event.preventDefault()}>
      <SearchField label={words.keyOfFlag} value={chosen.flag} search={(flag) => choose({ flag })} />
      <div class="filter-row">
        <Select
          label={words.fields.action}
          value={chosen.action}
          none={words.any}
          options={actions}
          onChoose={(action) => choose({ action })}
        />
        <TimeField label={words.fromTime} time={chosen.from} choose={(from) => choose({ from })} />
        <TimeField label={words.toTime} time={chosen.to} choose={(to) => choose({ to })} />
      </div>
      {chosen.person === null ? (
        <SearchField label={words.nameOfPerson} value={chosen.name} search={(name) => choose({ name })} />
      ) : (
        <ChosenPerson id={chosen.person} all={() => choose({ person: null })} />
      )}
    </form>
  );
}
