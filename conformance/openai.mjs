// OpenAI's own client, as each release of OpenClaw brings it, asks the gateway that the home's config names for its
// models, for a completion, and for one as a stream. Prints what it found; ends with 1 where something is not as it was
// with OpenAI. Usage: node openai.mjs FOLDER, with the folder that has the client's node_modules.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const place = resolve(process.argv[2], "node_modules/openai/index.mjs");
const { default: OpenAI, AuthenticationError, BadRequestError } = await import(pathToFileURL(place).href);
const { port, auth } = JSON.parse(readFileSync(join(process.env.HOME, "openclaw.json"), "utf8")).gateway;
const baseURL = `http://127.0.0.1:${port}/v1`;
const client = new OpenAI({ baseURL, apiKey: auth.token });

const words = Array.from({ length: 200 }, (_, number) => `w${number}`).join(" ");
const asked = { model: "openclaw/default", messages: [{ role: "user", content: words }] };
const echoed = (text) => text.split("You said: ")[1];

const models = [];
for await (const model of client.models.list()) models.push(model.id);
assert(models.includes("openclaw/default"));
assert.equal((await client.models.retrieve("openclaw/default")).object, "model");

const whole = await client.chat.completions.create(asked);
assert.equal(echoed(whole.choices[0].message.content), words);
assert.equal(whole.choices[0].finish_reason, "stop");

const stream = await client.chat.completions.create({
  ...asked,
  stream: true,
  stream_options: { include_usage: true },
});
let text = "";
let reason = null;
let usage = null;
for await (const chunk of stream) {
  text += chunk.choices[0]?.delta.content ?? "";
  reason = chunk.choices[0]?.finish_reason ?? reason;
  usage = chunk.usage ?? usage;
}
assert.equal(echoed(text), words);
assert.equal(reason, "stop");
assert.equal(typeof usage.total_tokens, "number");

// Who goes away ends the run: the next message of the conversation does not wait for minutes of words.
const endless = { ...asked, user: "conformance", messages: [{ role: "user", content: words.repeat(200) }], stream: true };
const left = await client.chat.completions.create(endless);
for await (const chunk of left) if (chunk.choices[0]?.delta.content) break;
left.controller.abort();
const hello = [{ role: "user", content: "hello" }];
const next = await client.chat.completions.create({ ...asked, user: "conformance", messages: hello });
assert.equal(echoed(next.choices[0].message.content), "hello");

const stranger = new OpenAI({ baseURL, apiKey: "a-wrong-one", maxRetries: 0 });
await assert.rejects(stranger.models.list(), AuthenticationError);
await assert.rejects(client.chat.completions.create({ ...asked, model: "gpt-5" }), BadRequestError);

console.log(`models: ${models.join(", ")}; ${words.split(" ").length} words came back whole and as a stream`);
