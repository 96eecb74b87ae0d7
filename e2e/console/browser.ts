/** A real Chromium at the console of a deployment, as an operator sees it. */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { expect } from '@jest/globals';
import { chromium, type Browser, type BrowserContextOptions, type Locator, type Page } from 'playwright-core';
import { testUnless } from '../../core/testing/unless.ts';
import type { Deployment } from '../harness/deployment.ts';

/** Debian's package; without a browser the tests that need one are left to `.ci/run`. */
const EXECUTABLE = process.env['CHROMIUM_PATH'] ?? '/usr/bin/chromium';

/** The reason for which there is no browser; null where there is one. */
export const noBrowser = existsSync(EXECUTABLE) ? null : `there is no ${EXECUTABLE} (Debian: chromium)`;

const testInBrowser = testUnless(noBrowser);

/** Declares a test that needs a browser. Its timeout of 5 minutes is longer than any test takes on a busy machine. */
export const inBrowser = (name: string, run: () => Promise<void>): void => testInBrowser(name, run, 300_000);

/** The words by which somebody signs in to the pages in Korean. */
export const KOREAN = { email: '이메일', password: '비밀번호', signIn: '로그인' } as const;

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/**
 * Starts a browser without a window.
 *
 * @param more further arguments of the browser
 */
export function launchBrowser(more: readonly string[] = []): Promise<Browser> {
  return chromium.launch({
    executablePath: EXECUTABLE,
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', ...more],
  });
}

/** The parts of a browser's globals that the tests read; this project's types are Node's. */
interface InBrowser {
  readonly axe: { run(): Promise<{ violations: Violation[] }> };
  readonly document: {
    readonly activeElement: unknown;
    querySelectorAll(selector: string): Iterable<{
      readonly outerHTML: string;
      getBoundingClientRect(): { readonly right: number };
    }>;
    readonly documentElement: { readonly scrollWidth: number; readonly clientWidth: number };
  };
}

/** Says, in the browser, whether an element has the focus. */
const isFocused = (element: unknown) => element === (globalThis as unknown as InBrowser).document.activeElement;

/** The window of a small phone. */
export const PHONE = { viewport: { width: 360, height: 740 } } as const;

interface Violation {
  readonly id: string;
  readonly nodes: readonly { readonly html: string }[];
}

/**
 * A page of the console, which fails its test for errors of scripts, of the policy, and for requests to other hosts.
 */
export class ConsolePage {
  readonly faults: string[] = [];

  private constructor(
    readonly page: Page,
    readonly url: string,
  ) {}

  static async open(
    browser: Browser,
    deployment: Pick<Deployment, 'url'>,
    options: BrowserContextOptions = {},
  ): Promise<ConsolePage> {
    const context = await browser.newContext({ locale: 'en-GB', timezoneId: 'Asia/Seoul', ...options });
    const page = await context.newPage();
    const own = new ConsolePage(page, `${deployment.url}/console`);
    const host = new URL(deployment.url).host;
    page.on('pageerror', (error) => own.faults.push(error.message));
    page.on('console', (message) => {
      // What the browser says of refused requests is no fault of the page.
      if (message.type() === 'error' && !/status of 4\d\d|WebSocket/.test(message.text()))
        own.faults.push(message.text());
    });
    page.on('request', (request) => {
      if (new URL(request.url()).host !== host) own.faults.push(`a request to ${request.url()}`);
    });
    return own;
  }

  async goTo(path: string): Promise<void> {
    await this.page.goto(this.url + path);
  }

  /** Signs in on the page that is shown; `words` are those of the page's language. */
  async signIn(
    account: { readonly email: string; readonly password: string },
    words = { email: 'E-mail', password: 'Password', signIn: 'Sign in' },
  ): Promise<void> {
    await this.page.getByLabel(words.email).fill(account.email);
    await this.page.getByLabel(words.password).fill(account.password);
    await this.page.getByRole('button', { name: words.signIn, exact: true }).click();
  }

  heading(name: string): Promise<void> {
    return this.page.getByRole('heading', { level: 1, name }).waitFor();
  }

  /** Expects that axe finds nothing wrong with the page as it is, and that it is no wider than its window. */
  async expectAccessible(): Promise<void> {
    // Rooms are loaded when they are needed, and until then a page has no heading.
    await this.page.locator('h1').first().waitFor();
    // Through the protocol of the debugger, which the page's policy does not bind.
    await this.page.evaluate(AXE);
    const check = () =>
      this.page.evaluate(async () => (await (globalThis as unknown as InBrowser).axe.run()).violations);
    let violations = await check();
    // The page may have changed to another one while it was checked.
    for (let again = 0; again < 5 && violations.some(({ id }) => id === 'page-has-heading-one'); again++) {
      await this.page.locator('h1').first().waitFor();
      violations = await check();
    }
    expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`)).toEqual([]);
    const tooWide = await this.page.evaluate(() => {
      const { document } = globalThis as unknown as InBrowser;
      const { documentElement } = document;
      const excess = documentElement.scrollWidth - documentElement.clientWidth;
      if (excess <= 0) return null;
      const beyond = [...document.querySelectorAll('body *')].filter(
        (element) => element.getBoundingClientRect().right > documentElement.clientWidth,
      );
      // The outermost come first; what is in a part that scrolls by itself is in the list as well.
      return `${excess} pixels: ${beyond.map(({ outerHTML }) => outerHTML.slice(0, 150)).join('\n')}`;
    });
    expect([this.page.url(), tooWide]).toEqual([this.page.url(), null]);
  }

  /** Presses Tab until the element with the focus has `name`, as somebody without a mouse does. */
  async tabTo(
    name: string,
    role: 'button' | 'link' | 'textbox' | 'combobox',
    within: Pick<Locator, 'getByRole'> = this.page,
  ): Promise<void> {
    const target = within.getByRole(role, { name, exact: true });
    await target.waitFor();
    for (let presses = 0; presses < 80; presses += 1) {
      if (await target.evaluate(isFocused)) return;
      await this.page.keyboard.press('Tab');
    }
    throw new Error(`Tab does not reach the ${role} ${name}`);
  }

  async close(): Promise<void> {
    await this.page.context().close();
    expect(this.faults).toEqual([]);
  }
}
