/** Makes ../static from this folder; `npm ci && npm run build`. */

import { createHash } from "node:crypto";
import { copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const STATIC = "../static";
const SUMS = "built.sha256";
const BUNDLED = ["preact", "@preact/signals", "@preact/signals-core", "uplot"];

rmSync(STATIC, { recursive: true, force: true });
await build({
  entryPoints: [
    { in: "main.tsx", out: "app" },
    { in: "style.css", out: "app" },
  ],
  outdir: STATIC,
  bundle: true,
  minify: true,
  format: "esm",
  jsx: "automatic",
  jsxImportSource: "preact",
  target: ["chrome105", "firefox105", "safari16"],
  legalComments: "none",
});
for (const name of ["index.html", "icon.svg"]) copyFileSync(name, `${STATIC}/${name}`);
writeFileSync(`${STATIC}/LICENSES.txt`, BUNDLED.map(licence).join("\n\n"));
writeFileSync(SUMS, [...sums(".", ""), ...sums(STATIC, "../static/")].join(""));

function licence(name) {
  const { version } = JSON.parse(readFileSync(`node_modules/${name}/package.json`, "utf8"));
  const text = readFileSync(`node_modules/${name}/LICENSE`, "utf8").trim();
  return `${name} ${version}\n\n${text}\n`;
}

/** As sha256sum prints them: a test compares, so that source and built files agree. */
function sums(folder, prefix) {
  const entries = readdirSync(folder, { withFileTypes: true });
  const names = entries.filter((entry) => entry.isFile() && entry.name !== SUMS);
  return names.map(({ name }) => name).sort().map((name) => {
    const sum = createHash("sha256").update(readFileSync(`${folder}/${name}`)).digest("hex");
    return `${sum}  ${prefix}${name}\n`;
  });
}
