// harness.mjs URL TASKS EVAL...: plays lm-evaluation-harness with its local-completions backend against braid eval --serve. TASKS is
// the folder of the example tasks; each EVAL what `braid eval --json --documents` said of one of them. Every document's numbers
// must be the very same ones. What it got is left beside each EVAL as the log that the harness writes. Exits 0 when all held.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";

const [url, folder, ...evals] = process.argv.slice(2);
const batch = 24;
let checks = 0;

async function call(path, body) {
  const answer = await fetch(`${url}${path}`, body === undefined ? {} : {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: "Bearer " },
    body: JSON.stringify(body),
  });
  return { status: answer.status, doc: await answer.json() };
}

async function ok(path, body) {
  const { status, doc } = await call(path, body);
  assert.equal(status, 200, `${path}: ${JSON.stringify(doc)}`);
  checks++;
  return doc;
}

const encode = async (text) => (await ok("/tokenize", { prompt: text, add_special_tokens: true })).tokens;

// Of (context, continuation): trailing whitespace moves over, both are encoded together.
async function pair(context, continuation) {
  const bare = context.trimEnd();
  const contextIds = await encode(bare);
  const whole = await encode(bare + context.slice(bare.length) + continuation);
  return { ids: whole, context: contextIds.length };
}

async function loglikelihoods(pairs) {
  const found = [];
  for (let at = 0; at < pairs.length; at += batch) {
    const some = pairs.slice(at, at + batch);
    const { choices } = await ok("/v1/completions", {
      model: "any", prompt: some.map(({ ids }) => ids), temperature: 0, max_tokens: 1, logprobs: 1, seed: 1234, echo: true,
    });
    choices.forEach(({ index, logprobs }, i) => {
      const range = [some[i].context, -1];
      const numbers = logprobs.token_logprobs.slice(...range);
      const largest = logprobs.top_logprobs.slice(...range).map((best) => Math.max(...Object.values(best)));
      assert.equal(index, i);
      assert.equal(logprobs.token_logprobs.length, some[i].ids.length + 1);
      found.push({ sum: numbers.reduce((sum, number) => sum + number, 0), greedy: numbers.every((number, n) => number === largest[n]) });
    });
  }
  return found;
}

async function generate(contexts, stop, max_tokens) {
  const texts = [];
  for (let at = 0; at < contexts.length; at += batch) {
    const prompt = await Promise.all(contexts.slice(at, at + batch).map(encode));
    const { choices } = await ok("/v1/completions", { model: "any", prompt, max_tokens, temperature: 0, stop, seed: 1234 });
    texts.push(...choices.map((choice) => choice.text));
  }
  return texts;
}

async function checkTask(path) {
  const [[name, { documents }]] = Object.entries(JSON.parse(readFileSync(path, "utf8")).tasks);
  const yaml = readFileSync(`${folder}/${name}.yaml`, "utf8");
  const member = (key) => yaml.match(new RegExp(`^${key}: *"?([^"\\n]*)"?$`, "m"))[1];
  const delimiter = member("target_delimiter");
  const lines = readFileSync(`${folder}/${member("data")}`, "utf8").trim().split("\n").map((line) => JSON.parse(line));
  const records = new Map(lines.map((record) => [record.id, record]));
  const some = documents.slice(0, 120);
  const pairs = [];

  for (const { id } of some) {
    const { prompt, choices, answer } = records.get(id);
    for (const text of member("output_type") === "multiple_choice" ? choices : [answer]) pairs.push(await pair(prompt, delimiter + text));
  }
  const found = await loglikelihoods(pairs);
  const wanted = some.flatMap((document) => document.loglikelihoods.map((sum, i) => ({ sum, greedy: document.greedy[i] })));
  assert.deepEqual(found, wanted, `${name}: numbers differ`);
  checks += found.length;

  // One line a document, as with --log_samples.
  if (member("output_type") === "multiple_choice") {
    const log = some.map(({ id }, i) => {
      const { prompt, choices, gold } = records.get(id);
      const text = choices.map((choice, k) => [`gen_args_${k}`, { arg_0: prompt, arg_1: delimiter + choice }]);
      const resps = choices.map((_, k) => [[String(found[i * choices.length + k].sum), found[i * choices.length + k].greedy ? "True" : "False"]]);
      return JSON.stringify({ doc_id: i, target: String(gold), filter: "none", metrics: ["acc"], arguments: Object.fromEntries(text), resps });
    });
    writeFileSync(path.replace(/[^/]*$/, `samples_${name}.jsonl`), `${log.join("\n")}\n`);
  }
  if (member("output_type") === "generate_until") {
    const texts = await generate(some.map(({ id }) => records.get(id).prompt), ["\n"], 32);
    const right = texts.map((text, i) => Number(text === delimiter + records.get(some[i].id).answer));
    assert.deepEqual(right, some.map((document) => document.metrics.exact_match), `${name}: what is written differs from what is scored`);
    checks += right.length;
  }
}

const info = await ok("/tokenizer_info");
assert.equal(info.eos_token, "</s>");
assert.equal((await ok("/v1/models")).data[0].object, "model");
assert.equal((await encode("<s>"))[0], 1);

// Many at once: everybody gets the answer to what they asked.
await Promise.all(evals.map(checkTask));
const alone = await Promise.all(Array.from({ length: 16 }, (_, i) => ok("/v1/completions", { prompt: [[1, 319, 340 + i]], max_tokens: 1, logprobs: 1, echo: true })));
for (const [i, { choices }] of alone.entries()) {
  const again = await ok("/v1/completions", { prompt: [[1, 319, 340 + i]], max_tokens: 1, logprobs: 1, echo: true });
  assert.deepEqual(again.choices, choices);
}

// Some ask and leave; the others are answered.
const leaving = new AbortController();
const left = Array.from({ length: 8 }, () => fetch(`${url}/v1/completions`, {
  method: "POST", headers: { "Content-Type": "application/json" }, signal: leaving.signal, body: JSON.stringify({ prompt: "abc", max_tokens: 64 }),
}).catch(() => null));
setTimeout(() => leaving.abort(), 5);
await Promise.all(left);
await ok("/health");

const long = await call("/v1/completions", { prompt: [Array(300).fill(319)], max_tokens: 1, echo: true, logprobs: 1 });
assert.equal(long.status, 400);
assert.match(long.doc.error, /300 tokens.*context of 256/);
assert.equal((await call("/v1/completions", { prompt: "a", n: 2 })).status, 400);
const mute = await call("/v1/chat/completions", { messages: [{ role: "user", content: "a" }] });
assert.equal(mute.status, 400);
assert.match(mute.doc.error, /no chat template/);

// With the local-chat-completions backend: what is written over HTTP is what a task in chat mode scores.
if (process.env.CHAT !== undefined) {
  const [chatUrl, evaluated] = process.env.CHAT.split(" ");
  const documents = JSON.parse(readFileSync(evaluated, "utf8")).tasks.addition.documents.slice(0, 60);
  const records = new Map(readFileSync(`${folder}/addition.jsonl`, "utf8").trim().split("\n").map((line) => JSON.parse(line)).map((record) => [record.id, record]));
  const right = await Promise.all(documents.map(async ({ id }) => {
    const answer = await fetch(`${chatUrl}/v1/chat/completions`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: "Bearer " },
      body: JSON.stringify({ messages: [{ role: "user", content: records.get(id).prompt, type: "text" }], model: "any", max_tokens: 32, temperature: 0, stop: ["\n"], seed: 1234 }),
    });
    const { choices: [{ message }] } = await answer.json();
    assert.equal(message.role, "assistant");
    return Number(message.content === records.get(id).answer);
  }));
  assert.deepEqual(right, documents.map((document) => document.metrics.exact_match), "a chat differs from a task in chat mode");
  assert.ok(right.some((one) => one === 1));
  checks += right.length;
}
console.log(`${checks} answers as expected`);
