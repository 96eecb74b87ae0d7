/** The table of flags, which knows no client. */
import { useState } from 'react';
import type { ListedFlagFragment } from './generated/operations.ts';
import { sentenceFor } from './refusals.ts';

interface FlagTableProps {
  readonly flags: readonly ListedFlagFragment[];
  readonly total: number;
  /** A sentence about what kept the list from being read; empty without such. */
  readonly fault: string;
  /** Reads the next page; null where there is none. */
  readonly more: (() => void) | null;
  /** Switches a flag; gives a sentence about how it went. */
  readonly switchTo: (flag: ListedFlagFragment, enabled: boolean) => Promise<string>;
  /** Approves a change request; gives a sentence about how it went. */
  readonly approve: (id: string) => Promise<string>;
}

function stateOf({ enabled, killed }: ListedFlagFragment): string {
  if (killed) return 'killed';
  return enabled ? 'on' : 'off';
}

export function FlagTable({ flags, total, fault, more, switchTo, approve }: FlagTableProps) {
  const [notice, setNotice] = useState('');
  const say = (work: Promise<string>) => {
    work.then(setNotice, () => setNotice(sentenceFor([])));
  };
  return (
    <main>
      <h1>Flags</h1>
      <p role="status">{fault === '' ? notice : fault}</p>
      <table>
        <caption>
          {flags.length} of {total}
        </caption>
        <tbody>
          {flags.map((flag) => (
            <tr key={flag.key}>
              <th scope="row">{flag.name}</th>
              <td>{stateOf(flag)}</td>
              <td>
                <button type="button" onClick={() => say(switchTo(flag, !flag.enabled))}>
                  {flag.enabled ? 'Switch off' : 'Switch on'}
                </button>
              </td>
              <td>
                {flag.changeRequests.map(({ id, requestedBy }) => (
                  <p key={id}>
                    waits, requested by {requestedBy.email}{' '}
                    <button type="button" onClick={() => say(approve(id))}>
                      Approve
                    </button>
                  </p>
                ))}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {more !== null && (
        <button type="button" onClick={more}>
          More
        </button>
      )}
    </main>
  );
}
