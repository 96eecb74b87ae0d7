/** The step of the show in which a change of an ASIL-D flag takes two people, and the one that proves the record. */
import { ApiClient } from './api-client.ts';
import type { DemoAccount } from './stage.ts';
import type { Terminal } from './terminal.ts';
import { errorMessage } from '../../core/caught-error.ts';

/** The ASIL-D flag that is changed. */
export const TWO_PERSON_FLAG = 'steering_assist_profile';

/** Requests the change as the administrator, whose own approval is refused. Gives how the second person approves. */
export async function requestChange(
  api: ApiClient,
  reviewer: DemoAccount,
  terminal: Terminal,
): Promise<() => Promise<unknown>> {
  terminal.step('A change of an ASIL-D flag takes two people');
  const { updateFlag } = await api.ask<{ updateFlag: { applied: boolean; changeRequest: { id: string } | null } }>(
    'mutation ($key: String!, $input: UpdateFlagInput!) { updateFlag(key: $key, input: $input) { applied changeRequest { id } } }',
    { key: TWO_PERSON_FLAG, input: { defaultValue: { low: 1, medium: 0.8, high: 0.5 } } },
  );
  const { applied, changeRequest } = updateFlag;
  if (applied || changeRequest === null) throw new Error(`A change of ${TWO_PERSON_FLAG} did not wait for a review.`);
  const approve = 'mutation ($id: ID!) { approveChangeRequest(id: $id, comment: "Reviewed in the demo") { status } }';
  const refusal = await api.ask(approve, changeRequest).then(
    () => null,
    (error: unknown) => errorMessage(error),
  );
  if (refusal === null) throw new Error('The requester could approve their own change.');
  terminal.say(`The administrator changes ${TWO_PERSON_FLAG}: no vehicle gets it, it waits. Approving it themselves:`);
  terminal.say(terminal.colors.red(refusal));
  const second = new ApiClient(api.url);
  await second.signIn(reviewer.email, reviewer.password);
  terminal.say(`${reviewer.email} reads the difference and approves it:`);
  return () => second.ask(approve, changeRequest);
}

/** Computes the audit log's chain again. */
export async function verifyAuditLog(api: ApiClient, terminal: Terminal): Promise<void> {
  terminal.step('The record of all this is complete');
  const { auditIntegrity } = await api.ask<{ auditIntegrity: { intact: boolean; checked: number; headHash: string } }>(
    '{ auditIntegrity { intact checked headHash } }',
  );
  if (!auditIntegrity.intact) throw new Error('The chain of the audit log is broken.');
  terminal.say(`${auditIntegrity.checked} entries of the audit log, each with the hash of the one before: unbroken.`);
  terminal.say(terminal.colors.dim(`Last hash, to note elsewhere: ${auditIntegrity.headHash}`));
}
