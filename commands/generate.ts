/**
 * `npm run generate`: writes the Prisma client from prisma/schema.prisma, the types of each subgraph's resolvers from
 * its schema.graphql, the operations of the console and of the example dashboard from their *.graphql files, and the
 * pictures of docs/ from docs/pictures/*.dot. `npm run generate -- --check`: writes nothing and fails (exit code 1)
 * when a checked-in file is stale.
 */
import { readPlainArguments } from './command-line.ts';
import { stalePageOperations, writePageOperations } from './generate/page-operations.ts';
import { stalePictures, writePictures } from './generate/pictures.ts';
import { stalePrismaFiles, writePrismaClient } from './generate/prisma-client.ts';
import { staleResolverTypes, writeResolverTypes } from './generate/resolver-types.ts';

const USAGE = `Usage: npm run generate [-- --check]

Writes the Prisma client again from prisma/schema.prisma, the types of each subgraph's resolvers from its
schema.graphql, the operations of the console and of the example dashboard from their *.graphql files, and the pictures
of docs/ from docs/pictures/*.dot.

  --check   writes nothing, and fails when a generated file is stale
  --help, --version`;

if (readPlainArguments(USAGE, { known: ['--check'] }).includes('--check')) {
  const stale = [
    ...stalePrismaFiles(),
    ...(await staleResolverTypes()),
    ...(await stalePageOperations()),
    ...(await stalePictures()),
  ];
  if (stale.length > 0) {
    console.error(`Generated files are stale: ${stale.join(', ')}. Run: npm run generate`);
    process.exitCode = 1;
  }
} else {
  writePrismaClient();
  await writeResolverTypes();
  await writePageOperations();
  await writePictures();
  console.log(
    'The Prisma client, the types of the resolvers, the operations of the pages and the pictures are up to date.',
  );
}
