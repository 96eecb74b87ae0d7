/** Contexts as they enter: from people, from programs in the vehicle, from its settings. */

/**
 * A vehicle's model or region without the blanks around it, by which nobody means anything and which no rule has.
 * Blanks alone are none: null. What is no text stays as it is.
 */
export function enteredName<T>(name: T): T | string | null {
  return typeof name === 'string' ? name.trim() || null : name;
}
