/** The operations that programs with an API key may run: their texts, which keys, and their removal. */
import { useState } from 'preact/hooks';
import { useAuditNews } from '../../api/audit-news.ts';
import { useChange, useQuery } from '../../api/use-query.ts';
import { OperationsDocument, RemoveOperationsDocument, type OperationsQuery } from '../../generated/operations.ts';
import { keyPath, withQuery } from '../../navigation/paths.ts';
import { Link, goTo, usePlace } from '../../navigation/router.tsx';
import { ConfirmDialog } from '../../parts/confirm-dialog.tsx';
import { Fact, Facts } from '../../parts/facts.tsx';
import { Badge, FaultNotice, Loading, Page, Time } from '../../parts/parts.tsx';
import { SearchField } from '../../parts/search-field.tsx';
import { useAdministrationWords } from '../../words/use-administration-words.ts';

type Operation = OperationsQuery['persistedOperations'][number];

/** The most operations that are shown at once. There may be thousands; a search finds the others. */
const SHOWN = 100;

/** The button that removes an operation, and the question before it. */
function Removal({ operation, removed }: { readonly operation: Operation; readonly removed: () => void }) {
  const { own } = useAdministrationWords();
  const [isAsked, setAsked] = useState(false);
  const [remove, { sending, fault, forget }] = useChange(RemoveOperationsDocument, removed);
  const title = own.removeThisOperation(operation.name);
  return (
    <div class="buttons">
      <button type="button" class="button button-small" aria-label={title} onClick={() => setAsked(true)}>
        {own.removeOperation}
      </button>
      {isAsked && (
        <ConfirmDialog
          title={title}
          action={own.removeOperation}
          danger
          sending={sending}
          fault={fault}
          confirm={() => remove({ ids: [operation.id] })}
          close={() => {
            setAsked(false);
            forget();
          }}
        >
          <p>{own.removeLead}</p>
          <p class="quiet">{own.removeAgain}</p>
        </ConfirmDialog>
      )}
    </div>
  );
}

interface ItemProps {
  readonly operation: Operation;
  readonly isOpen: boolean;
  readonly removed: () => void;
}

function OperationItem({ operation, isOpen, removed }: ItemProps) {
  const { own } = useAdministrationWords();
  const { id, sha256, name, type, body, createdAt, apiKeys } = operation;
  return (
    <li>
      <details class="entry" open={isOpen}>
        <summary>
          <span class="entry-what">{name}</span>
          <Badge tone={type === 'MUTATION' ? 'strong' : 'plain'}>{own.operationTypes[type]}</Badge>
          <span class="quiet">{apiKeys.length === 0 ? own.everyKey : apiKeys.map((key) => key.name).join(', ')}</span>
        </summary>
        <div class="entry-content">
          <Facts>
            <Fact name={own.operationId}>
              <code class="breaking">{id}</code>
            </Fact>
            <Fact name={own.operationHash}>
              <code class="breaking">{sha256}</code>
            </Fact>
            <Fact name={own.registeredAt}>
              <Time at={createdAt} />
            </Fact>
            <Fact name={own.whoMayRun}>
              {apiKeys.length === 0 ? (
                own.everyKey
              ) : (
                <>
                  {own.keysOnly}{' '}
                  {apiKeys.map((key) => (
                    <span key={key.id}>
                      <Link to={keyPath(key.id)}>{key.name}</Link>{' '}
                    </span>
                  ))}
                </>
              )}
            </Fact>
          </Facts>
          {/* With the focus it can be scrolled by keyboard. */}
          <pre class="code" tabIndex={0} aria-label={name}>
            {body}
          </pre>
          <Removal operation={operation} removed={removed} />
        </div>
      </details>
    </li>
  );
}

/** Shows the page: a search, and the operations found, of which the address may name one to be open. */
export function OperationsPage() {
  const { words, own, formats } = useAdministrationWords();
  const { query } = usePlace();
  const given = new URLSearchParams(query);
  const [search, opened] = [given.get('search') ?? '', given.get('id')];
  const { data, fault, loading, refresh } = useQuery(OperationsDocument, {});
  useAuditNews((action) => /API_KEY$|_OPERATIONS$/.test(action) && refresh());
  const sought = search.toLowerCase();
  const found =
    data?.persistedOperations.filter(({ id, sha256, name, body }) =>
      opened !== null ? id === opened : [id, sha256, name, body].some((text) => text.toLowerCase().includes(sought)),
    ) ?? null;
  return (
    <Page
      title={words.operations}
      beside={
        <Link to="/operations/new" class="button button-main">
          {own.newOperations}
        </Link>
      }
    >
      <p class="quiet">{own.operationsLead}</p>
      {opened === null ? (
        <form class="filters" role="search" onSubmit={(event) => event.preventDefault()}>
          <SearchField
            label={own.searchOperations}
            value={search}
            search={(text) => goTo(withQuery('/operations', { search: text }), { replace: true })}
          />
        </form>
      ) : (
        <p>
          <Link to="/operations">{own.toOperations}</Link>
        </p>
      )}
      {fault !== null && <FaultNotice fault={fault} retry={refresh} />}
      {found === null && loading && <Loading />}
      {found !== null && (
        <section class="panel" aria-labelledby="operations-title">
          <h2 id="operations-title">{own.operationsFound(found.length, formats.number(found.length))}</h2>
          {found.length === 0 && <p class="quiet">{own.noOperationFound}</p>}
          <ul class="entries">
            {found.slice(0, SHOWN).map((operation) => (
              <OperationItem
                key={operation.id}
                operation={operation}
                isOpen={operation.id === opened}
                removed={refresh}
              />
            ))}
          </ul>
          {found.length > SHOWN && <p class="quiet">{words.others(formats.number(found.length - SHOWN))}</p>}
        </section>
      )}
    </Page>
  );
}
