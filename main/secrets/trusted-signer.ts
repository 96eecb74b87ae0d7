/** Signers whose keys the vehicles of this database trust: a key that has signed what the vehicles have. */
import type { PrismaClient } from '../../prisma/generated/client.ts';
import { countSignatures, type SignatureCount } from '../../subgraphs/flags/signing/resign.ts';
import type { Signer } from '../../subgraphs/flags/signing/signing.ts';
import type { Configuration } from '../configuration.ts';
import { openSigner, signingKeyPath } from './signing-keys.ts';

const CONSEQUENCE =
  'Vehicles that pin the key refuse everything that another key signs: neither a change nor a kill switch would reach them.';
const REPLACE =
  'If it is lost for good: npm run admin -- rotate-signing-key --replace-lost signs everything again, and every vehicle needs the new key set (--keys) before any change reaches it (docs/operations/key-rotation.md, "A key that is lost").';

/**
 * Opens the signer of a control plane that starts. Creates a key only when nothing is signed yet.
 *
 * @throws Error, with the loss and the remedy, when flags are signed and the key is missing or has not signed them
 */
export async function startingSigner(prisma: PrismaClient, settings: Configuration): Promise<Signer> {
  const signed = await countSignatures(prisma);
  const signer = await openSigner(settings, () => {
    if (signed.length === 0) return;
    throw new Error(
      `The signing key is lost: ${signingKeyPath(settings.dataDir)} is missing, and ${describe(signed)}. ${CONSEQUENCE} Restore the file from a backup, or set the key in FLEETFLAG_SIGNING_KEY. ${REPLACE}`,
    );
  });
  if (signed.length > 0 && !hasSigned(signer, signed)) {
    const { signingKey, dataDir } = settings;
    throw new Error(
      `The signing key (${signer.kid}, of ${signingKey === null ? signingKeyPath(dataDir) : 'FLEETFLAG_SIGNING_KEY'}) is not the one of this database: ${describe(signed)}. ${CONSEQUENCE} ` +
        `Set the key that has signed them, or add it to FLEETFLAG_PREVIOUS_SIGNING_KEYS if the signing key has been rotated. ${REPLACE}`,
    );
  }
  return signer;
}

/**
 * Opens the signer of a command beside the control plane.
 *
 * @throws Error when there is no key, or when neither it nor another valid key has signed anything here: the command
 * then runs with other settings than the control plane, and vehicles would refuse its signatures
 */
export async function presentSigner(prisma: PrismaClient, settings: Configuration): Promise<Signer> {
  const signer = await openPresentSigner(settings);
  const signed = await countSignatures(prisma);
  if (signed.length > 0 && !hasSigned(signer, signed)) {
    throw new Error(
      `The key of these settings (${signer.kid}) has signed nothing in this database, and neither has another valid key. Run this command with the settings of the control plane; if the signing key has been rotated, add the former one to FLEETFLAG_PREVIOUS_SIGNING_KEYS.`,
    );
  }
  return signer;
}

/** Opens the signer as `openSigner` does, but never creates a key: no vehicle would know a command's key. */
export function openPresentSigner(settings: Configuration): Promise<Signer> {
  return openSigner(settings, () => {
    throw new Error(
      `There is no signing key: FLEETFLAG_SIGNING_KEY is not set, and ${settings.dataDir} holds none. Run this command with the settings of the control plane.`,
    );
  });
}

/** Checks whether the signer's key, or another valid key, has signed any of it. */
const hasSigned = (signer: Signer, signed: readonly SignatureCount[]): boolean =>
  signingKids(signer, signed).length > 0;

/** Gives the ids of the keys that have signed any of it: of the signer's own key and the other valid ones. */
export function signingKids(signer: Signer, signed: readonly SignatureCount[]): string[] {
  const valid = new Set(signer.publicKeys.keys.map(({ kid }) => kid));
  return [...new Set(signed.flatMap(({ kid }) => (kid !== null && valid.has(kid) ? [kid] : [])))];
}

function describe(signed: readonly SignatureCount[]): string {
  const count = signed.reduce((sum, one) => sum + one.count, 0);
  const kids = [...new Set(signed.map(({ kid }) => kid ?? 'an unreadable key'))];
  return `${count} flag definitions and tombstones are signed with ${kids.join(' and ')}`;
}
