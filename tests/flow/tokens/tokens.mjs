// tokens.mjs PROGRAM FOLDER: our tokenizer (PROGRAM, one line in, one line out) against two others over generated text:
// the Rust library that defines the file format, and its rewrite in JavaScript. Every shape of shapes.mjs is written
// into FOLDER. TEXTS a shape (default 300) and SEED (default 1) can be given in the environment.
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { compare, Native, Ours, result, Script, someIds } from "./rivals.mjs";
import { shapes } from "./shapes.mjs";
import { random, text, words } from "./texts.mjs";

const [program, folder] = process.argv.slice(2);
const texts = Number(process.env.TEXTS ?? 300);
const seed = Number(process.env.SEED ?? 1);
const foreignSpaces = /[\u0085\ufeff]/;

// The rewrite knows the published families but not every option; its digits are those of ASCII; its words of GPT-2 go by
// JavaScript's idea of a space; of byte tokens it drops a byte order mark and repairs a broken run as UTF-8 usually is,
// where the library writes one U+FFFD a byte. It is asked only about what it does.
const notInScript = new Set(["added-lowercase", "added-nfkc", "added-nfd", "added-nfkd", "split-removed", "split-next", "split-previous",
  "split-contiguous", "split-inverted", "digits", "digit-runs", "replace-regex", "metaspace-always", "metaspace-never",
  "unknown-fused", "unknown-apart", "phi3", "smollm", "falcon", "deepseek-coder", "punctuation", "punctuation-previous"]);

async function run(name, json, at) {
  const path = `${folder}/${name}`;
  mkdirSync(path, { recursive: true });
  writeFileSync(`${path}/tokenizer.json`, JSON.stringify(json));

  const dice = random(seed * 1000 + at);
  const ours = new Ours(program, path);
  const others = { native: new Native(json), ...(notInScript.has(name) ? {} : { script: new Script(json) }) };
  const tokens = json.added_tokens.map((token) => token.content);
  const ids = new Set([...Object.values(json.model.vocab), ...json.added_tokens.map((token) => token.id)]);

  for (let i = 0; i < texts; i++) {
    const string = text(dice, tokens);
    const random_ids = someIds(dice, ids.size);
    for (const special of [false, true]) {
      const made = await ours.encode(string, special);
      const back = await ours.decode(made, special);
      const foreign = await ours.decode(random_ids, special);
      for (const [other, tokenizer] of Object.entries(others)) {
        if (other === "script" && /^(gpt2|olmo)/.test(name) && foreignSpaces.test(string)) continue;
        compare(name, other, `encode, special ${special}`, string, made, await tokenizer.encode(string, special));
        if (other === "script" && json.model.byte_fallback) {
          const unmarked = (decoded) => decoded.replaceAll("\ufeff", "");
          compare(name, other, `decode, special ${special}`, made, unmarked(back), unmarked(await tokenizer.decode(made, special)));
        } else {
          compare(name, other, `decode, special ${special}`, made, back, await tokenizer.decode(made, special));
          compare(name, other, `decode of any ids, special ${special}`, random_ids, foreign, await tokenizer.decode(random_ids, special));
        }
      }
    }
  }
  ours.close();
}

const all = Object.entries(shapes(words));
for (let at = 0; at < all.length; at++) await run(...all[at], at);
assert.equal(result.failures, 0, `${result.failures} of ${result.checks} comparisons differ`);
console.log(`${all.length} tokenizers, ${result.checks} comparisons equal`);
