/** The flag that a kill is about, and those that it concerns as well. */
import { flagPath } from '../../navigation/paths.ts';
import { Link } from '../../navigation/router.tsx';

/** The flags that a kill takes along, or may switch on. */
export function ConcernedFlags({
  flags,
  lead,
}: {
  readonly flags: readonly { readonly key: string; readonly name: string }[];
  readonly lead: (count: number) => string;
}) {
  if (flags.length === 0) return null;
  return (
    <div class="notice">
      <p>{lead(flags.length)}</p>
      <ul>
        {flags.map(({ key, name }) => (
          <li key={key}>
            <Link to={flagPath(key)}>{name}</Link> <code>{key}</code>
          </li>
        ))}
      </ul>
    </div>
  );
}

/** Shows the name of a flag as a link to its page, and its key. */
export function FlagLine({ name, flagKey }: { readonly name: string; readonly flagKey: string }) {
  return (
    <p class="flag-sub">
      <Link to={flagPath(flagKey)}>{name}</Link> <code>{flagKey}</code>
    </p>
  );
}
