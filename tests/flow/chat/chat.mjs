// chat.mjs PROGRAM TEMPLATES [GOLDEN]: our chat templates (PROGRAM, one line in, one line out) against @huggingface/jinja, over the
// templates in the folder TEMPLATES and generated conversations. What one refuses the other must refuse too. With GOLDEN, some of
// the prompts are written there for the test without node. TURNS (conversations a template, default 150) and SEED (default 1) can be
// given in the environment.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { Template } from "@huggingface/jinja";
import { random, text } from "../tokens/texts.mjs";

const [program, folder, golden] = process.argv.slice(2);
const conversations = Number(process.env.TURNS ?? 150);
const seed = Number(process.env.SEED ?? 1);

const ours = spawn(program, { stdio: ["pipe", "pipe", "inherit"] });
const lines = createInterface({ input: ours.stdout })[Symbol.asyncIterator]();

async function render(template, variables) {
  ours.stdin.write(`${JSON.stringify({ template, variables })}\n`);
  const { value, done } = await lines.next();
  assert.ok(!done, "the program ended");
  return JSON.parse(value);
}

// The other implementation looks at the clock, which therefore stands still: on the day that ours is told.
const Clock = Date;
globalThis.Date = class extends Clock {
  constructor() {
    super(2024, 6, 26);
  }
};

function renderOther(template, variables) {
  try {
    return { text: new Template(template).render(variables) };
  } catch (error) {
    return { error: String(error.message) };
  }
}

// Words as people and attackers write them. U+0085 and U+FEFF are whitespace to one language and not to the other, and so are the
// separators below U+0020; a tokenizer's special texts are welcome.
function words(dice) {
  const kind = dice.below(12);
  if (kind === 0) return "";
  if (kind === 1) return dice.pick([" ", "\n", "\n\n ", "\t", "  \u3000"]);
  if (kind === 2) return dice.pick(["<|im_end|>", "{{ bos_token }}", "{% if x %}", "</s>", "[INST] x [/INST]", "<think>\nhm\n</think>\n\nyes", "</think>", "\"quoted\"\\n"]);
  const made = text(dice, ["<|im_start|>", "<s>", "{{", "%}"]).replace(/[\u0000\u0085\ufeff\u001c-\u001f\u200b\u180e]/g, " ");
  return made.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd"); // halves of a pair
}

const tool = { type: "function", function: { name: "add", description: "Adds \u4e24 numbers", parameters: { type: "object", properties: { a: { type: "integer" }, b: { type: ["number", "null"] } }, required: ["a"] } } };

function call(dice) {
  return { role: "assistant", content: dice.chance(50) ? "" : words(dice), tool_calls: [{ id: "abcdefghi", type: "function", function: { name: "add", arguments: { a: dice.below(100), b: dice.chance(30) ? null : 2.5, c: words(dice) } } }] };
}

function conversation(dice) {
  const messages = [];
  if (dice.chance(40)) messages.push({ role: "system", content: words(dice) });
  for (let turn = dice.below(4); turn >= 0; turn--) {
    messages.push({ role: "user", content: words(dice) });
    if (dice.chance(12)) messages.push(call(dice), { role: "tool", tool_call_id: "abcdefghi", content: words(dice) });
    if (turn > 0 || dice.chance(25)) messages.push({ role: "assistant", content: words(dice) });
  }
  if (dice.chance(4)) messages.push({ role: "assistant", content: "twice" });
  return messages;
}

function variables(dice, parts) {
  const made = { messages: conversation(dice), bos_token: "<s>", eos_token: "</s>", add_generation_prompt: dice.chance(70) };
  if (dice.chance(15)) made.tools = [tool];
  else if (dice.chance(80)) made.tools = null;
  if (parts && dice.chance(30)) made.messages.forEach((message) => { if (message.role === "user") message.content = [{ type: "text", text: message.content }]; });
  return made;
}

// Where the other implementation is JavaScript's own: blank texts equal false, dicts equal only themselves, lstrip("\\n") strips all
// whitespace. It is not asked there.
function slips(file, { messages, tools }) {
  const users = messages.filter(({ role }) => role === "user").map(({ content }) => content);
  if (file === "llama2.jinja") return messages[0].role === "system" && messages[0].content.trim() === "";
  if (file === "mistral3.jinja") return Boolean(tools) && users.indexOf(users.at(-1)) < users.length - 1;
  if (file === "qwen3.jinja") return messages.some(({ role, content }) => role === "assistant" && /^\n*[^\S\n]|[^\S\n]<\/think>|<\/think>[^\S\n]/.test(content));
  return false;
}

let failures = 0;
let checks = 0;
let refused = 0;
const kept = [];

for (const file of readdirSync(folder).filter((name) => name.endsWith(".jinja")).sort()) {
  const template = readFileSync(`${folder}/${file}`, "utf8");
  const dice = random(seed * 1000 + file.length * 7 + file.charCodeAt(0));
  for (let i = 0; i < conversations; i++) {
    const given = variables(dice, template.includes("part['type']")); // others print a list, each language in its own way
    if (slips(file, given)) continue;
    const theirs = renderOther(template, given);
    const mine = await render(template, given);
    checks++;
    refused += "error" in mine;
    if (i < 8) kept.push(JSON.stringify({ template: file, variables: given, ...("error" in theirs ? { refused: true } : theirs) }));
    if (("error" in mine) !== ("error" in theirs) || mine.text !== theirs.text) {
      if (failures++ < 10) console.error(`${file}: ${JSON.stringify(given)}\n  ours:   ${JSON.stringify(mine)}\n  theirs: ${JSON.stringify(theirs)}`);
    }
  }
}
ours.stdin.end();
if (golden !== undefined) writeFileSync(golden, `${kept.join("\n")}\n`);
console.log(`${checks} prompts, ${refused} refused by both, ${failures} differ`);
process.exit(failures > 0 ? 1 : 0);
