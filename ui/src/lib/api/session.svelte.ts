/** Who uses the page: `GET /v1/session` once at the start, then what sign-in and sign-out answer. */
import { tick } from "svelte";
import { router } from "$lib/url/router.svelte";
import { href } from "$lib/url/match";
import { access, json, send } from "./client";
import { asProblem, Problem } from "./problem";

export interface SessionView {
  tenant: string | null;
  scopes: string[];
  key: { id: string; name: string } | null;
  open_access: boolean;
  csrf: string | null;
  version: string;
}

/** How long it is said that a sign-out did not succeed. */
const STAYED_MS = 20_000;
const NOBODY: SessionView = { tenant: null, scopes: [], key: null, open_access: false, csrf: null, version: "" };

class Session {
  view: SessionView = $state.raw(NOBODY);
  /** False until the server has said who this is. */
  known = $state(false);
  /** Counts sign-ins in other tabs of this browser. */
  elsewhere = $state(0);
  /** That a sign-out did not succeed, as a sentence; "" else. */
  stayed = $state("");
  /** Tenant and key of who used this page last. */
  #who = "";
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

  /** A curl line of a path or a whole URL, as a shell reads it: an apostrophe in it does not end the text. */
  curl(url: string, options = ""): string {
    const whole = url.startsWith("/") ? location.origin + url : url;
    return `curl${this.curlKey}${options} '${whole.replaceAll("'", "%27")}'`;
  }

  may(scope: string): boolean {
    return this.view.scopes.includes(scope);
  }

  /** Ask who this is. A server that does not answer leaves what was known: pages then say so themselves. */
  async load(): Promise<void> {
    access.signIn = () => this.#toSignIn();
    const before = access.changes;
    try {
      const view = await json<SessionView>("/v1/session");
      if (before !== access.changes) return; // somebody signed in meanwhile
      this.#take(view);
    } catch (error) {
      if (before !== access.changes) return;
      if (!(error instanceof Problem) || error.status !== 401) {
        this.known = true;
        return;
      }
      this.#take(NOBODY);
    }
    if (!this.signedIn) this.#toSignIn();
  }

  /**
   * Begin a session with a key. Throws the server's Problem for a wrong one. True when somebody else used this page
   * before: what it keeps is theirs, so it has to be loaded anew.
   */
  async signIn(key: string): Promise<boolean> {
    const before = this.#who;
    const headers = { "Content-Type": "application/json" };
    this.#take(await json<SessionView>("/v1/session", { method: "POST", headers, body: JSON.stringify({ key }) }));
    access.changes += 1;
    this.#tabs?.postMessage("in");
    return before !== "" && before !== this.#who;
  }

  /**
   * End the session. The page that is open is left first, so that it asks nothing more. Where the server did not end
   * the session the cookie is still good: `stayed` says so, and the page that was left is back.
   */
  async signOut(): Promise<void> {
    const { view } = this;
    const { url } = router.here;
    this.stayed = "";
    this.view = { ...NOBODY, version: view.version };
    router.go(href("signIn"));
    await tick();
    try {
      await send("/v1/session", { method: "DELETE" });
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 401) {
        this.stayed = `Not signed out: ${asProblem(error).title}. This browser still has its session.`;
        setTimeout(() => (this.stayed = ""), STAYED_MS);
        this.view = view;
        router.go(url, "replace");
        return this.load();
      }
    }
    this.#tabs?.postMessage("out");
    await this.load();
  }

  /** Another tab signed in or out. What this one keeps is of who it was: for somebody else it begins anew. */
  async #changed(): Promise<void> {
    const before = this.#who;
    await this.load();
    if (!this.signedIn) return;
    const anew = before !== "" && before !== this.#who;
    if (anew) this.known = false;
    this.elsewhere += 1;
    if (!anew) return;
    await tick();
    location.reload();
  }

  #take(view: SessionView): void {
    this.view = view;
    this.known = true;
    if (view.tenant !== null) this.#who = `${view.tenant} ${view.key?.id ?? ""}`;
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
