/** The playground: GraphiQL, with FleetFlag's session, its streams and its tasks. */
import { eventsOf } from './events.js';
import { ask } from './request.js';
import { credentials, noteAnswer, startBar } from './session.js';
import { addTasks } from './tasks.js';

const WELCOME = `# Sign in above, then run this. "Tasks" has operations for a night on call: find a flag, stop it, see how far
# that has got. Ctrl-Space completes; the book icon on the left opens the documentation.
query Flags {
  flags {
    totalCount
    nodes { key name enabled killed safetyLevel environment revision }
  }
}
`;

/**
 * Gives the one operation that runs, with the fragments, its name, and whether it is a subscription. A text that
 * GraphiQL could not parse is sent as it is: the gateway says what is wrong with it.
 */
function chosen(query, operationName, documentAST) {
  // GraphiQL parses with a delay, so its document and the name may be those of an earlier text.
  if (documentAST?.loc?.source.body !== query) {
    const text = query.replaceAll(/#.*$/gm, '');
    const names = Array.from(text.matchAll(/\b(?:query|mutation|subscription)\s+(\w+)/g), ([, name]) => name);
    return {
      text: query,
      operationName: names.includes(operationName) ? operationName : undefined,
      isSubscription: /(?:^|\})\s*subscription\b/.test(text),
    };
  }
  const operations = documentAST.definitions.filter(({ kind }) => kind === 'OperationDefinition');
  const [operation] = operationName ? operations.filter(({ name }) => name?.value === operationName) : operations;
  const text = documentAST.definitions
    .filter((definition) => definition.kind !== 'OperationDefinition' || definition === operation)
    .map(({ loc }) => query.slice(loc.start, loc.end))
    .join('\n\n');
  return { text, operationName: operationName ?? undefined, isSubscription: operation?.operation === 'subscription' };
}

async function answer(request, headers) {
  const result = await ask(request, credentials(headers));
  noteAnswer(result, headers);
  return result;
}

function fetcher({ query, operationName, variables }, { headers = {}, documentAST } = {}) {
  const { text, isSubscription, ...named } = chosen(query, operationName, documentAST);
  const request = { query: text, variables, ...named };
  return isSubscription ? eventsOf(request, headers) : answer(request, headers);
}

self.YogaGraphiQL.renderYogaGraphiQL(document.getElementById('root'), {
  title: 'FleetFlag',
  fetcher,
  defaultQuery: WELCOME,
  // Typed headers hold credentials, which must not outlive the tab.
  shouldPersistHeaders: false,
});
addTasks();
await startBar();
