import type { WebhookFragment } from '../../generated/operations.ts';
import { Badge } from '../../parts/parts.tsx';
import { useAdministrationWords } from '../../words/use-administration-words.ts';

/** The state of a webhook: on, failing, switched off by people, or disabled by the control plane. */
export function WebhookBadge({ webhook }: { readonly webhook: WebhookFragment }) {
  const { own } = useAdministrationWords();
  const { enabled, disabledReason, failingSince } = webhook;
  if (!enabled && disabledReason !== null) return <Badge tone="danger">{own.webhookStates.disabled}</Badge>;
  if (!enabled) return <Badge tone="faint">{own.webhookStates.off}</Badge>;
  if (failingSince !== null) return <Badge tone="danger">{own.webhookStates.failing}</Badge>;
  return <Badge tone="accent">{own.webhookStates.on}</Badge>;
}
