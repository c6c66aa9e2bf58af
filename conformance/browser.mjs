// A release's Control UI in a headless browser, and what happens behind its page.
// The page stands before the gateway as a reverse proxy does, so that both have one address; or, with `elsewhere`, beside
// it, and then the page itself goes to the gateway. The browser's library is the one that the release brings itself.
import { createReadStream, existsSync, readFileSync, statSync } from "node:fs";
import { createServer, request } from "node:http";
import { createRequire } from "node:module";
import { connect } from "node:net";
import path from "node:path";
import { createInterface } from "node:readline";

// What only the gateway has. The rest is files of the page.
const BEHIND = /^\/(__openclaw|avatar)\/|\/control-ui-config\.json$/;
const QUIET_MS = 700; // without an answer that is awaited, or anything new on the screen
const LIMIT_MS = 8000;
const ALERTS = "[role=alert]:visible, .callout.danger:visible, .callout--danger:visible, [class*=toast]:visible";
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
TYPES[".json"] = "application/json";
TYPES[".woff2"] = "font/woff2";
const said = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

export const print = (row) => console.log(JSON.stringify(row));

// Prints a wish, and waits for the line on standard input that says that it is fulfilled.
export async function ask(wish) {
  print(wish);
  await said.next();
}

// Hands a request on to the gateway, as a reverse proxy before both does.
function hand(gateway, { url, method, headers }, response) {
  const options = { host: "127.0.0.1", port: gateway, path: url, method, headers };
  const behind = request(options, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  behind.on("error", () => response.writeHead(502).end());
  behind.end();
}

function tunnel(port, { url, method, rawHeaders }, socket, head) {
  const gateway = connect(port, "127.0.0.1");
  const headers = rawHeaders.map((text, at) => (at % 2 ? `${text}\r\n` : `${text}: `)).join("");
  gateway.write(`${method} ${url} HTTP/1.1\r\n${headers}\r\n`);
  gateway.write(head);
  gateway.pipe(socket).pipe(gateway);
  for (const [one, other] of [[gateway, socket], [socket, gateway]]) one.on("error", () => other.destroy());
}

function serve({ port, gateway, elsewhere }, root) {
  const server = createServer((asked, response) => {
    if (!elsewhere && BEHIND.test(asked.url)) return hand(gateway, asked, response);
    const wanted = path.join(root, path.normalize(new URL(asked.url, "http://x").pathname));
    const isFile = wanted.startsWith(root) && existsSync(wanted) && statSync(wanted).isFile();
    if (!isFile && path.extname(wanted)) return response.writeHead(404).end();
    const file = isFile ? wanted : path.join(root, "index.html"); // its pages are paths of one document
    response.writeHead(200, { "content-type": TYPES[path.extname(file)] ?? "application/octet-stream" });
    // Below /settings/ the document's own files would be looked for there: OpenClaw's gateway says where they are, too.
    if (file.endsWith("index.html")) return response.end(readFileSync(file, "utf8").replaceAll('"./', '"/'));
    createReadStream(file).pipe(response);
  });
  if (!elsewhere) server.on("upgrade", (...rest) => tunnel(gateway, ...rest));
  return new Promise((resolve) => server.listen(port, "127.0.0.1", () => resolve(server)));
}

// What happens behind a page, from now on. `forget` begins anew; with the connections that it is given, on the same page.
function watch(page) {
  let seen;
  const forget = (greeted = new Set()) =>
    (seen = { errors: [], faults: [], refused: {}, asked: new Map(), greeted, last: 0 });
  forget();
  page.on("pageerror", (error) => seen.faults.push(error.message));
  page.on("console", (line) => {
    if (line.type() === "error") seen.errors.push(`${line.text()} ${line.location().url}`.trim());
  });
  page.on("websocket", (socket) => {
    socket.on("framesent", ({ payload }) => {
      const frame = JSON.parse(payload);
      seen.asked.set(frame.id, frame.method);
      seen.last = Date.now();
    });
    socket.on("framereceived", ({ payload }) => {
      const frame = JSON.parse(payload);
      if (frame.type !== "res" || !seen.asked.has(frame.id)) return;
      const method = seen.asked.get(frame.id);
      seen.asked.delete(frame.id);
      seen.last = Date.now();
      if (frame.ok && method === "connect") seen.greeted.add(socket);
      // v96 may ask in the moment between a new connection and its connect; it is refused, and connects again.
      const counts = method === "connect" || seen.greeted.has(socket);
      if (!frame.ok && counts) seen.refused[method] = frame.error?.message;
    });
    socket.on("close", () => {
      seen.greeted.delete(socket);
      seen.asked.clear();
    });
    socket.on("socketerror", (error) => seen.faults.push(`websocket: ${error}`));
  });
  return { forget, get: () => seen };
}

// Returns when nothing is awaited and nothing on the screen has changed for a moment.
export async function settle({ page, get }) {
  const end = Date.now() + LIMIT_MS;
  await page.waitForLoadState("networkidle", { timeout: LIMIT_MS }).catch(() => undefined);
  let text = "";
  while (Date.now() < end) {
    await page.waitForTimeout(QUIET_MS);
    const now = await page.evaluate(() => document.body.innerText);
    const seen = get();
    if (seen.greeted.size && !seen.asked.size && now === text && Date.now() - seen.last >= QUIET_MS) return;
    text = now;
  }
}

// Every visible line of the page, those of its components' own trees too.
const lines = () => {
  const texts = [];
  const add = (root) => {
    for (const child of root.children) if (child.innerText) texts.push(child.innerText);
    for (const each of root.querySelectorAll("*")) if (each.shadowRoot) add(each.shadowRoot);
  };
  texts.push(document.body.innerText);
  for (const each of document.querySelectorAll("*")) if (each.shadowRoot) add(each.shadowRoot);
  return [...new Set(texts.join("\n").split("\n").map((line) => line.trim()).filter(Boolean))];
};

// What can be seen of a page, and what has happened behind it since `forget`.
export async function look({ page, get }) {
  const { errors, faults, refused, greeted } = get();
  const alerts = (await page.locator(ALERTS).allInnerTexts()).map((text) => text.trim()).filter(Boolean);
  const behind = { connected: greeted.size > 0, console: errors, faults, refused };
  return { ...behind, alerts, lines: await page.evaluate(lines) };
}

// job: {package, browser, port, gateway, token, elsewhere}. The page is connected, and shows a chat.
export async function open(job) {
  const { chromium } = createRequire(path.join(job.package, "package.json"))("playwright-core");
  const server = await serve(job, path.join(job.package, "dist", "control-ui"));
  // Playwright leaves its sandbox off, so it starts as root and in containers too; every page that it sees is ours.
  const args = ["--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run", "--disable-sync"];
  args.push("--disable-background-networking", "--disable-component-update");
  const browser = await chromium.launch({ executablePath: job.browser, headless: true, args });
  const page = await browser.newPage({ viewport: { width: 1400, height: 900 } });
  const place = `http://127.0.0.1:${job.port}`;
  const words = new URLSearchParams({ token: job.token });
  if (job.elsewhere) words.set("gatewayUrl", `ws://127.0.0.1:${job.gateway}`);
  const view = { page, place, ...watch(page) };
  view.close = async () => {
    await browser.close();
    server.close();
  };
  // v21 takes the token from the query and v96 from the fragment; both keep it. v96 asks before it goes elsewhere.
  await page.goto(`${place}/chat?${words}#${words}`);
  const confirm = page.getByRole("button", { name: /^(confirm|switch to)/i });
  if (job.elsewhere) await confirm.first().click({ timeout: 4000 }).catch(() => undefined);
  await settle(view);
  return view;
}
