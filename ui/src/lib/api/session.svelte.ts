/** Who uses the page: `GET /v1/session` once at the start, then what sign-in and sign-out answer. */
import { tick } from "svelte";
import { router } from "$lib/url/router.svelte";
import { href } from "$lib/url/match";
import { access, send } from "./client";
import { Problem } from "./problem";

export interface SessionView {
  tenant: string | null;
  scopes: string[];
  key: { id: string; name: string } | null;
  open_access: boolean;
  csrf: string | null;
  version: string;
}

const NOBODY: SessionView = { tenant: null, scopes: [], key: null, open_access: false, csrf: null, version: "" };

class Session {
  view: SessionView = $state.raw(NOBODY);
  /** False until the server has said who this is. */
  known = $state(false);
  /** Counts sign-ins in other tabs of this browser. */
  elsewhere = $state(0);
  /** The cookie is that of all tabs: each says when it has changed it. */
  readonly #tabs = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel("tidemill-session");

  constructor() {
    if (this.#tabs) this.#tabs.onmessage = () => void this.#changed();
  }

  get openAccess(): boolean {
    return this.view.open_access;
  }

  get signedIn(): boolean {
    return this.view.tenant !== null;
  }

  /** What a curl line needs of this user: the key, from the variable that the commands read too. */
  get curlKey(): string {
    return this.openAccess ? "" : ` -H "Authorization: Bearer $TIDEMILL_KEY"`;
  }

  may(scope: string): boolean {
    return this.view.scopes.includes(scope);
  }

  /** Ask who this is. A server that does not answer leaves what was known: pages then say so themselves. */
  async load(): Promise<void> {
    access.signIn = () => this.#toSignIn();
    try {
      this.#take((await (await send("/v1/session")).json()) as SessionView);
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 401) {
        this.known = true;
        return;
      }
      this.#take(NOBODY);
    }
    if (!this.signedIn) this.#toSignIn();
  }

  /** Begin a session with a key. Throws the server's Problem for a wrong one. */
  async signIn(key: string): Promise<void> {
    const headers = { "Content-Type": "application/json" };
    const answer = await send("/v1/session", { method: "POST", headers, body: JSON.stringify({ key }) });
    this.#take((await answer.json()) as SessionView);
    this.#tabs?.postMessage("in");
  }

  /** End the session. The page that is open is left first, so that it asks nothing more. */
  async signOut(): Promise<void> {
    this.view = { ...NOBODY, version: this.view.version };
    router.go(href("signIn"));
    await tick();
    await send("/v1/session", { method: "DELETE" });
    this.#tabs?.postMessage("out");
    await this.load();
  }

  /** Another tab signed in or out. */
  async #changed(): Promise<void> {
    await this.load();
    if (this.signedIn) this.elsewhere += 1;
  }

  #take(view: SessionView): void {
    this.view = view;
    this.known = true;
    access.csrf = view.csrf ?? "";
  }

  #toSignIn(): void {
    const { here } = router;
    if (here.name === "signIn") return;
    this.view = { ...NOBODY, version: this.view.version };
    this.known = true;
    router.go(href("signIn", { to: here.url === "/" ? "" : here.url }), "replace");
  }
}

export const session = new Session();
