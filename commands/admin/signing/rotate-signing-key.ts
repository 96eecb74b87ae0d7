/**
 * `npm run admin -- rotate-signing-key`: replaces the signing key in the data folder (docs/operations/key-rotation.md).
 */
import { parseArgs } from 'node:util';
import { ENVIRONMENTS } from '../../../core/model.ts';
import { countSignatures } from '../../../subgraphs/flags/signing/resign.ts';
import type { Configuration } from '../../../main/configuration.ts';
import { createLogger } from '../../../main/process/log.ts';
import { readSecretFile } from '../../../main/secrets/secrets.ts';
import {
  adoptNextKey,
  openNextSigner,
  openSigner,
  prepareNextKey,
  previousKeys,
  removePreviousKeys,
  signingKeyPath,
  switchToNextKey,
} from '../../../main/secrets/signing-keys.ts';
import { signingKids } from '../../../main/secrets/trusted-signer.ts';
import { actingPerson } from '../acting-person.ts';
import { withAdminDatabase } from '../admin-database.ts';
import { readArguments, type AdminCommand, type Output } from '../command.ts';
import { resignEnvironments } from './resign-definitions.ts';

/** The help text of `rotate-signing-key`. */
export const ROTATE_USAGE = `npm run admin -- rotate-signing-key [--prepare | --finish | --replace-lost [--as EMAIL]]
    --prepare makes the next key and prints the key set for the vehicles; without an option the next key becomes
    the signing key; --finish makes the former keys invalid. --replace-lost is for a signing key that is
    lost for good: everything is signed again, and vehicles that pin the lost key refuse it until they have
    the new key set. Each takes effect when the control plane starts next.`;

/** Runs `rotate-signing-key`. Exit codes: 0 done, 1 failed or refused, 2 wrong usage. */
export const rotateSigningKeyCommand: AdminCommand = async (args, configuration, output) => {
  const onOption = { type: 'boolean', default: false } as const;
  const {
    prepare,
    finish,
    'replace-lost': replaceLost,
    as: email,
  } = readArguments(ROTATE_USAGE, () => {
    const { values } = parseArgs({
      args: [...args],
      options: { prepare: onOption, finish: onOption, 'replace-lost': onOption, as: { type: 'string' } },
    });
    if ([values.prepare, values.finish, values['replace-lost']].filter(Boolean).length > 1)
      throw new Error('Use only one of --prepare, --finish and --replace-lost at a time.');
    if (values.as !== undefined && !values['replace-lost']) throw new Error('--as requires --replace-lost.');
    return values;
  });
  if (replaceLost) return replaceLostKey(configuration, output, email);
  const { dataDir } = configuration;
  if (configuration.signingKey !== null) {
    output.err(
      'The signing key is set in FLEETFLAG_SIGNING_KEY; change it there (docs/operations/key-rotation.md, "A key of your own").',
    );
    return 1;
  }
  if (finish) return removeFormerKeys(configuration, output);
  if (prepare) {
    const { kid } = await prepareNextKey(dataDir);
    output.out(JSON.stringify((await openSigner(configuration)).publicKeys, null, 2));
    output.err(
      `The next key is ${kid}. Give this key set to the vehicles (--keys), restart the control plane, and when all vehicles have the set: npm run admin -- rotate-signing-key`,
    );
    return 0;
  }
  const { former, current } = await switchToNextKey(dataDir);
  output.out(`Definitions are signed with ${current.kid} from the next start on; ${former.kid} stays valid.`);
  output.out('Now restart the control plane, then: npm run admin -- resign-definitions');
  return 0;
};

async function removeFormerKeys(configuration: Configuration, output: Output): Promise<number> {
  const former = new Set((await previousKeys(configuration.dataDir)).map(({ kid }) => kid));
  if (former.size === 0) {
    output.out('There is no former key.');
    return 0;
  }
  const remaining = (await withAdminDatabase(configuration, output, countSignatures)).filter(
    ({ kid }) => kid !== null && former.has(kid),
  );
  for (const { environment, kid, count } of remaining)
    output.err(`${environment}: ${count} flag definitions and tombstones are still signed with ${kid}.`);
  if (remaining.length > 0) {
    output.err('No key was removed. Sign these again first: npm run admin -- resign-definitions');
    return 1;
  }
  await removePreviousKeys(configuration.dataDir);
  output.out(`These keys are no longer valid from the control plane's next start on: ${[...former].join(', ')}`);
  return 0;
}

/** Signs everything with a key that has signed nothing yet: the given one, that of the data folder, or a new one. */
async function replaceLostKey(
  configuration: Configuration,
  output: Output,
  email: string | undefined,
): Promise<number> {
  const { dataDir, signingKey } = configuration;
  return withAdminDatabase(configuration, output, async (prisma) => {
    const signed = await countSignatures(prisma);
    if (signed.length === 0) {
      output.err(
        'Nothing is lost: no flag is signed yet. The control plane makes a key at its first start if it has none.',
      );
      return 1;
    }
    const isMissing = signingKey === null && (await readSecretFile(signingKeyPath(dataDir))) === null;
    const signer = isMissing ? await openNextSigner(configuration) : await openSigner(configuration);
    const valid = isMissing ? [] : signingKids(signer, signed);
    if (valid.length > 0) {
      const isPartly = signed.some(({ kid }) => kid === null || !valid.includes(kid));
      const remedy =
        signingKey === null
          ? 'npm run admin -- rotate-signing-key'
          : 'change FLEETFLAG_SIGNING_KEY (docs/operations/key-rotation.md, "A key of your own")';
      output.err(
        `Nothing is lost: these valid keys have signed flags of this database: ${valid.join(', ')}. ${
          isPartly
            ? 'Other flags are signed with keys that are not valid, as after a --replace-lost that was interrupted. To sign those again: npm run admin -- resign-definitions'
            : `To replace the signing key: ${remedy}`
        }`,
      );
      return 1;
    }
    const identity = await actingPerson(prisma, email);
    await resignEnvironments(prisma, {
      signer,
      identity,
      environments: ENVIRONMENTS,
      configuration,
      logger: createLogger(configuration.logLevel),
      output,
    });
    // The key is adopted last, so that no control plane starts with a key that has signed only a part.
    if (isMissing) await adoptNextKey(dataDir);
    output.out(
      `Everything is signed with ${signer.kid}. Vehicles that pin the lost key keep what they have and refuse everything new, kill switches included, until they get this key set (--keys):`,
    );
    output.out(JSON.stringify(signer.publicKeys, null, 2));
    return 0;
  });
}
