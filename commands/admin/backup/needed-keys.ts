/**
 * The keys that a new machine needs besides a backup. A backup holds none: with them, its reader could sign changes for
 * vehicles.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { presentSecret } from '../../../main/secrets/secrets.ts';
import { signingKeyPath } from '../../../main/secrets/signing-keys.ts';
import type { Configuration } from '../../../main/configuration.ts';
import type { PrismaClient } from '../../../prisma/generated/client.ts';
import { countSignatures } from '../../../subgraphs/flags/signing/resign.ts';
import type { Manifest } from './manifest.ts';

/** Lists the keys: the use of each, and what identifies it, such as the ids of the signing keys. */
export async function neededKeys(prisma: PrismaClient, settings: Configuration): Promise<Manifest['keys']> {
  const signed = await countSignatures(prisma);
  const kids = [...new Set(signed.map(({ kid }) => kid ?? 'unreadable'))];
  const secret = await presentSecret(settings.internalSecret, settings.dataDir).catch(() => null);
  return [
    {
      name: `FLEETFLAG_SIGNING_KEY, or ${signingKeyPath(settings.dataDir)}`,
      why: 'Vehicles that pin it refuse what another key signs.',
      identity: kids.length === 0 ? null : kids.join(', '),
    },
    {
      name: `FLEETFLAG_INTERNAL_SECRET, or ${join(settings.dataDir, 'internal-secret')}`,
      why: 'Without it every vehicle needs a new token.',
      // The part of a hash shows which secret it is. It helps nobody to guess one of 256 bits.
      identity: secret === null ? null : `sha256 ${createHash('sha256').update(secret).digest('hex').slice(0, 16)}`,
    },
  ];
}
