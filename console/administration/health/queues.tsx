/** The queues of what vehicles send, on its way to the stores. */
import { useQuery } from '../../api/use-query.ts';
import { HeartbeatQueueDocument, MeasurementQueueDocument, type QueueFragment } from '../../generated/operations.ts';
import { NumberCell } from '../../parts/number-cell.tsx';
import { FaultNotice, Loading, ProgressBar } from '../../parts/parts.tsx';
import { TableHead } from '../../parts/table-head.tsx';
import { useAdministrationWords } from '../../words/use-administration-words.ts';
import { POLL_MS } from './every.ts';

function QueueRow({ name, queue }: { readonly name: string; readonly queue: QueueFragment }) {
  const { own, formats } = useAdministrationWords();
  const { instance, held, capacity, oldestWaitMs, failures } = queue;
  return (
    <tr>
      <th scope="row">{name}</th>
      <td data-label={own.held}>
        {own.heldOf(formats.number(held), formats.number(capacity))}
        <ProgressBar label={own.fill(name)} percent={(held / capacity) * 100} />
      </td>
      <td data-label={own.oldestWaits}>
        {oldestWaitMs === null ? <span class="quiet">{own.nothingWaits}</span> : formats.milliseconds(oldestWaitMs)}
      </td>
      <NumberCell label={own.failedWrites}>
        {failures === 0 ? formats.number(0) : <strong>{formats.number(failures)}</strong>}
      </NumberCell>
      <td data-label={own.process}>
        <code class="breaking">{instance}</code>
      </td>
    </tr>
  );
}

/** Shows the queues of heartbeats and of measurements, and reads them again at intervals. */
export function Queues() {
  const { own } = useAdministrationWords();
  // The queues are of different subgraphs: where one does not answer, the other is shown all the same.
  const heartbeats = useQuery(HeartbeatQueueDocument, {}, { everyMs: POLL_MS });
  const measurements = useQuery(MeasurementQueueDocument, {}, { everyMs: POLL_MS });
  const queues = [
    [own.heartbeatQueue, heartbeats.data?.heartbeatQueue] as const,
    [own.measurementQueue, measurements.data?.measurementQueue] as const,
  ];
  const faults = [heartbeats, measurements].filter(({ fault }) => fault !== null);
  const isAnswered = queues.some(([, queue]) => queue !== undefined);
  return (
    <section class="panel" aria-labelledby="queues-title">
      <h2 id="queues-title">{own.queues}</h2>
      <p class="quiet">{own.queuesLead}</p>
      {faults.map(
        ({ fault, refresh }, index) => fault !== null && <FaultNotice key={index} fault={fault} retry={refresh} />,
      )}
      {!isAnswered && faults.length === 0 && <Loading />}
      {isAnswered && (
        <table class="table" aria-labelledby="queues-title">
          <TableHead columns={[own.queue, own.held, own.oldestWaits, { number: own.failedWrites }, own.process]} />
          <tbody>
            {queues.map(([name, queue]) => queue !== undefined && <QueueRow key={name} name={name} queue={queue} />)}
          </tbody>
        </table>
      )}
    </section>
  );
}
