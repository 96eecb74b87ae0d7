/** `npm run admin -- rotate-signing-key`: from one signing key in the data folder to the next (docs/key-rotation.md). */
import { parseArgs } from 'node:util';
import { countSignatures } from '../../subgraphs/flags/resign.ts';
import { openSigner, prepareNextKey, previousKeys, removePreviousKeys, switchToNextKey } from '../signing-keys.ts';
import { withAdminDatabase } from './admin-database.ts';
import { readArguments, type AdminCommand, type Output } from './command.ts';
import type { Configuration } from '../configuration.ts';

export const ROTATE_USAGE = `npm run admin -- rotate-signing-key [--prepare | --finish]
    --prepare makes the next key and prints the key set to give to the vehicles; without an option the next key becomes
    the one that signs; --finish makes the former ones invalid. Each takes effect when the control plane starts next.`;

/** Exit codes: 0, 1 failed or refused, 2 usage. */
export const rotateSigningKeyCommand: AdminCommand = async (args, configuration, output) => {
  const { prepare, finish } = readArguments(ROTATE_USAGE, () => {
    const { values } = parseArgs({ args: [...args], options: { prepare: { type: 'boolean', default: false }, finish: { type: 'boolean', default: false } } });
    if (values.prepare && values.finish) throw new Error('--prepare and --finish are two steps, with others between them.');
    return values;
  });
  const { dataDir } = configuration;
  if (configuration.signingKey !== null) {
    output.err('The signing key is that of FLEETFLAG_SIGNING_KEY; it is changed there (docs/key-rotation.md, "A key of your own").');
    return 1;
  }
  if (finish) return removeFormer(configuration, output);
  if (prepare) {
    const { kid } = await prepareNextKey(dataDir);
    output.out(JSON.stringify((await openSigner(configuration)).publicKeys, null, 2));
    output.err(`The next key is ${kid}. Give this key set to the vehicles (--keys), restart the control plane, and switch when all vehicles have it.`);
    return 0;
  }
  const { former, current } = await switchToNextKey(dataDir);
  output.out(`Definitions are signed with ${current.kid} from the next start on; ${former.kid} stays valid.`);
  output.out('Now restart the control plane, then: npm run admin -- resign-definitions');
  return 0;
};

async function removeFormer(configuration: Configuration, output: Output): Promise<number> {
  const former = new Set((await previousKeys(configuration.dataDir)).map(({ kid }) => kid));
  if (former.size === 0) {
    output.out('There is no former key.');
    return 0;
  }
  const left = (await withAdminDatabase(configuration, output, countSignatures)).filter(({ kid }) => kid !== null && former.has(kid));
  for (const { environment, kid, count } of left) output.err(`${environment}: ${count} definitions are still signed with ${kid}.`);
  if (left.length > 0) {
    output.err('Nothing was removed. First: npm run admin -- resign-definitions');
    return 1;
  }
  await removePreviousKeys(configuration.dataDir);
  output.out(`No longer valid from the next start on: ${[...former].join(', ')}`);
  return 0;
}
