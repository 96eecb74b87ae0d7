/** One operation over HTTP. */

/** Makes a result of a failure, in the form of the API's errors, for the pane that shows results. */
export const failure = (message, extensions) => ({ errors: [{ message, ...(extensions && { extensions }) }] });

/** Runs an operation. Gives its result, or a failure in the form of one; never throws. */
export async function ask(body, headers = {}) {
  let response;
  try {
    response = await fetch('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/graphql-response+json', ...headers },
      body: JSON.stringify(body),
    });
  } catch {
    return failure('The gateway does not answer. Check the connection, and run the operation again.');
  }
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    return failure(`The answer is not JSON (status ${response.status}): ${text.slice(0, 200)}`);
  }
}
