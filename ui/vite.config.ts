import { fileURLToPath } from "node:url";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";
import { compress } from "./scripts/compress.ts";

/** The server that `npm run dev` asks: a `make run` of yours. */
const server = process.env.TIDEMILL_URL ?? "http://127.0.0.1:8080";
const asked = { target: server, changeOrigin: true, headers: { origin: server } };

export default defineConfig({
  plugins: [svelte(), compress()],
  resolve: { alias: { $lib: fileURLToPath(new URL("./src/lib", import.meta.url)) } },
  build: {
    outDir: "../src/tidemill/ui_dist",
    emptyOutDir: true,
    target: "es2022",
    assetsDir: "assets",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    license: { fileName: "LICENSES.txt" },
    manifest: "chunks.json",
    // What most pages use is one chunk: many small ones pack worse, and cost a request each.
    rolldownOptions: {
      output: { advancedChunks: { groups: [{ name: "common", test: /\/src\/lib\/(api|format|states|table|url|sources\/words|chart\/(bars|ticks|scale|Bars|Spark))/ }] } },
    },
  },
  server: {
    host: "127.0.0.1",
    proxy: { "/v1": asked, "/readyz": asked, "/healthz": asked, "/openapi.json": asked, "/docs": asked, "/metrics": asked },
  },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
});
