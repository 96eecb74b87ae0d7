/** The control plane's own signer, for a command that signs beside it. */
import type { PrismaClient } from '../../prisma/generated/client.ts';
import { countSignatures } from '../../subgraphs/flags/resign.ts';
import type { Signer } from '../../subgraphs/flags/signing.ts';
import type { Configuration } from '../configuration.ts';
import { openPresentSigner } from '../signing-keys.ts';

/**
 * The signer of these settings.
 *
 * @throws Error when there is no key, or the database's definitions are all signed with keys that these settings do
 *   not know: the command then runs with other settings than the control plane, and vehicles would refuse what it signs
 */
export async function presentSigner(prisma: PrismaClient, configuration: Configuration): Promise<Signer> {
  const signer = await openPresentSigner(configuration);
  const known = new Set(signer.publicKeys.keys.map(({ kid }) => kid));
  const counts = await countSignatures(prisma);
  if (counts.length > 0 && !counts.some(({ kid }) => kid !== null && known.has(kid))) {
    throw new Error(
      `The key of these settings (${signer.kid}) has signed nothing in this database, nor has one that is valid beside it. Give this command the settings of the control plane; where the key has been changed, name the former one in FLEETFLAG_PREVIOUS_SIGNING_KEYS.`,
    );
  }
  return signer;
}
