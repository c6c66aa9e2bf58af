// Walks pages of a release's Control UI in a headless browser and prints what was seen, a line of JSON for each page.
// Usage: node pages.mjs '{"package", "browser", "port", "gateway", "token", "out", "elsewhere", "restart", "pages"}'
// With `restart` each page, once connected, prints {"restart": page}, and goes on when a line comes on standard input.
// What is good or bad is judged elsewhere (sight.py).
import path from "node:path";
import { ask, look, open, print, settle } from "./browser.mjs";

const job = JSON.parse(process.argv[2]);
const view = await open(job);
const { page, place } = view;
for (const name of job.pages) {
  view.forget();
  await page.goto(`${place}/${name}`);
  await settle(view);
  if (job.restart) {
    await ask({ restart: name });
    await settle(view);
  }
  await page.screenshot({ path: path.join(job.out, `${name.replaceAll("/", "_")}.png`) });
  const links = await page.locator("a[href]").evaluateAll((found) => found.map((each) => each.href));
  const inside = links.map((href) => new URL(href)).filter((url) => url.origin === place).map((url) => url.pathname);
  print({ page: name, at: new URL(page.url()).pathname, links: [...new Set(inside)], ...(await look(view)) });
}
await view.close();
process.exit();
