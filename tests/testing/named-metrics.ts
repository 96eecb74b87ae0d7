/** The names of metrics in scrapes and in the files that use them. */

/** The files that name metrics for Prometheus and Grafana. */
export const METRIC_FILES = ['docker/monitoring/alerts.yaml', 'docker/monitoring/dashboard.json'] as const;

/** Gives the names of all metrics of a scrape, those without a sample as well. */
export function namesIn(scrape: string): Set<string> {
  return new Set(Array.from(scrape.matchAll(/^# TYPE (\S+) /gm), ([, name = '']) => name));
}

/** Gives the metrics that a file of Prometheus or Grafana names, histograms without the ends of their parts. */
export function metricsNamedIn(text: string): string[] {
  const found = text.matchAll(/\b(?:fleetflag|process|nodejs)(?:_[a-z0-9]+)+\b(?=[{\[)\s<>=/*"\\])/g);
  const names = Array.from(found, ([name]) => name.replace(/_(?:bucket|sum|count)$/, ''));
  return [...new Set(names)];
}
