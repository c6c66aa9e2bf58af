// Walks every page of a release's Control UI in a headless browser, and prints what went wrong as JSON.
// Usage: node pages.mjs PACKAGE PORT GATEWAY_PORT TOKEN OUT PAGE...
// The browser's library is the one that the release brings itself; the browser is the machine's Chromium.
import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import path from "node:path";

const [folder, port, gatewayPort, token, out, ...pages] = process.argv.slice(2);
const { chromium } = createRequire(path.join(folder, "package.json"))("playwright-core");
const root = path.join(folder, "dist", "control-ui");
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
TYPES[".json"] = "application/json";
TYPES[".woff2"] = "font/woff2";

const files = createServer((request, response) => {
  const wanted = path.join(root, path.normalize(new URL(request.url, "http://x").pathname));
  const isFile = wanted.startsWith(root) && existsSync(wanted) && statSync(wanted).isFile();
  if (!isFile && path.extname(wanted)) return response.writeHead(404).end();
  const file = isFile ? wanted : path.join(root, "index.html"); // its pages are paths of one document
  response.writeHead(200, { "content-type": TYPES[path.extname(file)] ?? "application/octet-stream" });
  createReadStream(file).pipe(response);
});
await new Promise((resolve) => files.listen(Number(port), "127.0.0.1", resolve));

const options = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"];
options.push("--disable-background-networking", "--disable-component-update");
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", headless: true, args: options });
const page = await browser.newPage({ viewport: { width: 1400, height: 900 } });
const asked = new Map(); // id of a request -> its method
let connected = false;
let trouble = [];
page.on("pageerror", (error) => trouble.push(`page error: ${error.message}`));
page.on("console", (line) => {
  const text = `${line.text()} ${line.location().url}`;
  // v21 takes a font from the Internet; v96 asks the place that it came from for what only a gateway has there.
  const elsewhere = text.includes("https://fonts.googleapis.com/") || text.includes(`:${port}/control-ui-config.json`);
  if (line.type() === "error" && !elsewhere) trouble.push(`console: ${text}`);
});
page.on("websocket", (socket) => {
  socket.on("framesent", ({ payload }) => {
    const frame = JSON.parse(payload);
    asked.set(frame.id, frame.method);
  });
  socket.on("framereceived", ({ payload }) => {
    const frame = JSON.parse(payload);
    if (frame.type !== "res") return;
    const method = asked.get(frame.id);
    if (method === "connect" && frame.ok) connected = true;
    if (!frame.ok) trouble.push(`refused: ${method}: ${frame.error?.message}`);
  });
  socket.on("socketerror", (error) => trouble.push(`websocket: ${error}`));
});

const words = new URLSearchParams({ gatewayUrl: `ws://127.0.0.1:${gatewayPort}`, token });
const results = [];
for (const [number, name] of pages.entries()) {
  trouble = [];
  connected = false; // every page is loaded anew
  const address = `http://127.0.0.1:${port}/${name}`;
  // v21 takes the token from the query and v96 from the fragment; both keep it for the next pages.
  await page.goto(number ? address : `${address}?${words}#${words}`);
  if (!number) {
    const confirm = page.getByRole("button", { name: /^(confirm|switch to)/i });
    await confirm.first().click({ timeout: 4000 }).catch(() => undefined); // asked for another host only
    trouble = []; // until then it tried the place that the page came from
  }
  await page.waitForTimeout(2000);
  await page.screenshot({ path: path.join(out, `${name || "root"}.png`) });
  const banners = await page.locator(".callout.danger:visible, [role=alert]:visible").allInnerTexts();
  trouble.push(...banners.filter((text) => text.trim()).map((text) => `on the page: ${text.trim()}`));
  results.push({ page: name, connected, trouble: [...new Set(trouble)] });
}
await browser.close();
files.close();
console.log(JSON.stringify(results));
