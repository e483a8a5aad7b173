// published.mjs PROGRAM FOLDER...: our tokenizer (PROGRAM) against the format's own library on tokenizers as they are
// published, over generated text with words of each vocabulary in it. TEXTS a tokenizer (default 200) and SEED (default 1)
// can be given in the environment.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { compare, Native, Ours, result, someIds } from "./rivals.mjs";
import { random, text } from "./texts.mjs";

const [program, ...folders] = process.argv.slice(2);
const texts = Number(process.env.TEXTS ?? 200);
const seed = Number(process.env.SEED ?? 1);
const read = (path) => JSON.parse(readFileSync(path, "utf8"));

// Some files leave it to their config to put a beginning in front; the library by itself does not know of it.
function asConfigured(config, theirs, ours) {
  return config.add_bos_token === true && ours[0] !== theirs[0] ? [ours[0], ...theirs] : theirs;
}

async function run(folder, at) {
  const json = read(`${folder}/tokenizer.json`);
  const config = read(`${folder}/tokenizer_config.json`);
  const dice = random(seed * 1000 + at);
  const ours = new Ours(program, folder);
  const library = new Native(json);
  const vocabulary = Object.keys(json.model.vocab);
  const some = Array.from({ length: 60 }, () => dice.pick(vocabulary));
  const tokens = [...json.added_tokens.slice(0, 40).map((token) => token.content), ...some];

  for (let i = 0; i < texts; i++) {
    const string = text(dice, tokens);
    const ids = someIds(dice, vocabulary.length);
    for (const special of [false, true]) {
      const made = await ours.encode(string, special);
      const theirs = await library.encode(string, special);
      compare(folder, "native", `encode, special ${special}`, string, made, special ? asConfigured(config, theirs, made) : theirs);
      compare(folder, "native", `decode, special ${special}`, made, await ours.decode(made, special), await library.decode(made, special));
      compare(folder, "native", `decode of any ids, special ${special}`, ids, await ours.decode(ids, special), await library.decode(ids, special));
    }
  }
  ours.close();
}

for (let at = 0; at < folders.length; at++) await run(folders[at], at);
assert.equal(result.failures, 0, `${result.failures} of ${result.checks} comparisons differ`);
console.log(`${folders.length} published tokenizers, ${result.checks} comparisons equal`);
