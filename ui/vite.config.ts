import { fileURLToPath } from "node:url";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";
import { compress } from "./scripts/compress.ts";
import { trim } from "./scripts/trim.ts";

/** The server that `npm run dev` asks: a `make run` of yours. */
const server = process.env.TIDEMILL_URL ?? "http://127.0.0.1:8080";
const asked = { target: server, changeOrigin: true, headers: { origin: server } };

type Modules = { getModuleInfo(id: string): { importers: readonly string[]; dynamicImporters: readonly string[] } | null };

/**
 * The chunk of a module that more than one page uses: what the shell needs, and what Home and another page use, is in the
 * entry, so that a first visit asks for two scripts. What other pages share is left to the bundler.
 */
function chunkOf(id: string, modules: Modules): string | null {
  const pages = new Set<string>();
  const seen = new Set<string>();
  const wanted = [id];
  for (let one = wanted.pop(); one !== undefined; one = wanted.pop()) {
    if (seen.has(one)) continue;
    seen.add(one);
    if (one.endsWith("/src/main.ts")) return "entry";
    const { importers = [], dynamicImporters = [] } = modules.getModuleInfo(one) ?? {};
    if (dynamicImporters.length > 0) pages.add(one);
    else wanted.push(...importers);
  }
  return pages.size > 1 && [...pages].some((page) => page.endsWith("/home/Page.svelte")) ? "entry" : null;
}

const unparsed = fileURLToPath(new URL("./src/lib/editor/unparsed.ts", import.meta.url));

export default defineConfig({
  plugins: [trim(), svelte(), compress()],
  resolve: {
    alias: {
      $lib: fileURLToPath(new URL("./src/lib", import.meta.url)),
      "@codemirror/language": unparsed,
      "@lezer/common": unparsed,
    },
  },
  build: {
    outDir: "../src/tidemill/ui_dist",
    emptyOutDir: true,
    target: "es2022",
    // The first with all that the page asks of a browser: popovers, and `light-dark()`, which is left as it is.
    cssTarget: ["chrome123", "firefox125", "safari17.5"],
    assetsDir: "assets",
    assetsInlineLimit: 0,
    // One style sheet, and pages that import the entry alone: nothing is to be fetched ahead of a page.
    cssCodeSplit: false,
    modulePreload: false,
    reportCompressedSize: false,
    license: { fileName: "LICENSES.txt" },
    manifest: "chunks.json",
    rolldownOptions: {
      // Svelte has no mark that says so: custom elements are made by none of our components.
      treeshake: { moduleSideEffects: [{ test: /svelte\/src\/(legacy\/|internal\/client\/dom\/elements\/custom-element)/, sideEffects: false }] },
      output: { codeSplitting: { includeDependenciesRecursively: false, groups: [{ name: chunkOf }] } },
    },
  },
  server: {
    host: "127.0.0.1",
    proxy: { "/v1": asked, "/readyz": asked, "/healthz": asked, "/openapi.json": asked, "/docs": asked, "/metrics": asked },
  },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
});
