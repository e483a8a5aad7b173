// texts.mjs - generated text: words in many scripts, and everything that tokenizers stumble over.

// A small generator with 32 bits of state (Steele, Lea, Flood 2014, the 32-bit SplitMix): the same texts for a seed.
export function random(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return (z ^ (z >>> 16)) >>> 0;
  };
  const below = (n) => next() % n;
  return { below, pick: (list) => list[below(list.length)], chance: (percent) => below(100) < percent };
}

const scripts = [
  ["the", "cat", "sat", "Hello", "WORLD", "iPhone", "it", "don", "we", "They", "word", "Norm\u00e9", "norme\u0301"],
  ["na\u00efve", "caf\u00e9", "cafe\u0301", "stra\u00dfe", "\u0130stanbul", "\u01c6ep", "\ufb01n", "\u017fin"],
  ["\u043f\u0440\u0438\u0432\u0435\u0442", "\u043c\u0438\u0440", "\u03ba\u03b1\u03bb\u03b7\u03bc\u03ad\u03c1\u03b1", "\u039f\u0394\u039f\u03a3", "\u0578\u0582"],
  ["\u0645\u0631\u062d\u0628\u0627", "\u0634\u064e\u0645\u0652\u0633", "\u05e9\u05c1\u05dc\u05d5\u05dd", "\u06f1\u06f2\u06f3"],
  ["\u0928\u092e\u0938\u094d\u0924\u0947", "\u0967\u0968\u0969", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", "\u0ba8\u0bbf"],
  ["\u4f60\u597d", "\u4e16\u754c", "\u6f22\u5b57", "\u3053\u3093\u306b\u3061\u306f", "\u30ab\u309b", "\uff76\uff9e", "\ud55c\uae00", "\u1112\u1161\u11ab", "\u3007\u4e00"],
  ["\u{1f600}", "\u{1f468}\u200d\u{1f469}\u200d\u{1f467}", "\u{1f1e9}\u{1f1ea}", "\u2764\ufe0f", "\u{1d538}", "\u{20000}", "\u{10ffff}", "\ufffd"],
];
const numbers = ["0", "7", "42", "1234567", "3.14", "1,000", "\u00bd", "\u2167", "\u00b2", "\u0664\u0662", "\u{1d7d8}", "\uff11\uff12", "1e-5"];
const spaces = [" ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", "\r", " \n ", "\u00a0", "\u2003", "\u3000", "\u2028", "\u0085", "\u180e", "\ufeff", "\u200b", "\u000b", "\u001c", "\u1680"];
const marks = [".", ",", "...", "!?", "'s", "'S", "'ll", "'RE", "'\u017f", "\u2019s", "'", "\"", "(", ")]", "--", "\u2014", "#", "_", "__", "@", "\\", "/*", "<", "<|", "|>", "<0x41>", "<0xE9>", "$", "\u20ac", "\u00bf", "\u0301", "\u0308\u0301", "\u200d", "\u0000", "\u0007", "\u007f", "\u00ad", "\u2581", "\u2581\u2581", "\u0120", "\u010a", "\u0100"];

export const words = scripts.flat().concat(numbers.slice(0, 6), ["they're", "ing", "ation", "ism", "er", "lower", "lowest", "newer", "wider"]);

// Scalar values of every plane, surrogates left out. Assigned by Unicode 13, so that every engine knows their class.
function anyCharacter(dice) {
  const ranges = [[0, 0x7f], [0x80, 0x24f], [0x250, 0x36f], [0x400, 0x52f], [0x5d0, 0x5ea], [0x904, 0x939], [0x1e00, 0x1eff],
    [0x2000, 0x206f], [0x2190, 0x22ff], [0x2460, 0x24ff], [0x3041, 0x3096], [0x4e00, 0x9fa5], [0xac00, 0xd7a3], [0xf900, 0xfa2d],
    [0xff01, 0xffbe], [0x1d400, 0x1d454], [0x1f300, 0x1f64f]];
  const [low, high] = dice.pick(ranges);
  return String.fromCodePoint(low + dice.below(high - low + 1));
}

function part(dice, tokens) {
  const kind = dice.below(100);
  if (kind < 35) return dice.pick(dice.pick(scripts));
  if (kind < 60) return dice.pick(spaces.slice(0, dice.chance(70) ? 3 : spaces.length));
  if (kind < 70) return dice.pick(numbers);
  if (kind < 82) return dice.pick(marks);
  if (kind < 90) return dice.pick(tokens);
  if (kind < 92) return dice.pick(tokens).slice(0, -1);
  if (kind < 94) return dice.pick(words).toUpperCase();
  return anyCharacter(dice);
}

// tokens: contents of added tokens, so that they occur.
export function text(dice, tokens) {
  const n = dice.chance(5) ? 200 : dice.below(16);
  let made = "";
  for (let i = 0; i < n; i++) made += part(dice, tokens);
  return made;
}
