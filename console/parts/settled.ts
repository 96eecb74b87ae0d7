/** A value that somebody is typing, once they pause. */
import { useEffect, useState } from 'preact/hooks';

/** Milliseconds after the last key press until what was typed counts. */
const TYPING_PAUSE_MS = 200;

/** Gives the latest value that has stayed for a moment. */
export function useSettled<Value>(value: Value): Value {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), TYPING_PAUSE_MS);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}
