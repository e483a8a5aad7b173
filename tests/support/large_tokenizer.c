#include "tests/support/large_tokenizer.h"

#include <assert.h>
#include <string.h>

#include "base/rng.h"
#include "evaluator/model/pretokenize.h"
#include "evaluator/model/unicode.h"
#include "evaluator/model/vocab.h"

#define WORD_BYTES_MAX 16 /* of a word's spelling */

#define PATTERN                                                                           \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}|" \
    " ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"

/* Letters about as frequent as in English. */
static const char letters[] =
    "eeeeeeeeeeeetttttttttaaaaaaaaooooooooiiiiiiinnnnnnnsssssshhhhhhrrrrrr"
    "ddddlllluuucccmmmwwffggyyppbbvkjxqz";

static char letter(struct rng32 *rng)
{
    return letters[rng32_below(rng, sizeof letters - 1)];
}

/* ---- the file ---- */

static void add_bytes(struct vocab *vocab)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        char bytes[4];
        const size_t n = unicode_put(bytes, byte_level_code((unsigned char)byte));
        const int rc = vocab_add(vocab, bytes, n, byte, NULL);

        assert(rc == 0);
    }
}

static void print_string(struct text *out, const char *text, size_t n)
{
    text_add_char(out, '"');
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '"' || text[i] == '\\') {
            text_add_char(out, '\\');
        }
        text_add_char(out, text[i]);
    }
    text_add_char(out, '"');
}

/* A token to lengthen: the older ones, which are short and frequent, are drawn more often. */
static uint32_t some_token(struct rng32 *rng, size_t n)
{
    const uint32_t widest = rng32_below(rng, (uint32_t)n) + 1;

    return rng32_below(rng, widest);
}

/* One more word if the drawn pair makes a new one: a token, then a letter or another token. */
static void grow(struct vocab *vocab, struct text *merges, struct rng32 *rng)
{
    struct text word = {0};
    const char *sides[2];
    size_t sizes[2];
    const char last = letter(rng);

    sides[0] = vocab_text(vocab, some_token(rng, vocab->n), &sizes[0]);
    sides[1] = &last;
    sizes[1] = 1;
    if (rng32_below(rng, 3) == 0) {
        sides[1] = vocab_text(vocab, some_token(rng, vocab->n), &sizes[1]);
    }
    text_add_n(&word, sides[0], sizes[0]);
    text_add_n(&word, sides[1], sizes[1]);
    uint32_t known = 0;

    if (word.size <= WORD_BYTES_MAX && !vocab_find(vocab, text_get(&word), word.size, &known)) {
        struct text pair = {0};

        text_add_n(&pair, sides[0], sizes[0]);
        text_add_char(&pair, ' ');
        text_add_n(&pair, sides[1], sizes[1]);
        text_add(merges, merges->size > 0 ? ",\n" : "");
        print_string(merges, text_get(&pair), pair.size);
        vocab_add(vocab, text_get(&word), word.size, (uint32_t)vocab->n, NULL);
        text_release(&pair);
    }
    text_release(&word);
}

void large_tokenizer_print(struct text *out, size_t n_words, uint64_t seed)
{
    struct vocab vocab = {0};
    struct text merges = {0};
    struct rng32 rng;

    rng32_seed(&rng, seed, RNG_SHUFFLE);
    add_bytes(&vocab);
    while (vocab.n < n_words) {
        grow(&vocab, &merges, &rng);
    }
    text_printf(out,
                "{\"version\":\"1.0\",\"added_tokens\":[{\"id\":%zu,\"content\":\"<|end|>\","
                "\"special\":true}],\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"Sequence\","
                "\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" PATTERN "\"},"
                "\"behavior\":\"Isolated\",\"invert\":false},{\"type\":\"ByteLevel\","
                "\"add_prefix_space\":false,\"use_regex\":false}]},\"post_processor\":null,"
                "\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\","
                "\"ignore_merges\":true,\"vocab\":{",
                n_words);
    for (uint32_t id = 0; id < vocab.n; id++) {
        size_t n = 0;
        const char *text = vocab_text(&vocab, id, &n);

        text_add(out, id > 0 ? ",\n" : "");
        print_string(out, text, n);
        text_printf(out, ":%u", id);
    }
    text_printf(out, "},\"merges\":[%s]}}", text_get(&merges));
    text_release(&merges);
    vocab_release(&vocab);
}

/* ---- text ---- */

/* The same word again and again for a draw of `word`: frequent ones are few. */
static void add_word(struct text *out, uint32_t word)
{
    struct rng32 rng;

    rng32_seed(&rng, word, RNG_SHUFFLE);
    for (uint32_t n = 1 + rng32_below(&rng, 9); n > 0; n--) {
        text_add_char(out, letter(&rng));
    }
}

void large_tokenizer_text(struct text *out, size_t n, uint64_t seed)
{
    static const char *const marks[] = {".",  ",", ", ", ".\n\n", "'s",
                                        " (", ")", "\"", " - ",   "\t"};
    static const char *const others[] = {" na\xC3\xAFve", " \xD0\xBC\xD0\xB8\xD1\x80",
                                         " \xE4\xBD\xA0\xE5\xA5\xBD", " \xF0\x9F\x98\x80"};
    const size_t end = out->size + n;
    struct rng32 rng;

    rng32_seed(&rng, seed, RNG_SHUFFLE);
    while (out->size < end) {
        const uint32_t kind = rng32_below(&rng, 100);

        if (kind < 12) {
            text_add(out, marks[rng32_below(&rng, sizeof marks / sizeof *marks)]);
        } else if (kind < 14) {
            text_add(out, others[rng32_below(&rng, sizeof others / sizeof *others)]);
        } else if (kind < 17) {
            text_printf(out, " %u", rng32_below(&rng, 1u << rng32_below(&rng, 24)));
        } else {
            text_add_char(out, ' ');
            add_word(out, rng32_below(&rng, 1u << (4 + rng32_below(&rng, 14))));
        }
    }
}
