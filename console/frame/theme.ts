/** Light or dark: the system's choice, unless the viewer has made another, which is kept. */
import { createStore } from '../store.ts';

export const THEMES = ['system', 'light', 'dark'] as const;
export type Theme = (typeof THEMES)[number];

const KEY = 'fleetflag:theme';
const stored = localStorage.getItem(KEY);

export const theme = createStore<Theme>(THEMES.find((one) => one === stored) ?? 'system');

const apply = () => (document.documentElement.dataset['theme'] = theme.get());

/** Gives the document its theme, now and at every later choice. */
export function startTheme(): void {
  apply();
  theme.subscribe(apply);
}

/** Sets the theme and keeps it in this browser. */
export function chooseTheme(next: Theme): void {
  localStorage.setItem(KEY, next);
  theme.set(next);
}
