// rivals.mjs: our tokenizer (a program, one line in, one line out), the Rust library that defines the file format, and its
// rewrite in JavaScript, all asked the same way; and a count of what differs.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import native from "@anush008/tokenizers";
import * as script from "@huggingface/tokenizers";

const hex = (string) => Buffer.from(string, "utf8").toString("hex");

export class Ours {
  constructor(program, path) {
    this.process = spawn(program, [path], { stdio: ["pipe", "pipe", "inherit"] });
    this.lines = createInterface({ input: this.process.stdout })[Symbol.asyncIterator]();
  }
  async ask(line) {
    this.process.stdin.write(`${line}\n`);
    const { value, done } = await this.lines.next();
    assert.ok(!done, `the program ended at: ${line}`);
    return value;
  }
  async encode(string, special) {
    const line = await this.ask(`${special ? "encode-special" : "encode"} ${hex(string)}`);
    return line === "" ? [] : line.split(" ").map(Number);
  }
  async decode(ids, special) {
    return Buffer.from(await this.ask(`${special ? "decode-special" : "decode"} ${ids.join(" ")}`), "hex").toString("utf8");
  }
  close() {
    this.process.stdin.end();
  }
}

export class Native {
  constructor(json) {
    this.tokenizer = native.Tokenizer.fromString(JSON.stringify(json));
  }
  async encode(string, special) {
    return (await this.tokenizer.encode(string, null, { addSpecialTokens: special })).getIds();
  }
  async decode(ids, special) {
    return this.tokenizer.decode(ids, !special);
  }
}

export class Script {
  constructor(json) {
    this.tokenizer = new script.Tokenizer(json, { clean_up_tokenization_spaces: false });
  }
  async encode(string, special) {
    return this.tokenizer.encode(string, { add_special_tokens: special }).ids;
  }
  async decode(ids, special) {
    return ids.length === 0 ? "" : this.tokenizer.decode(ids, { skip_special_tokens: !special });
  }
}

function show(string) {
  return JSON.stringify(string).replace(/[^\x20-\x7e]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

export const result = { checks: 0, failures: 0 };

export function compare(name, other, what, input, ours, theirs) {
  result.checks++;
  if (JSON.stringify(ours) === JSON.stringify(theirs)) return;
  result.failures++;
  if (result.failures <= 20) console.log(`${name}, ${other}, ${what}\n  in     ${show(input)}\n  ours   ${show(ours)}\n  theirs ${show(theirs)}`);
}

export function someIds(dice, size) {
  return Array.from({ length: 1 + dice.below(12) }, () => dice.below(size));
}
