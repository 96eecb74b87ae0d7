/** The data that the global setup passes to the global teardown, in the same process. */
export interface TestServer {
  readonly url: string;
  readonly template: string;
  /** The embedded server's temporary folder; null for a given server. */
  readonly folder: string | null;
  stop(): Promise<void>;
}

declare global {
  var fleetFlagTestServer: TestServer | undefined;
}

/** Gives the URL of another database of the same server. */
export function databaseUrl(serverUrl: string, name: string): string {
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return url.href;
}
