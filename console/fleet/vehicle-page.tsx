/**
 * One vehicle: what is known of it, the health of its agent, and the value that it gets for each flag, with the reason.
 */
import { useAuditNews } from '../api/audit-news.ts';
import { useQuery } from '../api/use-query.ts';
import { OneVehicleDocument, type OneVehicleQuery } from '../generated/operations.ts';
import { flagPath } from '../navigation/paths.ts';
import { Link } from '../navigation/router.tsx';
import { Fact } from '../parts/facts.tsx';
import { FaultNotice, Loading, Page, Time } from '../parts/parts.tsx';
import { may, sessionState } from '../session/session.ts';
import { useStore } from '../store.ts';
import { useWords } from '../words/language.ts';
import { VehicleBadge } from './vehicle-badge.tsx';
import { VehicleFaults } from './vehicle-faults.tsx';
import { VehicleTags } from './vehicle-tags.tsx';
import { VehicleTokens } from './vehicle-tokens.tsx';
import { VehicleValues } from './vehicle-values.tsx';

/** The partition that all models share which no scope names. */
const OTHER_MODELS = '*';
/** The milliseconds between two polls. */
const POLL_MS = 10_000;

type Vehicle = NonNullable<OneVehicleQuery['vehicle']>;

function Facts({ vehicle }: { readonly vehicle: Vehicle }) {
  const { words, formats } = useWords();
  const { status, model, region, swVersion, environment, partition, lastSeenAt } = vehicle;
  return (
    <dl class="facts">
      <Fact name={words.state}>
        <VehicleBadge status={status} />
      </Fact>
      <Fact name={words.model}>{model}</Fact>
      <Fact name={words.region}>{region}</Fact>
      <Fact name={words.version}>{swVersion}</Fact>
      <Fact name={words.environment}>{environment === null ? words.noneYet : words.environments[environment]}</Fact>
      <Fact name={words.scopes.partition}>
        {partition === null ? words.unknown : partition === OTHER_MODELS ? words.scopes.otherModels : partition}
      </Fact>
      <Fact name={words.fields.revision}>
        {vehicle.appliedRevision === null ? words.unknown : formats.number(vehicle.appliedRevision)}
      </Fact>
      <Fact name={words.lastSeen}>{lastSeenAt === null ? words.never : <Time at={lastSeenAt} />}</Fact>
    </dl>
  );
}

function AgentHealth({ vehicle }: { readonly vehicle: Vehicle }) {
  const { words, formats } = useWords();
  const { agentVersion, agentMemoryMb, agentCpuPercent, cacheSizeMb, clockOffsetSeconds, agentRefusals, pendingFlags } =
    vehicle;
  const numberOr = (value: number | null, text: (value: string) => string) =>
    value === null ? words.unknown : text(formats.number(value));
  return (
    <section class="panel" aria-labelledby="agent-title">
      <h2 id="agent-title">{words.agent}</h2>
      {agentVersion === null ? (
        <p class="quiet">{words.agentSilent}</p>
      ) : (
        <dl class="facts">
          <Fact name={words.agentVersion}>{agentVersion}</Fact>
          <Fact name={words.memory}>{numberOr(agentMemoryMb, (value) => `${value} MB`)}</Fact>
          <Fact name={words.processor}>{numberOr(agentCpuPercent, (value) => `${value}%`)}</Fact>
          <Fact name={words.storage}>{numberOr(cacheSizeMb, (value) => `${value} MB`)}</Fact>
          <Fact name={words.clock}>{numberOr(clockOffsetSeconds, words.clockOffset)}</Fact>
          <Fact name={words.refusals}>
            {agentRefusals.length === 0 ? words.refusedNothing : agentRefusals.join(', ')}
          </Fact>
          {pendingFlags.length > 0 && (
            <Fact name={words.pendingFlags}>
              <ul class="counts">
                {pendingFlags.map(({ key, revision }) => (
                  <li key={key}>
                    <Link to={flagPath(key)}>{key}</Link>{' '}
                    <span class="quiet">{words.forms.revision(formats.number(revision))}</span>
                  </li>
                ))}
              </ul>
            </Fact>
          )}
        </dl>
      )}
    </section>
  );
}

/** The page of one vehicle. */
export function VehiclePage({ vin }: { readonly vin: string }) {
  const { words } = useWords();
  const { session } = useStore(sessionState);
  const { data, fault, refresh } = useQuery(OneVehicleDocument, { vin }, { everyMs: POLL_MS });
  useAuditNews((action) => action === 'TAG_VEHICLES' && refresh());
  const vehicle = data?.vehicle ?? null;
  // The address may hold anything: what is no VIN is no vehicle's either.
  const isNoVin = fault?.field === 'vin';
  return (
    <Page title={vin}>
      {fault !== null && !isNoVin && <FaultNotice fault={fault} retry={refresh} />}
      {data === null && fault === null && <Loading />}
      {(isNoVin || (data !== null && vehicle === null)) && (
        <p class="empty">
          {words.noSuchVehicle} <Link to="/fleet">{words.toFleet}</Link>
        </p>
      )}
      {vehicle !== null && (
        <>
          <Facts vehicle={vehicle} />
          <AgentHealth vehicle={vehicle} />
          <VehicleFaults faults={vehicle.faults} />
          <VehicleValues vin={vin} environment={vehicle.environment ?? 'PRODUCTION'} />
          <VehicleTags vin={vin} tags={vehicle.tags} refresh={refresh} />
          {may(session, 'change') && <VehicleTokens vin={vin} environment={vehicle.environment} done={refresh} />}
        </>
      )}
    </Page>
  );
}
