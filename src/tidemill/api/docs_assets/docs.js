// Filters, copies and sends on /docs. Texts only ever become text nodes; the key is read from its field for each request
// and kept nowhere else.
const MAX_SHOWN = 200000; // characters of an answer
const session = { csrf: null, ready: null };
const keyField = document.getElementById("key");

async function learnSession() {
  const says = document.querySelector("[data-says]");
  const answer = await fetch("/v1/session");
  const who = await answer.json();
  session.csrf = who.csrf;
  if (who.csrf) says.textContent = `Signed in: tenant ${who.tenant}, ${who.scopes.join(", ")}.`;
  else if (who.open_access) says.textContent = "Access is open: no key is needed.";
  else says.textContent = "Nobody is signed in: type a key, or sign in on the page.";
}

function requestOf(form) {
  const headers = new Headers(), query = new URLSearchParams();
  let path = form.dataset.path;
  for (const field of form.querySelectorAll("[data-in]")) {
    const name = field.name, value = field.value;
    if (field.dataset.in === "path") path = path.replace(`{${name}}`, encodeURIComponent(value));
    else if (value === "") continue;
    else if (field.dataset.in === "header") headers.set(name, value);
    else if (name.endsWith("*")) {
      const [tag, ...rest] = value.split("=");
      query.append(name.slice(0, -1) + tag, rest.join("="));
    } else query.append(name, value);
  }
  const body = form.querySelector("[data-body]");
  if (body) headers.set("Content-Type", form.querySelector("[data-kind]").value);
  const text = query.toString();
  return { method: form.dataset.method, url: text ? `${path}?${text}` : path, headers, body: body ? body.value : undefined };
}

function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function curlOf(request) {
  const verb = request.method === "GET" ? "" : ` -X ${request.method}`;
  const given = [...request.headers].map(([name, value]) => ` \\\n  -H ${quoted(`${name}: ${value}`)}`).join("");
  const body = request.body === undefined ? "" : ` \\\n  --data-binary ${quoted(request.body)}`;
  return `curl${verb} ${quoted(location.origin + request.url)}${given}${body}`;
}

function withAccess(request) {
  const headers = new Headers(request.headers), key = keyField.value.trim();
  if (key) headers.set("Authorization", `Bearer ${key}`);
  else if (session.csrf && request.method !== "GET") headers.set("X-Tidemill-CSRF", session.csrf);
  return { method: request.method, headers, body: request.body, credentials: key ? "omit" : "same-origin" };
}

function pretty(text, kind) {
  if (!/json/.test(kind) || /ndjson/.test(kind)) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

// The answer's text, shown while it comes, because a stream has no end; its reader stops it.
async function readText(answer, show) {
  if (!answer.body) return "";
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text;
    text += value;
    show(text);
    if (text.length > MAX_SHOWN) {
      await reader.cancel();
      return `${text.slice(0, MAX_SHOWN)}\n...`;
    }
  }
}

async function send(form) {
  const part = (name) => form.querySelector(`[data-${name}]`);
  const stop = part("stop"), state = part("state"), content = part("content"), aborter = new AbortController();
  const began = performance.now();
  stop.hidden = false;
  stop.onclick = () => aborter.abort();
  state.textContent = "Sent, waiting.";
  try {
    await session.ready;
    const request = requestOf(form);
    const answer = await fetch(request.url, { ...withAccess(request), signal: aborter.signal });
    part("status").textContent = `${answer.status} ${answer.statusText}`;
    part("headers").textContent = [...answer.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
    content.textContent = "";
    part("answer").hidden = false;
    const text = await readText(answer, (come) => (content.textContent = come));
    content.textContent = pretty(text, answer.headers.get("content-type") ?? "");
    state.textContent = `Answered in ${Math.round(performance.now() - began)} ms, ${text.length} characters.`;
  } catch (error) {
    state.textContent = error.name === "AbortError" ? "Stopped." : `The server was not reached: ${error.message}.`;
  } finally {
    stop.hidden = true;
  }
  if (form.dataset.path === "/v1/session") session.ready = learnSession();
}

function filter(words) {
  let shown = 0;
  for (const item of document.querySelectorAll("[data-find]")) {
    item.hidden = !words.every((word) => item.dataset.find.includes(word));
    shown += !item.hidden;
  }
  for (const list of document.querySelectorAll("nav ul")) {
    list.hidden = list.previousElementSibling.hidden = !list.querySelector("li:not([hidden])");
  }
  document.querySelector("[data-none]").hidden = shown > 0;
}

function openNamed() {
  const operation = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (operation instanceof HTMLDetailsElement) {
    operation.open = true;
    operation.scrollIntoView();
  }
}

for (const form of document.querySelectorAll("form.try")) {
  const curl = form.parentElement.querySelector(".curl code");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void send(form);
  });
  form.addEventListener("input", () => (curl.textContent = curlOf(requestOf(form))));
}
for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
}
document.getElementById("find-operation").addEventListener("input", (event) => {
  filter(event.target.value.toLowerCase().split(/\s+/).filter(Boolean));
});
addEventListener("hashchange", openNamed);
addEventListener("pagehide", () => (keyField.value = ""));
session.ready = learnSession().catch(() => {});
openNamed();
