/*
 * pretokenize.c - a list of steps, each pieces in, pieces out.
 *
 *   "a bc"  --Split on " ", merged with previous-->  "a "  "bc"  --ByteLevel-->  "a\u0120"  "bc"
 */
#include "evaluator/model/pretokenize.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "evaluator/model/pattern.h"
#include "evaluator/model/steps.h"
#include "evaluator/model/unicode.h"

/* The words of GPT-2: contractions, then letters, numbers and others with a space before, then
 * spaces. */
#define BYTE_LEVEL_WORDS \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

enum kind { SPLIT, BYTE_LEVEL, METASPACE, DIGITS, PUNCTUATION };
enum behavior { ISOLATED, REMOVED, MERGED_WITH_PREVIOUS, MERGED_WITH_NEXT, CONTIGUOUS };
enum scheme { ALWAYS, FIRST, NEVER };

struct step {
    enum kind kind;
    struct pattern pattern; /* SPLIT */
    enum behavior behavior; /* SPLIT, PUNCTUATION */
    bool invert;
    bool prefix_space;   /* BYTE_LEVEL */
    struct regex *words; /* BYTE_LEVEL: NULL when it does not split */
    char *replacement;   /* METASPACE */
    enum scheme scheme;
    bool split;
    bool individual; /* DIGITS */
};

/* A stretch of a piece: a match or the gap between two. */
struct span {
    size_t begin, end;
    bool match;
};

struct spans {
    struct span *all;
    size_t n, capacity;
};

struct pretokenizer {
    size_t n;
    struct step *steps; /* [n] */
    struct pieces scratch[2];
    struct spans spans;
};

/* ---- pieces ---- */

void pieces_clear(struct pieces *pieces)
{
    text_clear(&pieces->text);
    pieces->n = 0;
    pieces->at_start = false;
}

void pieces_release(struct pieces *pieces)
{
    text_release(&pieces->text);
    free(pieces->ends);
    *pieces = (struct pieces){0};
}

const char *pieces_get(const struct pieces *pieces, size_t i, size_t *n)
{
    const size_t begin = i == 0 ? 0 : pieces->ends[i - 1];

    *n = pieces->ends[i] - begin;
    return text_get(&pieces->text) + begin;
}

void pieces_end(struct pieces *pieces)
{
    const size_t begin = pieces->n == 0 ? 0 : pieces->ends[pieces->n - 1];

    if (pieces->text.size == begin) {
        return;
    }
    if (pieces->n == pieces->capacity) {
        pieces->capacity += pieces->capacity / 2 + 16;
        pieces->ends = mem_resize(pieces->ends, pieces->capacity, sizeof *pieces->ends);
    }
    pieces->ends[pieces->n++] = pieces->text.size;
}

/* A whole piece at once; at_start counts for the very first. */
static void pieces_add(struct pieces *pieces, const char *text, size_t n, bool at_start)
{
    if (pieces->n == 0) {
        pieces->at_start = at_start;
    }
    text_add_n(&pieces->text, text, n);
    pieces_end(pieces);
}

/* ---- the byte alphabet ---- */

static bool stands_for_itself(unsigned byte)
{
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

uint32_t byte_level_code(unsigned char byte)
{
    if (stands_for_itself(byte)) {
        return byte;
    }
    if (byte <= 0x20) {
        return 0x100u + byte;
    }
    return byte <= 0xA0 ? 0x100u + 33u + (byte - 0x7Fu) : 0x143u;
}

int byte_level_byte(uint32_t code)
{
    if (code < 0x100) {
        return stands_for_itself(code) ? (int)code : -1;
    }
    if (code <= 0x120) {
        return (int)(code - 0x100);
    }
    if (code <= 0x142) {
        return (int)(code - 0x121 + 0x7F);
    }
    return code == 0x143 ? 0xAD : -1;
}

/* ---- cutting ---- */

static void spans_add(struct spans *spans, size_t begin, size_t end, bool match)
{
    if (begin == end) {
        return;
    }
    if (spans->n == spans->capacity) {
        spans->capacity += spans->capacity / 2 + 16;
        spans->all = mem_resize(spans->all, spans->capacity, sizeof *spans->all);
    }
    spans->all[spans->n++] = (struct span){begin, end, match};
}

/* Matches of the pattern and the gaps between them, in order. */
static int spans_of_pattern(struct spans *spans, const struct pattern *pattern, const char *text,
                            size_t n, struct err *err)
{
    size_t done = 0;

    spans->n = 0;
    while (done < n) {
        bool found = false;
        size_t begin = n;
        size_t end = n;

        const int rc = pattern_next(pattern, text, n, done, &found, &begin, &end, err);
        if (rc != 0) {
            return rc;
        }
        spans_add(spans, done, begin, false);
        spans_add(spans, begin, end, true);
        done = end;
    }
    return 0;
}

/* Each character of a kind is a match, the runs between them are gaps. */
static void spans_of_characters(struct spans *spans, bool (*is_one)(uint32_t code),
                                const char *text, size_t n)
{
    size_t gap = 0;
    size_t at = 0;

    spans->n = 0;
    while (at < n) {
        uint32_t code = 0;
        const size_t size = unicode_next(text + at, n - at, &code);

        if (is_one(code)) {
            spans_add(spans, gap, at, false);
            spans_add(spans, at, at + size, true);
            gap = at + size;
        }
        at += size;
    }
    spans_add(spans, gap, n, false);
}

/* True when span i stays in one piece with the one before it. */
static bool is_glued(const struct spans *spans, size_t i, enum behavior behavior)
{
    const struct span *before = &spans->all[i - 1];
    const struct span *here = &spans->all[i];

    switch (behavior) {
    case MERGED_WITH_PREVIOUS:
        return here->match && !before->match;
    case MERGED_WITH_NEXT:
        return before->match && !here->match;
    case CONTIGUOUS:
        return here->match == before->match;
    default:
        return false;
    }
}

static void cut(const struct spans *spans, enum behavior behavior, const char *text, bool at_start,
                struct pieces *out)
{
    for (size_t i = 0; i < spans->n;) {
        const size_t begin = spans->all[i].begin;
        const bool dropped = behavior == REMOVED && spans->all[i].match;

        do {
            i++;
        } while (i < spans->n && is_glued(spans, i, behavior));
        if (!dropped) {
            pieces_add(out, text + begin, spans->all[i - 1].end - begin, at_start && begin == 0);
        }
    }
}

static int run_split(struct pretokenizer *all, const struct step *step, const char *text, size_t n,
                     bool at_start, struct pieces *out, struct err *err)
{
    struct spans *spans = &all->spans;
    const int rc = spans_of_pattern(spans, &step->pattern, text, n, err);

    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; step->invert && i < spans->n; i++) {
        spans->all[i].match = !spans->all[i].match;
    }
    cut(spans, step->behavior, text, at_start, out);
    return 0;
}

/* ---- the other steps ---- */

static void add_byte_level(struct pieces *out, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const unsigned char byte = (unsigned char)text[i];

        if (byte >= 0x21 && byte <= 0x7E) {
            text_add_char(&out->text, text[i]);
        } else {
            char bytes[4];

            text_add_n(&out->text, bytes, unicode_put(bytes, byte_level_code(byte)));
        }
    }
    pieces_end(out);
}

static int run_byte_level(const struct step *step, const char *text, size_t n, bool at_start,
                          struct pieces *out, struct err *err)
{
    struct text prefixed = {0};
    size_t done = 0;
    int rc = 0;

    if (out->n == 0) {
        out->at_start = at_start;
    }
    if (step->prefix_space && text[0] != ' ') {
        text_add_char(&prefixed, ' ');
        text_add_n(&prefixed, text, n);
        text = text_get(&prefixed);
        n++;
    }
    while (rc == 0 && done < n) {
        bool found = false;
        size_t begin = n;
        size_t end = n;

        if (step->words != NULL) {
            rc = regex_next(step->words, text, n, done, &found, &begin, &end, err);
        }
        if (rc == 0) {
            add_byte_level(out, text + done, begin - done);
            add_byte_level(out, text + begin, end - begin);
            done = end;
        }
    }
    text_release(&prefixed);
    return rc;
}

static void run_metaspace(const struct step *step, const char *text, size_t n, bool at_start,
                          struct pieces *out)
{
    const char *mark = step->replacement;
    const size_t size = strlen(mark);
    const bool wanted = step->scheme == ALWAYS || (step->scheme == FIRST && at_start);

    if (out->n == 0) {
        out->at_start = at_start;
    }
    if (wanted && text[0] != ' ' && (n < size || memcmp(text, mark, size) != 0)) {
        text_add_n(&out->text, mark, size);
    }
    for (size_t i = 0; i < n;) {
        const bool space = text[i] == ' ';
        const bool marked = n - i >= size && memcmp(text + i, mark, size) == 0;

        if (step->split && (space || marked) && i > 0) {
            pieces_end(out);
        }
        if (space) {
            text_add_n(&out->text, mark, size);
            i++;
        } else if (marked) {
            text_add_n(&out->text, mark, size);
            i += size;
        } else {
            text_add_char(&out->text, text[i++]);
        }
    }
    pieces_end(out);
}

static int run_step(struct pretokenizer *all, const struct step *step, const char *text, size_t n,
                    bool at_start, struct pieces *out, struct err *err)
{
    switch (step->kind) {
    case SPLIT:
        return run_split(all, step, text, n, at_start, out, err);
    case BYTE_LEVEL:
        return run_byte_level(step, text, n, at_start, out, err);
    case METASPACE:
        run_metaspace(step, text, n, at_start, out);
        return 0;
    case DIGITS:
        spans_of_characters(&all->spans, unicode_is_numeric, text, n);
        cut(&all->spans, step->individual ? ISOLATED : CONTIGUOUS, text, at_start, out);
        return 0;
    case PUNCTUATION:
        spans_of_characters(&all->spans, unicode_is_punctuation, text, n);
        cut(&all->spans, step->behavior, text, at_start, out);
        return 0;
    }
    return 0;
}

/* One step over all pieces; the result may have max bytes. */
static int run_over(struct pretokenizer *all, const struct step *step, const struct pieces *from,
                    size_t max, struct pieces *to, struct err *err)
{
    int rc = 0;

    pieces_clear(to);
    for (size_t i = 0; rc == 0 && i < from->n; i++) {
        size_t size = 0;
        const char *piece = pieces_get(from, i, &size);

        rc = run_step(all, step, piece, size, i == 0 && from->at_start, to, err);
        if (rc == 0 && to->text.size > max) {
            rc = err_set(err, ERR_LIMIT, "a text grows past %zu bytes", max);
        }
    }
    return rc;
}

int pretokenizer_run(struct pretokenizer *pretokenizer, const char *text, size_t n, bool at_start,
                     struct pieces *out, struct err *err)
{
    struct pieces *from = &pretokenizer->scratch[0];
    struct pieces *to = &pretokenizer->scratch[1];

    pieces_clear(from);
    pieces_add(from, text, n, at_start);
    for (size_t s = 0; s < pretokenizer->n; s++) {
        const int rc =
            run_over(pretokenizer, &pretokenizer->steps[s], from, PATTERN_GROWTH_MAX(n), to, err);

        if (rc != 0) {
            return err_wrap(err, "pre-tokenizer");
        }
        struct pieces *swapped = from;

        from = to;
        to = swapped;
    }
    for (size_t i = 0; i < from->n; i++) {
        size_t size = 0;
        const char *piece = pieces_get(from, i, &size);

        pieces_add(out, piece, size, false);
    }
    return 0;
}

/* ---- reading ---- */

/* The index of the text member `key` among names [n]. */
static int choose(const json_t *json, const char *key, const char *fallback,
                  const char *const *names, size_t n, size_t *out, struct err *err)
{
    const char *name = NULL;
    const int rc = doc_text_or(json, key, fallback, &name, err);

    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < n; i++) {
        if (strcmp(name, names[i]) == 0) {
            *out = i;
            return 0;
        }
    }
    return err_set(err, ERR_FORMAT, "%s %s is not supported", key, name);
}

static int parse_behavior(struct step *step, const json_t *json, struct err *err)
{
    static const char *const names[] = {"Isolated", "Removed", "MergedWithPrevious",
                                        "MergedWithNext", "Contiguous"};
    size_t behavior = 0;
    const int rc = choose(json, "behavior", "Isolated", names, 5, &behavior, err);

    if (rc == 0) {
        step->behavior = (enum behavior)behavior;
    }
    return rc;
}

static int parse_split(struct step *step, const json_t *json, struct err *err)
{
    step->kind = SPLIT;
    int rc = parse_behavior(step, json, err);
    if (rc == 0) {
        rc = doc_bool_or(json, "invert", false, &step->invert, err);
    }
    if (rc == 0) {
        rc = pattern_parse(&step->pattern, json, "Split", err);
    }
    return rc;
}

static int parse_byte_level(struct step *step, const json_t *json, struct err *err)
{
    bool use_regex = true;

    step->kind = BYTE_LEVEL;
    int rc = doc_bool_or(json, "add_prefix_space", true, &step->prefix_space, err);
    if (rc == 0) {
        rc = doc_bool_or(json, "use_regex", true, &use_regex, err);
    }
    if (rc == 0 && use_regex) {
        rc = regex_compile(&step->words, BYTE_LEVEL_WORDS, err);
    }
    return rc;
}

/* Old files say add_prefix_space: false, which is the scheme "never" and nothing else. */
static int parse_scheme(struct step *step, const json_t *json, struct err *err)
{
    static const char *const names[] = {"always", "first", "never"};
    const bool given = json_object_get(json, "prepend_scheme") != NULL;
    bool prefix = true;
    size_t scheme = 0;

    int rc = doc_bool_or(json, "add_prefix_space", true, &prefix, err);
    if (rc == 0) {
        rc = choose(json, "prepend_scheme", prefix ? "always" : "never", names, 3, &scheme, err);
    }
    if (rc == 0 && !prefix && given && scheme != NEVER) {
        rc = err_set(err, ERR_FORMAT, "add_prefix_space contradicts prepend_scheme");
    }
    if (rc == 0) {
        step->scheme = (enum scheme)scheme;
    }
    return rc;
}

static int parse_metaspace(struct step *step, const json_t *json, struct err *err)
{
    const char *replacement = NULL;

    step->kind = METASPACE;
    int rc = doc_text_or(json, "replacement", "\xE2\x96\x81", &replacement, err);
    if (rc == 0 && unicode_count(replacement, strlen(replacement)) != 1) {
        rc = err_set(err, ERR_FORMAT, "replacement is not one character");
    }
    if (rc == 0) {
        step->replacement = mem_text(replacement);
        rc = parse_scheme(step, json, err);
    }
    if (rc == 0) {
        rc = doc_bool_or(json, "split", true, &step->split, err);
    }
    return rc;
}

static int parse_step(struct step *step, const json_t *json, const char *type, struct err *err)
{
    int rc = 0;

    if (strcmp(type, "Split") == 0) {
        rc = parse_split(step, json, err);
    } else if (strcmp(type, "ByteLevel") == 0) {
        rc = parse_byte_level(step, json, err);
    } else if (strcmp(type, "Metaspace") == 0) {
        rc = parse_metaspace(step, json, err);
    } else if (strcmp(type, "Digits") == 0) {
        step->kind = DIGITS;
        rc = doc_bool_or(json, "individual_digits", false, &step->individual, err);
    } else if (strcmp(type, "Punctuation") == 0) {
        step->kind = PUNCTUATION;
        rc = parse_behavior(step, json, err);
    } else {
        return err_set(err, ERR_FORMAT, "type %s is not supported", type);
    }
    return rc == 0 ? 0 : err_wrap(err, "%s", type);
}

static int add_step(void *context, const json_t *json, const char *type, struct err *err)
{
    struct pretokenizer *made = context;

    made->steps = mem_resize(made->steps, made->n + 1, sizeof *made->steps);
    made->steps[made->n] = (struct step){0};
    return parse_step(&made->steps[made->n++], json, type, err);
}

int pretokenizer_parse(struct pretokenizer **out, const json_t *json, struct err *err)
{
    struct pretokenizer *made = mem_alloc(sizeof *made);

    if (steps_read(json, "pretokenizers", add_step, made, err) != 0) {
        pretokenizer_free(made);
        return err_wrap(err, "pre_tokenizer");
    }
    *out = made;
    return 0;
}

void pretokenizer_free(struct pretokenizer *pretokenizer)
{
    if (pretokenizer == NULL) {
        return;
    }
    for (size_t i = 0; i < pretokenizer->n; i++) {
        pattern_release(&pretokenizer->steps[i].pattern);
        regex_free(pretokenizer->steps[i].words);
        free(pretokenizer->steps[i].replacement);
    }
    free(pretokenizer->steps);
    pieces_release(&pretokenizer->scratch[0]);
    pieces_release(&pretokenizer->scratch[1]);
    free(pretokenizer->spans.all);
    free(pretokenizer);
}
