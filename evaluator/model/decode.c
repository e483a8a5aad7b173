/*
 * decode.c - a list of steps, each a list of texts in, a list of texts out.
 *
 *   "\u2581caf" "<0xC3>" "<0xA9>"  --Replace-->  " caf" ...  --ByteFallback-->  " caf" "\u00e9"
 *   --Fuse-->  " caf\u00e9"  --Strip 1 left-->  "caf\u00e9"
 */
#include "evaluator/model/decode.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "evaluator/model/pattern.h"
#include "evaluator/model/steps.h"
#include "evaluator/model/unicode.h"

enum kind { BYTE_LEVEL, REPLACE, BYTE_FALLBACK, FUSE, STRIP, METASPACE };

struct step {
    enum kind kind;
    struct pattern pattern; /* REPLACE, METASPACE */
    char *content;          /* REPLACE, STRIP */
    size_t start, stop;     /* STRIP: copies of content removed at most */
    bool keeps_first;       /* METASPACE: scheme never */
};

struct decoder {
    bool joins; /* no decoder at all: spaces between tokens */
    size_t n;
    struct step *steps; /* [n] */
};

/* ---- steps ---- */

/* The bytes a byte-level token stands for; a token with a foreign character stands for itself. */
static void byte_level(struct text *out, const char *token, size_t n)
{
    const size_t before = out->size;

    for (size_t i = 0; i < n;) {
        uint32_t code = 0;
        const size_t size = unicode_next(token + i, n - i, &code);
        const int byte = byte_level_byte(code);

        if (byte < 0) {
            out->size = before;
            text_add_n(out, token, n);
            return;
        }
        text_add_char(out, (char)byte);
        i += size;
    }
}

static void run_byte_level(const struct pieces *in, struct pieces *out)
{
    struct text bytes = {0};

    for (size_t i = 0; i < in->n; i++) {
        size_t n = 0;
        const char *token = pieces_get(in, i, &n);

        byte_level(&bytes, token, n);
    }
    unicode_add_lossy(&out->text, text_get(&bytes), bytes.size);
    pieces_end(out);
    text_release(&bytes);
}

/* <0xHH>: its byte, else -1. */
static int byte_token(const char *token, size_t n)
{
    char digits[3] = {0};

    if (n != 6 || memcmp(token, "<0x", 3) != 0 || token[5] != '>') {
        return -1;
    }
    memcpy(digits, token + 3, 2);
    return strspn(digits, "0123456789abcdefABCDEF") == 2 ? (int)strtol(digits, NULL, 16) : -1;
}

/* A run of byte tokens that is not valid UTF-8 becomes as many U+FFFD as it has bytes. */
static void end_run(struct text *run, struct pieces *out)
{
    if (text_is_utf8(text_get(run), run->size, NULL)) {
        text_add_n(&out->text, text_get(run), run->size);
    } else {
        for (size_t i = 0; i < run->size; i++) {
            text_add(&out->text, "\xEF\xBF\xBD");
        }
    }
    pieces_end(out);
    text_clear(run);
}

static void run_byte_fallback(const struct pieces *in, struct pieces *out)
{
    struct text run = {0};

    for (size_t i = 0; i < in->n; i++) {
        size_t n = 0;
        const char *token = pieces_get(in, i, &n);
        const int byte = byte_token(token, n);

        if (byte >= 0) {
            text_add_char(&run, (char)byte);
            continue;
        }
        end_run(&run, out);
        text_add_n(&out->text, token, n);
        pieces_end(out);
    }
    end_run(&run, out);
    text_release(&run);
}

static void strip(const struct step *step, const char *token, size_t n, struct text *out)
{
    const size_t size = strlen(step->content);

    for (size_t i = 0; i < step->start && n >= size && memcmp(token, step->content, size) == 0;
         i++) {
        token += size;
        n -= size;
    }
    for (size_t i = 0;
         i < step->stop && n >= size && memcmp(token + n - size, step->content, size) == 0; i++) {
        n -= size;
    }
    text_add_n(out, token, n);
}

/* One token through a step that treats tokens alone. */
static int run_alone(const struct step *step, const char *token, size_t n, bool first,
                     struct text *out, struct err *err)
{
    switch (step->kind) {
    case REPLACE:
        return pattern_replace(&step->pattern, token, n, step->content, out, err);
    case STRIP:
        strip(step, token, n, out);
        return 0;
    case METASPACE:
        return pattern_replace(&step->pattern, token, n, first && !step->keeps_first ? "" : " ",
                               out, err);
    default:
        text_add_n(out, token, n);
        return 0;
    }
}

static int run_step(const struct step *step, const struct pieces *in, struct pieces *out,
                    struct err *err)
{
    int rc = 0;

    if (step->kind == BYTE_LEVEL) {
        run_byte_level(in, out);
        return 0;
    }
    if (step->kind == BYTE_FALLBACK) {
        run_byte_fallback(in, out);
        return 0;
    }
    for (size_t i = 0; rc == 0 && i < in->n; i++) {
        size_t n = 0;
        const char *token = pieces_get(in, i, &n);

        rc = run_alone(step, token, n, i == 0, &out->text, err);
        if (step->kind != FUSE || i + 1 == in->n) {
            pieces_end(out);
        }
    }
    return rc;
}

static void join(const struct pieces *pieces, const char *between, struct text *out)
{
    for (size_t i = 0; i < pieces->n; i++) {
        size_t n = 0;
        const char *piece = pieces_get(pieces, i, &n);

        if (i > 0) {
            text_add(out, between);
        }
        text_add_n(out, piece, n);
    }
}

int decoder_run(struct decoder *decoder, const struct pieces *pieces, struct text *out,
                struct err *err)
{
    struct pieces made[2] = {0};
    const struct pieces *current = pieces;
    int rc = 0;

    for (size_t s = 0; rc == 0 && s < decoder->n; s++) {
        struct pieces *next = &made[s % 2];

        pieces_clear(next);
        rc = run_step(&decoder->steps[s], current, next, err);
        current = next;
    }
    if (rc == 0) {
        join(current, decoder->joins ? " " : "", out);
    }
    pieces_release(&made[0]);
    pieces_release(&made[1]);
    return rc;
}

int decoder_run_one(struct decoder *decoder, const char *token, size_t n, struct text *out,
                    struct err *err)
{
    struct text current = {0};
    int rc = 0;

    text_add_n(&current, token, n);
    for (size_t s = 0; rc == 0 && s < decoder->n; s++) {
        const struct step *step = &decoder->steps[s];
        struct text next = {0};

        if (step->kind == STRIP) {
            continue;
        }
        const int byte =
            step->kind == BYTE_FALLBACK ? byte_token(text_get(&current), current.size) : -1;

        if (byte >= 0) {
            text_add_char(&next, (char)byte);
        } else if (step->kind == BYTE_LEVEL) {
            byte_level(&next, text_get(&current), current.size);
        } else {
            rc = run_alone(step, text_get(&current), current.size, false, &next, err);
        }
        text_release(&current);
        current = next;
    }
    if (rc == 0) {
        text_add_n(out, text_get(&current), current.size);
    }
    text_release(&current);
    return rc;
}

/* ---- reading ---- */

static int parse_replace(struct step *step, const json_t *json, struct err *err)
{
    const char *content = NULL;

    step->kind = REPLACE;
    int rc = doc_text(json, "content", &content, err);
    if (rc == 0) {
        rc = pattern_parse(&step->pattern, json, "Replace", err);
    }
    if (rc == 0) {
        step->content = mem_text(content);
    }
    return rc;
}

static int parse_strip(struct step *step, const json_t *json, struct err *err)
{
    const char *content = NULL;
    int64_t start = 0;
    int64_t stop = 0;

    step->kind = STRIP;
    int rc = doc_text(json, "content", &content, err);
    if (rc == 0) {
        rc = doc_integer(json, "start", 0, INT32_MAX, &start, err);
    }
    if (rc == 0) {
        rc = doc_integer(json, "stop", 0, INT32_MAX, &stop, err);
    }
    if (rc == 0 && *content == '\0') {
        rc = err_set(err, ERR_FORMAT, "content is empty");
    }
    if (rc == 0) {
        step->content = mem_text(content);
        step->start = (size_t)start;
        step->stop = (size_t)stop;
    }
    return rc;
}

static int parse_metaspace(struct step *step, const json_t *json, struct err *err)
{
    const char *replacement = NULL;
    const char *scheme = NULL;
    bool prefix = true;

    step->kind = METASPACE;
    int rc = doc_text_or(json, "replacement", "\xE2\x96\x81", &replacement, err);
    if (rc == 0) {
        rc = doc_bool_or(json, "add_prefix_space", true, &prefix, err);
    }
    if (rc == 0) {
        rc = doc_text_or(json, "prepend_scheme", prefix ? "always" : "never", &scheme, err);
    }
    if (rc == 0) {
        step->pattern.string = mem_text(replacement);
        step->pattern.size = strlen(replacement);
        step->keeps_first = strcmp(scheme, "never") == 0;
    }
    return rc;
}

static int parse_step(struct step *step, const json_t *json, const char *type, struct err *err)
{
    int rc = 0;

    if (strcmp(type, "ByteLevel") == 0) {
        step->kind = BYTE_LEVEL;
    } else if (strcmp(type, "ByteFallback") == 0) {
        step->kind = BYTE_FALLBACK;
    } else if (strcmp(type, "Fuse") == 0) {
        step->kind = FUSE;
    } else if (strcmp(type, "Replace") == 0) {
        rc = parse_replace(step, json, err);
    } else if (strcmp(type, "Strip") == 0) {
        rc = parse_strip(step, json, err);
    } else if (strcmp(type, "Metaspace") == 0) {
        rc = parse_metaspace(step, json, err);
    } else {
        return err_set(err, ERR_FORMAT, "type %s is not supported", type);
    }
    return rc == 0 ? 0 : err_wrap(err, "%s", type);
}

static int add_step(void *context, const json_t *json, const char *type, struct err *err)
{
    struct decoder *made = context;

    made->steps = mem_resize(made->steps, made->n + 1, sizeof *made->steps);
    made->steps[made->n] = (struct step){0};
    return parse_step(&made->steps[made->n++], json, type, err);
}

int decoder_parse(struct decoder **out, const json_t *json, struct err *err)
{
    struct decoder *made = mem_alloc(sizeof *made);

    made->joins = json == NULL || json_is_null(json);
    if (steps_read(json, "decoders", add_step, made, err) != 0) {
        decoder_free(made);
        return err_wrap(err, "decoder");
    }
    *out = made;
    return 0;
}

void decoder_free(struct decoder *decoder)
{
    if (decoder == NULL) {
        return;
    }
    for (size_t i = 0; i < decoder->n; i++) {
        pattern_release(&decoder->steps[i].pattern);
        free(decoder->steps[i].content);
    }
    free(decoder->steps);
    free(decoder);
}
