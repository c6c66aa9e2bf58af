// Talks in the chat of a release's Control UI, in a headless browser, and prints what was seen, a line of JSON for each act.
// Usage: node chats.mjs '{"package", "modern", "browser", "port", "gateway", "token", "out", "acts": [{"name", "label", "texts"}]}'
// The act `restart` prints {"restart": act} in the middle of its answer, and goes on when a line comes on standard input.
// What is good or bad is judged elsewhere (scene.py).
import path from "node:path";
import { ask, look, open, print, settle } from "./browser.mjs";

const job = JSON.parse(process.argv[2]);
const LOOK_MS = 80;
const QUIET_MS = 1200; // without an answer under way: then all are over
const LIMIT_MS = 60000; // for one answer
const MIDDLE = 260; // characters of an answer that is in its middle
const OWN = "agent:main:conformance"; // a session of its own, where a page does not make one itself
const STOP = 'button[aria-label="Stop generating"], .chat-compose button:text-is("Stop")';

const view = await open(job);
const { page, place } = view;
page.on("dialog", (dialog) => dialog.accept());

// v96 leaves the chat of another session in the document, unseen.
const SEEN = { visibilityProperty: true, opacityProperty: true };
async function shown(selector) {
  for (const each of (await page.locator(selector).elementHandles()).reverse()) {
    if (await each.evaluate((element, seen) => element.checkVisibility(seen), SEEN)) return each;
  }
  return undefined;
}

// [role, text] of every message that is shown, in their order; an answer that is being written is the last one.
const messages = () =>
  page.evaluate((seen) => {
    const groups = [...document.querySelectorAll(".chat-group")].filter((group) => group.checkVisibility(seen));
    return groups.flatMap((group) => {
      const role = ["user", "assistant"].find((each) => group.classList.contains(each)) ?? "other";
      return [...group.querySelectorAll(".chat-text")].map((text) => [role, text.innerText.trim()]);
    });
  }, SEEN);
const composer = () => shown('textarea[placeholder^="Message"]');
const busy = async () => Boolean(await shown(STOP));
const last = async () => (await messages()).filter(([role]) => role === "assistant").at(-1)?.[1] ?? "";

async function say(text) {
  const box = await composer();
  await box.fill(text);
  await box.press("Enter");
  if ((await box.inputValue()).trim() === text) await box.press("Enter"); // v96 lets choose a command first
}

async function until(done) {
  const end = Date.now() + LIMIT_MS;
  while (!(await done())) {
    if (Date.now() > end) return false;
    await page.waitForTimeout(LOOK_MS);
  }
  return true;
}

async function awaited(selector) {
  await until(() => shown(selector));
  const found = await shown(selector);
  if (!found) throw new Error(`there is no ${selector} at ${page.url()}`);
  return found;
}
const press = async (selector) => (await awaited(selector)).click();

// Waits for the end of every answer; the last message as it grew meanwhile.
async function over(before) {
  const grown = [];
  let quiet = Date.now();
  await until(async () => {
    const [text, goes] = [await last(), await busy()];
    const grows = text !== before && text !== grown.at(-1);
    if (grows) grown.push(text);
    if (goes || grows) quiet = Date.now();
    return Date.now() - quiet > QUIET_MS;
  });
  return grown;
}

// Types a text and waits until its answer is in its middle.
async function toTheMiddle(text) {
  const before = await last();
  await say(text);
  return { before, began: await until(async () => (await last()) !== before && (await last()).length > MIDDLE) };
}

// What all releases have.
const common = {
  async send({ texts }) {
    const before = await last();
    await say(texts[0]);
    return { grown: await over(before) };
  },
  async reload() {
    await page.reload();
    await settle(view);
  },
  async reopen({ texts }) {
    const { before, began } = await toTheMiddle(texts[0]);
    await page.reload();
    return { began, grown: await over(before) };
  },
  async restart({ name, texts }) {
    const { before, began } = await toTheMiddle(texts[0]);
    await ask({ restart: name });
    return { began, grown: await over(before) };
  },
  async stop({ texts }) {
    const { began } = await toTheMiddle(texts[0]);
    await press(STOP);
    const stopped = await until(async () => !(await busy()));
    await page.waitForTimeout(QUIET_MS);
    const box = await composer();
    await box.fill("usable");
    const usable = (await box.isEnabled()) && (await box.inputValue()) === "usable";
    await box.fill("");
    return { began, stopped, usable };
  },
  async queue({ texts }) {
    const { before, began } = await toTheMiddle(texts[0]);
    await say(texts[1]);
    await over(before);
    return { began };
  },
  async sessions() {
    await page.goto(`${place}/sessions`);
  },
};

const OLD_ROW = `.table-row:has(a[href*="${encodeURIComponent(OWN)}"])`;
const older = {
  async begin() {
    await page.goto(`${place}/chat?session=${OWN}`);
  },
  async models() {
    await page.goto(`${place}/debug`);
  },
  async rename({ texts }) {
    const field = await awaited(`${OLD_ROW} input`);
    await field.fill(texts[0]);
    await field.press("Tab");
    await settle(view);
    await page.reload();
    await settle(view);
    return { renamed: (await (await awaited(`${OLD_ROW} input`)).inputValue()) === texts[0] };
  },
  async remove() {
    await press(`${OLD_ROW} button:text-is("Delete")`);
    await settle(view);
    await press('button:text-is("Refresh")'); // it does not do that itself
  },
};
const newer = {
  async begin() {
    await say("/new");
  },
  async choose({ texts }) {
    const trigger = (name) => `[data-chat-model-select]:has-text("${name}")`;
    const option = `[data-chat-model-option]:has-text("${texts[1]}")`;
    await press(trigger(texts[0]));
    await page.waitForTimeout(QUIET_MS);
    if (!(await shown(option))) await press("[data-chat-model-group-toggle]");
    await press(option);
    await settle(view);
    return { chosen: Boolean(await shown(trigger(texts[1]))) };
  },
  async sessions() {
    await settle(view); // they stand beside the chat
  },
  async rename({ texts }) {
    await press("button.chat-pane__session-title-button");
    const field = await awaited("input.chat-pane__session-title-input");
    await field.fill(texts[0]);
    await field.press("Enter");
    await settle(view);
    await page.reload();
  },
  async remove() {
    await press("button.chat-header-session-menu__trigger");
    await press('wa-dropdown-item[value="delete"]');
    await press('button.danger:text-is("Delete")');
  },
};
const acts = { ...common, ...(job.modern ? newer : older) };

for (const act of job.acts) {
  view.forget(view.get().greeted);
  const found = await acts[act.name](act);
  await settle(view);
  await page.screenshot({ path: path.join(job.out, `${act.label.replaceAll(/\W+/g, "_")}.png`) });
  print({ act: act.label, ...found, messages: await messages(), ...(await look(view)) });
}
await view.close();
process.exit();
