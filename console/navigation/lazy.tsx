/** Parts that are loaded when they are first shown, so that the first screen need not wait for them. */
import type { ComponentType } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { NO_ANSWER } from '../api/fault.ts';
import { FaultNotice, Loading } from '../parts/parts.tsx';

/** Makes a component that loads `load`'s when it is first shown; once loaded, it is there at once. */
export function lazy<Props extends object>(
  load: () => Promise<ComponentType<Props>>,
): (props: Props) => preact.JSX.Element {
  let loaded: ComponentType<Props> | null = null;
  return function Lazy(props: Props) {
    const [state, setState] = useState<'loading' | 'failed' | 'there'>(loaded === null ? 'loading' : 'there');
    useEffect(() => {
      if (state !== 'loading') return;
      let isShown = true;
      load()
        .then((part) => {
          loaded = part;
          if (isShown) setState('there');
        })
        .catch(() => isShown && setState('failed'));
      return () => {
        isShown = false;
      };
    }, [state]);
    // The network is down, or the control plane has another version by now.
    if (state === 'failed') return <FaultNotice fault={NO_ANSWER} retry={() => setState('loading')} />;
    const Part = loaded;
    return Part === null ? <Loading /> : <Part {...props} />;
  };
}
