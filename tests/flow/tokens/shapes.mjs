// shapes.mjs - tokenizer.json files of the published shapes, small: the components and patterns are those of the real
// files, the vocabulary is learned here from a few hundred words in many scripts.

const space = "\u2581";
const llama3 = String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;
const qwen2 = String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;
const upper = String.raw`[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`;
const lower = String.raw`[\p{Ll}\p{Lm}\p{Lo}\p{M}]`;
const cased = (ending, digits, marks) => String.raw`[^\r\n\p{L}\p{N}]?${upper}*${lower}+${ending}|[^\r\n\p{L}\p{N}]?${upper}+${lower}*${ending}` +
  String.raw`|${digits}| ?[^\s\p{L}\p{N}]+${marks}|\s*[\r\n]+|\s+(?!\S)|\s+`;
const tekken = cased("", String.raw`\p{N}`, String.raw`[\r\n/]*`);
const o200k = cased("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", String.raw`\p{N}{1,3}`, String.raw`[\r\n/]*`);
const deepseek = [String.raw`\p{N}{1,3}`, "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
  String.raw`[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_` + "`" + String.raw`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`];
const deepseekCoder = [String.raw`[\r\n]`, String.raw`\s?\p{L}+`, String.raw`\s?\p{P}+`, "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"];

// The byte alphabet of GPT-2: printable characters for all 256 bytes.
const alphabet = (() => {
  const codes = [];
  for (let byte = 0, spare = 0x100; byte < 256; byte++) {
    const itself = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    codes.push(String.fromCodePoint(itself ? byte : spare++));
  }
  return codes;
})();

const bytesOf = (text) => Array.from(new TextEncoder().encode(text), (byte) => alphabet[byte]);
const hexTokens = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);

// The n most frequent pairs, merged one after the other. words: lists of symbols.
function learn(words, n) {
  const merges = [];
  while (merges.length < n) {
    const counts = new Map();
    for (const word of words) {
      for (let i = 0; i + 1 < word.length; i++) {
        const pair = `${word[i]}\u0000${word[i + 1]}`;
        counts.set(pair, (counts.get(pair) ?? 0) + 1);
      }
    }
    let best = null;
    for (const [pair, count] of counts) {
      if (best === null || count > counts.get(best) || (count === counts.get(best) && pair < best)) best = pair;
    }
    if (best === null) break;
    const [left, right] = best.split("\u0000");
    merges.push([left, right]);
    for (const word of words) {
      for (let i = 0; i + 1 < word.length; i++) {
        if (word[i] === left && word[i + 1] === right) word.splice(i, 2, left + right);
      }
    }
  }
  return merges;
}

function numbered(tokens) {
  return Object.fromEntries([...new Set(tokens)].map((token, id) => [token, id]));
}

function special(vocab, contents, flags = {}) {
  let next = Object.keys(vocab).length;
  return contents.map((content) => ({
    id: vocab[content] ?? next++, content,
    single_word: false, lstrip: false, rstrip: false, normalized: false, special: true, ...flags,
  }));
}

function file(parts) {
  return { version: "1.0", truncation: null, padding: null, added_tokens: [], normalizer: null, pre_tokenizer: null,
    post_processor: null, decoder: null, ...parts };
}

function template(token, id) {
  return {
    type: "TemplateProcessing",
    single: [{ SpecialToken: { id: token, type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
    pair: [{ SpecialToken: { id: token, type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } },
      { SpecialToken: { id: token, type_id: 1 } }, { Sequence: { id: "B", type_id: 1 } }],
    special_tokens: { [token]: { id: token, ids: [id], tokens: [token] } },
  };
}

const byteLevel = (options = {}) => ({ type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true, ...options });
// Splits one after the other, then `more`, then bytes.
const split = (patterns, ...more) => ({
  type: "Sequence",
  pretokenizers: [
    ...[patterns].flat().map((pattern) => ({ type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false })),
    ...more, byteLevel({ use_regex: false }),
  ],
});

function byteModel(words, n, options = {}, whole = []) {
  const merges = learn(words.map(bytesOf), n);
  const vocab = numbered([...alphabet, ...merges.map((pair) => pair.join("")), ...whole.map((word) => bytesOf(word).join(""))]);
  return {
    type: "BPE", dropout: null, unk_token: null, continuing_subword_prefix: "", end_of_word_suffix: "", fuse_unk: false,
    byte_fallback: false, ignore_merges: false, vocab, merges: merges.map((pair) => pair.join(" ")), ...options,
  };
}

// Characters seen twice or more are tokens; the rest falls back to bytes.
function fallbackModel(words, n, first, options = {}) {
  const marked = words.map((word) => Array.from(word.replaceAll(" ", space)));
  const counts = new Map();
  for (const character of marked.flat()) counts.set(character, (counts.get(character) ?? 0) + 1);
  const known = [...counts.keys()].filter((character) => counts.get(character) > 1).sort();
  const merges = learn(marked.map((word) => word.filter((character) => counts.get(character) > 1)), n);
  const vocab = numbered([...first, ...hexTokens, space, ...known, ...merges.map((pair) => pair.join(""))]);
  return {
    type: "BPE", dropout: null, unk_token: "<unk>", continuing_subword_prefix: null, end_of_word_suffix: null,
    fuse_unk: true, byte_fallback: true, ignore_merges: false, vocab, merges, ...options,
  };
}

const decodeFallback = (strip) => ({
  type: "Sequence",
  decoders: [
    { type: "Replace", pattern: { String: space }, content: " " }, { type: "ByteFallback" }, { type: "Fuse" },
    ...(strip ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : []),
  ],
});

// name -> tokenizer.json; words is the text to learn from.
export function shapes(words) {
  const spaced = words.flatMap((word) => [word, ` ${word}`]);
  const runs = ["  ", "    ", "\n\n", " \n", "\r\n", "...", "!!", "''"];
  const bytes = byteModel([...spaced, ...runs, ...runs], 400);
  const bytesWhole = byteModel([...spaced, ...runs, ...runs], 250, { ignore_merges: true }, spaced.slice(-60));
  const fallback = fallbackModel(spaced, 400, ["<unk>", "<s>", "</s>"]);
  const gemma = fallbackModel([...spaced, "    ", "\n\n", "\t\t"], 400, ["<pad>", "<eos>", "<bos>", "<unk>"]);
  const chat = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];
  const all = {};

  all.gpt2 = file({
    added_tokens: special(bytes.vocab, ["<|endoftext|>"]), pre_tokenizer: byteLevel(),
    post_processor: byteLevel(), decoder: byteLevel(), model: bytes,
  });
  all["gpt2-prefix-space"] = file({ ...all.gpt2, pre_tokenizer: byteLevel({ add_prefix_space: true }) });

  const begin = special(bytesWhole.vocab, ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<|eot"]);
  all.llama3 = file({
    added_tokens: begin, pre_tokenizer: split(llama3),
    post_processor: { type: "Sequence", processors: [byteLevel(), template("<|begin_of_text|>", begin[0].id)] },
    decoder: byteLevel(), model: bytesWhole,
  });

  const tools = special(bytes.vocab, ["<tool_call>", "</tool_call>", "<think>"], { special: false });
  for (const token of tools) token.id += chat.length;
  all.qwen = file({
    added_tokens: [...special(bytes.vocab, chat), ...tools], normalizer: { type: "NFC" }, pre_tokenizer: split(qwen2),
    post_processor: byteLevel({ use_regex: false }), decoder: byteLevel({ use_regex: false }), model: bytes,
  });

  const marks = special(fallback.vocab, ["<unk>", "<s>", "</s>"]);
  all.llama2 = file({
    added_tokens: marks,
    normalizer: { type: "Sequence", normalizers: [{ type: "Prepend", prepend: space },
      { type: "Replace", pattern: { String: " " }, content: space }] },
    post_processor: template("<s>", 1), decoder: decodeFallback(true), model: fallback,
  });
  all["llama2-metaspace"] = file({
    ...all.llama2, normalizer: null,
    pre_tokenizer: { type: "Metaspace", replacement: space, prepend_scheme: "first", split: false },
  });
  all.mistral = file({
    ...all["llama2-metaspace"],
    added_tokens: [...marks, ...special(fallback.vocab, ["[INST]", "[/INST]", "[TOOL_CALLS]"])],
  });
  all["phi3"] = file({
    ...all.llama2,
    added_tokens: [...marks, ...special(fallback.vocab, ["<|system|>", "<|user|>", "<|end|>"], { rstrip: true })],
  });

  all.gemma = file({
    added_tokens: [...special(gemma.vocab, ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]),
      ...special(gemma.vocab, ["\n\n"], { special: false })].map((token, i) => (i === 6 ? { ...token, id: gemma.vocab["\n\n"] ?? token.id + 2 } : token)),
    normalizer: { type: "Replace", pattern: { String: " " }, content: space },
    pre_tokenizer: { type: "Split", pattern: { String: " " }, behavior: "MergedWithPrevious", invert: false },
    post_processor: template("<bos>", 2), decoder: decodeFallback(false), model: gemma,
  });
  all["gemma-no-split"] = file({ ...all.gemma, pre_tokenizer: null });
  const ends = special(bytes.vocab, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]);
  const codes = { added_tokens: ends, post_processor: byteLevel(), decoder: byteLevel(), model: bytes };
  const numbers = { type: "Digits", individual_digits: true };
  all.smollm = file({ ...codes, pre_tokenizer: { type: "Sequence", pretokenizers: [numbers, byteLevel()] } });
  all.olmo = file({ ...codes, normalizer: { type: "NFC" }, pre_tokenizer: byteLevel() });
  all.falcon = file({ ...codes, pre_tokenizer: { type: "Sequence", pretokenizers: [
    { type: "Punctuation", behavior: "Contiguous" }, byteLevel(), { type: "Digits", individual_digits: false },
    { type: "Split", pattern: { Regex: "[0-9][0-9][0-9]" }, behavior: "Isolated", invert: false }] } });
  all.deepseek = file({ ...codes, normalizer: { type: "Sequence", normalizers: [] }, pre_tokenizer: split(deepseek) });
  all["deepseek-coder"] = file({ ...codes, normalizer: { type: "Sequence", normalizers: [] }, pre_tokenizer: split(deepseekCoder, numbers) });
  const first = special(bytesWhole.vocab, ["<s>", "</s>", "[INST]"]);
  all["mistral-tekken"] = file({
    added_tokens: first, pre_tokenizer: split(tekken), post_processor: template("<s>", first[0].id), decoder: byteLevel(), model: bytesWhole,
  });
  all.o200k = file({ ...codes, pre_tokenizer: split(o200k) });
  return { ...all, ...rare({ bytes, fallback, marks }) };
}

// Components that are specified but that the families above leave out.
function rare({ bytes, fallback, marks }) {
  const odd = [
    ...special(bytes.vocab, ["<left>"], { lstrip: true }), ...special(bytes.vocab, ["<right>"], { rstrip: true }),
    ...special(bytes.vocab, ["wort"], { single_word: true, special: false }),
    ...special(bytes.vocab, ["Norm\u00e9"], { normalized: true, special: false }),
    ...special(bytes.vocab, ["<both>"], { lstrip: true, rstrip: true, normalized: true }),
    ...special(bytes.vocab, ["<both>er"], { normalized: true, special: false }),
  ].map((token, i) => ({ ...token, id: Object.keys(bytes.vocab).length + i }));
  const base = { added_tokens: odd, decoder: byteLevel(), model: bytes };
  const cut = (pattern, behavior, invert = false) => ({
    type: "Sequence",
    pretokenizers: [{ type: "Split", pattern, behavior, invert }, byteLevel({ use_regex: false })],
  });

  return {
    "added-lowercase": file({ ...base, normalizer: { type: "Lowercase" }, pre_tokenizer: byteLevel() }),
    "added-nfkc": file({ ...base, normalizer: { type: "Sequence", normalizers: [{ type: "NFKC" }, { type: "Strip", strip_left: true, strip_right: true }] },
      pre_tokenizer: byteLevel() }),
    "added-nfd": file({ ...base, normalizer: { type: "NFD" }, pre_tokenizer: byteLevel() }),
    "added-nfkd": file({ ...base, normalizer: { type: "NFKD" }, pre_tokenizer: byteLevel() }),
    "split-removed": file({ ...base, pre_tokenizer: cut({ Regex: "\\s+" }, "Removed") }),
    "split-next": file({ ...base, pre_tokenizer: cut({ Regex: "[\\p{P}\\s]" }, "MergedWithNext") }),
    "split-previous": file({ ...base, pre_tokenizer: cut({ String: "a" }, "MergedWithPrevious") }),
    "split-contiguous": file({ ...base, pre_tokenizer: cut({ Regex: "\\p{L}" }, "Contiguous") }),
    "split-inverted": file({ ...base, pre_tokenizer: cut({ Regex: "\\p{L}+" }, "Removed", true) }),
    "digits": file({ ...base, pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "Digits", individual_digits: true }, byteLevel()] } }),
    "digit-runs": file({ ...base, pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "Digits", individual_digits: false }, byteLevel()] } }),
    "punctuation": file({ ...base, pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "Punctuation", behavior: "Isolated" }, byteLevel()] } }),
    "punctuation-previous": file({ ...base, pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "Punctuation", behavior: "MergedWithPrevious" }, byteLevel()] } }),
    "replace-regex": file({ ...base, normalizer: { type: "Replace", pattern: { Regex: " {2,}" }, content: " " }, pre_tokenizer: byteLevel() }),
    "metaspace-always": file({ added_tokens: marks, model: fallback, pre_tokenizer: { type: "Metaspace", replacement: space, prepend_scheme: "always", split: true },
      decoder: { type: "Metaspace", replacement: space, prepend_scheme: "always", split: true } }),
    "metaspace-never": file({ added_tokens: marks, model: fallback, pre_tokenizer: { type: "Metaspace", replacement: space, prepend_scheme: "never", split: true },
      decoder: { type: "Metaspace", replacement: space, prepend_scheme: "never", split: true } }),
    "unknown-fused": file({ added_tokens: marks, model: { ...fallback, byte_fallback: false }, decoder: decodeFallback(true) }),
    "unknown-apart": file({ added_tokens: marks, model: { ...fallback, byte_fallback: false, fuse_unk: false } }),
  };
}
