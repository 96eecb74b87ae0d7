import { useEffect, useState } from 'react';
import { useClient } from 'urql';
import { socket } from '../control-plane.ts';
import { FlagTable } from '../flag-table.tsx';
import {
  ApproveDocument,
  DisableDocument,
  EnableDocument,
  FlagChangesDocument,
  FlagsDocument,
  OneFlagDocument,
  RequestChangesDocument,
  type FlagsQuery,
  type ListedFlagFragment,
} from '../generated/operations.ts';
import { sentenceAbout, sentenceFor } from '../refusals.ts';

type List = FlagsQuery['flags'];

const EMPTY: List = { nodes: [], totalCount: 0, pageInfo: { hasNextPage: false, endCursor: null } };

export function FlagsPage() {
  const client = useClient();
  const [list, setList] = useState(EMPTY);
  const [fault, setFault] = useState('');

  function load(after: string | null): void {
    client.query(FlagsDocument, { after }).subscribe(({ data, error }) => {
      setFault(error === undefined ? '' : sentenceFor(error.graphQLErrors));
      if (data == null) return;
      const { flags: page } = data;
      setList((before) => (after === null ? page : { ...page, nodes: [...before.nodes, ...page.nodes] }));
    });
  }

  const show = (flag: ListedFlagFragment) =>
    setList((before) => ({ ...before, nodes: before.nodes.map((known) => (known.key === flag.key ? flag : known)) }));

  function reload(key: string): void {
    client.query(OneFlagDocument, { key }).subscribe(({ data }) => {
      if (data?.flag != null) show(data.flag);
    });
  }

  useEffect(() => {
    // This runs at each connection, the first included, because no event brings the changes before it.
    const stopReading = socket.on('connected', () => load(null));
    const changes = client.subscription(FlagChangesDocument, {}).subscribe(({ data }) => {
      if (data != null) show(data.flagChanges.flag);
    });
    const requests = client.subscription(RequestChangesDocument, {}).subscribe(({ data }) => {
      if (data != null) reload(data.changeRequestChanges.flag.key);
    });
    return () => {
      stopReading();
      changes.unsubscribe();
      requests.unsubscribe();
    };
  }, [client]);

  async function switchTo({ key, revision }: ListedFlagFragment, enabled: boolean): Promise<string> {
    // The revision that the person has seen: CONFLICT where somebody has changed the flag since.
    const operation = enabled ? EnableDocument : DisableDocument;
    const { data, error } = await client.mutation(operation, { key, seen: revision });
    reload(key);
    return error === undefined ? sentenceAbout(data?.change) : sentenceFor(error.graphQLErrors);
  }

  async function approve(id: string): Promise<string> {
    const { error } = await client.mutation(ApproveDocument, { id });
    return error === undefined ? 'Approved.' : sentenceFor(error.graphQLErrors);
  }

  const { nodes, totalCount, pageInfo } = list;
  return (
    <FlagTable
      flags={nodes}
      total={totalCount}
      fault={fault}
      more={pageInfo.hasNextPage ? () => load(pageInfo.endCursor) : null}
      switchTo={switchTo}
      approve={approve}
    />
  );
}
