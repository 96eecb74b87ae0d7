import { useMutation, useQuery, useSubscription } from '@apollo/client/react';
import { useEffect, useState } from 'react';
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
  type ListedFlagFragment,
} from '../generated/operations.ts';
import { sentenceAbout } from '../refusals.ts';
import { client } from './client.ts';
import { sentenceOf } from './sentence-of.ts';

export function FlagsPage() {
  const [isConnected, setConnected] = useState(false);
  const [fault, setFault] = useState('');
  const { data, error, fetchMore } = useQuery(FlagsDocument, { variables: { after: null }, skip: !isConnected });
  const [enable] = useMutation(EnableDocument);
  const [disable] = useMutation(DisableDocument);
  const [approveRequest] = useMutation(ApproveDocument);
  const showFault = (failed: unknown) => setFault(sentenceOf(failed));

  const reload = (key: string) =>
    client.query({ query: OneFlagDocument, variables: { key }, fetchPolicy: 'network-only' });

  // The cache knows a flag by its key, so an event needs no code of its own to be shown.
  useSubscription(FlagChangesDocument);
  useSubscription(RequestChangesDocument, {
    onData({ data: event }) {
      if (event.data !== undefined) reload(event.data.changeRequestChanges.flag.key).catch(showFault);
    },
  });
  useEffect(
    () =>
      // This runs at each connection, the first included, because no event brings the changes before it.
      socket.on('connected', () => {
        setConnected(true);
        client.refetchQueries({ include: [FlagsDocument] }).catch(showFault);
      }),
    [],
  );

  async function switchTo({ key, revision }: ListedFlagFragment, enabled: boolean): Promise<string> {
    try {
      // The revision that the person has seen: CONFLICT where somebody has changed the flag since.
      const change = enabled ? enable : disable;
      const { data: changed } = await change({ variables: { key, seen: revision } });
      return sentenceAbout(changed?.change);
    } catch (refused) {
      return sentenceOf(refused);
    } finally {
      reload(key).catch(showFault);
    }
  }

  async function approve(id: string): Promise<string> {
    try {
      await approveRequest({ variables: { id } });
      return 'Approved.';
    } catch (refused) {
      return sentenceOf(refused);
    }
  }

  const { nodes = [], totalCount = 0, pageInfo } = data?.flags ?? {};
  return (
    <FlagTable
      flags={nodes}
      total={totalCount}
      fault={error === undefined ? fault : sentenceOf(error)}
      more={
        pageInfo?.hasNextPage === true
          ? () => {
              fetchMore({ variables: { after: pageInfo.endCursor } }).catch(showFault);
            }
          : null
      }
      switchTo={switchTo}
      approve={approve}
    />
  );
}
