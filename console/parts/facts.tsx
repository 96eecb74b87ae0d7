/** Facts about one thing, each with its name. */
import type { ComponentChildren } from 'preact';

/** A list of facts, each with its name. */
export function Facts({ children }: { readonly children: ComponentChildren }) {
  return <dl class="facts facts-even">{children}</dl>;
}

/** One fact with its name. */
export function Fact({ name, children }: { readonly name: string; readonly children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
