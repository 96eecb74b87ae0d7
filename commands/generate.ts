/**
 * `npm run generate`: writes the Prisma client anew from prisma/schema.prisma.
 * `npm run generate -- --check`: writes nothing and fails (exit 1) when the checked-in client is stale.
 */
import { readPlainArguments } from './command-line.ts';
import { stalePrismaFiles, writePrismaClient } from './generate/prisma-client.ts';

const USAGE = `Usage: npm run generate [-- --check]

Writes the Prisma client anew from prisma/schema.prisma.

  --check   writes nothing, and fails when the checked-in client is stale
  --help, --version`;

if (readPlainArguments(USAGE, { known: ['--check'] }).includes('--check')) {
  const stale = stalePrismaFiles();
  if (stale.length > 0) {
    console.error(`Generated files are stale: ${stale.join(', ')}. Run: npm run generate`);
    process.exitCode = 1;
  }
} else {
  writePrismaClient();
  console.log('prisma/generated is up to date with prisma/schema.prisma.');
}
