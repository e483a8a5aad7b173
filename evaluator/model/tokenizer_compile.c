/*
 * tokenizer_compile.c - vocabulary, merges and added tokens into arrays, the rest picked out.
 *
 * Nearly all of a large tokenizer.json is two members of `model`, read from their bytes into
 * arrays. What is around them becomes a document, with null for the two and a line break for each
 * of theirs, so that errors name the right line.
 *
 *   { "added_tokens": [...], "model": { "vocab": {"a": 0, ...}, "merges": ["a b", ...] } }
 *                                               -- bytes --               -- bytes --
 */
#include "evaluator/model/tokenizer_compile.h"

#include <stdlib.h>
#include <string.h>

#include "base/doc.h"
#include "base/mem.h"
#include "evaluator/model/json_reader.h"
#include "evaluator/model/tokenizer_image.h"

enum { VOCAB, MERGES, LONG_MEMBERS };

struct compile {
    const struct tokenizer_sources *sources;
    struct json_span members[LONG_MEMBERS]; /* of tokenizer.json */
    struct vocab vocab;
    struct merge *merges; /* [n_merges] by rank */
    size_t n_merges, merges_capacity;
    uint32_t *slots; /* [n_slots] of merges */
    size_t n_slots;
    struct added_row *added; /* [n_added] */
    size_t n_added;
    struct text parts;
    struct text scratch[3]; /* texts with escapes, and what a merge makes */
};

/* ---- the model ---- */

/* The type may be missing in old files: a list of merges is what only this model has. */
static int check_type(const json_t *model, struct err *err)
{
    const char *type = NULL;
    const char *fallback = json_object_get(model, "merges") != NULL ? "BPE" : "without merges";
    const int rc = doc_text_or(model, "type", fallback, &type, err);

    if (rc != 0) {
        return rc;
    }
    return strcmp(type, "BPE") == 0
               ? 0
               : err_set(err, ERR_FORMAT, "type %s is not supported, only BPE", type);
}

/* Past the member's first bracket; *more: an element follows, else nothing does. */
static int begin_member(const struct compile *made, int which, const char brackets[2],
                        struct json_reader *reader, bool *more, struct err *err)
{
    const struct json_span *span = &made->members[which];

    if (span->end == 0) {
        return err_set(err, ERR_MISSING, "missing");
    }
    *reader = (struct json_reader){made->sources->tokenizer, span->begin, span->end};
    if (!json_reader_take(reader, brackets[0])) {
        return json_reader_expected(reader, brackets[0] == '{' ? "an object" : "a list", err);
    }
    *more = !json_reader_take(reader, brackets[1]);
    return *more || json_reader_at_end(reader)
               ? 0
               : json_reader_expected(reader, "nothing behind its end", err);
}

/* After an element: true when another follows, and at the member's last bracket when none does. */
static int next_element(struct json_reader *reader, char bracket, bool *more, struct err *err)
{
    *more = json_reader_take(reader, ',');
    return *more || (json_reader_take(reader, bracket) && json_reader_at_end(reader))
               ? 0
               : json_reader_expected(reader, "a comma or the end of the list", err);
}

static int read_word(struct compile *made, struct json_reader *reader, struct err *err)
{
    const char *text = NULL;
    size_t n = 0;
    uint32_t id = 0;

    const int rc = json_reader_string(reader, &made->scratch[0], &text, &n, err);
    if (rc != 0) {
        return rc;
    }
    if (!json_reader_take(reader, ':')) {
        return json_reader_expected(reader, "a colon", err);
    }
    return json_reader_integer(reader, VOCAB_IDS_MAX - 1, &id)
               ? vocab_add(&made->vocab, text, n, id, err)
               : err_set(err, ERR_FORMAT, "token \"%.*s\" has no usable id", (int)n, text);
}

static int read_vocab(struct compile *made, struct err *err)
{
    struct json_reader reader;
    bool more = false;

    int rc = begin_member(made, VOCAB, "{}", &reader, &more, err);
    while (rc == 0 && more) {
        rc = read_word(made, &reader, err);
        if (rc == 0) {
            rc = next_element(&reader, '}', &more, err);
        }
    }
    return rc;
}

struct side {
    const char *text;
    size_t n;
};

/* "a b": cut at its only space. */
static bool cut_sides(struct side sides[2], const char *text, size_t n)
{
    const char *space = memchr(text, ' ', n);

    if (space == NULL) {
        return false;
    }
    sides[0] = (struct side){text, (size_t)(space - text)};
    sides[1] = (struct side){space + 1, n - sides[0].n - 1};
    return memchr(sides[1].text, ' ', sides[1].n) == NULL;
}

/* The two sides of a merge, spelled ["a", "b"] or "a b". */
static int read_sides(struct compile *made, struct json_reader *reader, struct side sides[2],
                      struct err *err)
{
    const bool listed = json_reader_take(reader, '[');

    int rc = json_reader_string(reader, &made->scratch[0], &sides[0].text, &sides[0].n, err);
    if (rc != 0 || !listed) {
        return rc != 0 || cut_sides(sides, sides[0].text, sides[0].n)
                   ? rc
                   : json_reader_expected(reader, "a pair of tokens", err);
    }
    if (!json_reader_take(reader, ',')) {
        return json_reader_expected(reader, "a pair of tokens", err);
    }
    rc = json_reader_string(reader, &made->scratch[1], &sides[1].text, &sides[1].n, err);
    return rc != 0 || json_reader_take(reader, ']')
               ? rc
               : json_reader_expected(reader, "a pair of tokens", err);
}

static void add_merge(struct compile *made, struct merge merge)
{
    if (made->n_merges == made->merges_capacity) {
        made->merges_capacity += made->merges_capacity / 2 + 1024;
        made->merges = mem_resize(made->merges, made->merges_capacity, sizeof *made->merges);
    }
    made->merges[made->n_merges++] = merge;
}

/* The word that a merge makes. Most files list merges in the order of their words: the one behind
 * the last is tried first. */
static bool find_merged(const struct compile *made, const struct text *whole, uint32_t *id)
{
    const uint32_t next = made->n_merges > 0 ? made->merges[made->n_merges - 1].merged + 1 : 0;
    size_t n = 0;
    const char *text = vocab_text(&made->vocab, next, &n);

    if (text != NULL && n == whole->size && memcmp(text, text_get(whole), n) == 0) {
        *id = next;
        return true;
    }
    return vocab_find(&made->vocab, text_get(whole), whole->size, id);
}

/* prefix: what inner parts of words begin with, and a merged one does not have in its middle. */
static int read_merge(struct compile *made, struct json_reader *reader, const char *prefix,
                      struct err *err)
{
    struct side sides[2];
    struct merge merge;
    struct text *whole = &made->scratch[2];
    const size_t n_prefix = strlen(prefix);

    const int rc = read_sides(made, reader, sides, err);
    if (rc != 0) {
        return rc;
    }
    const bool marked = sides[1].n >= n_prefix && memcmp(sides[1].text, prefix, n_prefix) == 0;
    const size_t skip = marked ? n_prefix : 0;

    text_clear(whole);
    text_add_n(whole, sides[0].text, sides[0].n);
    text_add_n(whole, sides[1].text + skip, sides[1].n - skip);
    if (!vocab_find(&made->vocab, sides[0].text, sides[0].n, &merge.left) ||
        !vocab_find(&made->vocab, sides[1].text, sides[1].n, &merge.right) ||
        !find_merged(made, whole, &merge.merged)) {
        return err_set(err, ERR_FORMAT, "\"%.64s\" is not made of tokens in vocab",
                       text_get(whole));
    }
    add_merge(made, merge);
    return 0;
}

static int read_merges(struct compile *made, const json_t *model, struct err *err)
{
    struct json_reader reader;
    const char *prefix = "";
    bool more = false;
    int rc = 0;

    if (!json_is_null(json_object_get(model, "continuing_subword_prefix"))) {
        rc = doc_text_or(model, "continuing_subword_prefix", "", &prefix, err);
    }
    if (rc == 0) {
        rc = begin_member(made, MERGES, "[]", &reader, &more, err);
    }
    while (rc == 0 && more) {
        if (made->n_merges == MERGES_MAX) {
            return err_set(err, ERR_LIMIT, "more than %zu merges", MERGES_MAX);
        }
        rc = read_merge(made, &reader, prefix, err);
        if (rc != 0) {
            return err_wrap(err, "merge %zu", made->n_merges);
        }
        rc = next_element(&reader, ']', &more, err);
    }
    if (rc == 0) {
        made->slots = merges_index(made->merges, made->n_merges, &made->n_slots);
    }
    return rc;
}

static int read_model(struct compile *made, const json_t *model, struct err *err)
{
    if (!json_is_object(model)) {
        return err_set(err, ERR_FORMAT, "model is missing");
    }
    int rc = check_type(model, err);
    if (rc == 0 && read_vocab(made, err) != 0) {
        rc = err_wrap(err, "vocab");
    }
    if (rc == 0 && read_merges(made, model, err) != 0) {
        rc = err_wrap(err, "merges");
    }
    return rc == 0 ? 0 : err_wrap(err, "model");
}

/* ---- what stays a document ---- */

static json_t *picked(const json_t *from, const char *const *keys, size_t n)
{
    json_t *made = json_object();

    for (size_t i = 0; i < n; i++) {
        json_t *value = json_object_get(from, keys[i]);

        if (value != NULL) {
            json_object_set(made, keys[i], value);
        }
    }
    return made;
}

static void print_parts(struct compile *made, const json_t *tokenizer, json_t *special)
{
    static const char *const components[] = {"normalizer", "pre_tokenizer", "post_processor",
                                             "decoder"};
    static const char *const options[] = {"dropout",           "unk_token",
                                          "fuse_unk",          "byte_fallback",
                                          "ignore_merges",     "continuing_subword_prefix",
                                          "end_of_word_suffix"};
    json_t *some = picked(tokenizer, components, sizeof components / sizeof *components);
    json_t *parts = json_object();

    json_object_set_new(
        some, "model",
        picked(json_object_get(tokenizer, "model"), options, sizeof options / sizeof *options));
    json_object_set_new(parts, "tokenizer", some);
    json_object_set(parts, "special", special);
    doc_print(&made->parts, parts);
    json_decref(parts);
}

static int read_special(json_t **out, const struct tokenizer_sources *sources, struct err *err)
{
    json_t *docs[TOKENIZER_CONFIG_FILES] = {0};
    int rc = 0;

    for (size_t f = 0; rc == 0 && f < TOKENIZER_CONFIG_FILES; f++) {
        if (sources->configs[f] == NULL) {
            continue;
        }
        rc = doc_parse(&docs[f], sources->configs[f], sources->n_configs[f], err);
        if (rc == 0 && !json_is_object(docs[f])) {
            rc = err_set(err, ERR_FORMAT, "expected an object, got %s", doc_kind(docs[f]));
        }
        if (rc != 0) {
            rc = err_wrap(err, "%s", tokenizer_config_name((enum tokenizer_config_file)f));
        }
    }
    if (rc == 0) {
        *out = tokenizer_config_pick((const json_t *const *)docs);
    }
    for (size_t f = 0; f < TOKENIZER_CONFIG_FILES; f++) {
        json_decref(docs[f]);
    }
    return rc;
}

/* ---- all of it ---- */

static bool is_key(const char *bytes, const struct json_span *key, const char *name)
{
    const size_t n = key->end - key->begin;

    return n == strlen(name) && memcmp(bytes + key->begin, name, n) == 0;
}

/* Where the two long members of the object that comes next are. */
static bool find_in_model(struct compile *made, struct json_reader *reader)
{
    static const char *const names[LONG_MEMBERS] = {"vocab", "merges"};
    struct json_span key;

    if (!json_reader_take(reader, '{')) {
        return json_reader_skip(reader);
    }
    while (json_reader_key(reader, &key)) {
        const size_t begin = reader->at;

        if (!json_reader_skip(reader)) {
            return false;
        }
        for (int i = 0; i < LONG_MEMBERS; i++) {
            if (is_key(reader->bytes, &key, names[i])) {
                made->members[i] = (struct json_span){begin, reader->at};
            }
        }
    }
    return json_reader_take(reader, '}');
}

/* What is not spelled as it should be is not found, and what is left says why. */
static void find_members(struct compile *made)
{
    struct json_reader reader = {made->sources->tokenizer, 0, made->sources->n_tokenizer};
    struct json_span key;
    bool closed = json_reader_take(&reader, '{');

    while (closed && json_reader_key(&reader, &key)) {
        closed = is_key(reader.bytes, &key, "model") ? find_in_model(made, &reader)
                                                     : json_reader_skip(&reader);
    }
}

/* tokenizer.json with nothing for its two long members, which end before the others: a new
 * reference. */
static int read_rest(json_t **out, const struct compile *made, struct err *err)
{
    const char *bytes = made->sources->tokenizer;
    const int first = made->members[VOCAB].begin < made->members[MERGES].begin ? VOCAB : MERGES;
    struct text rest = {0};
    size_t done = 0;

    for (int i = 0; i < LONG_MEMBERS; i++) {
        const struct json_span *span = &made->members[(first + i) % LONG_MEMBERS];

        if (span->end == 0) {
            continue;
        }
        text_add_n(&rest, bytes + done, span->begin - done);
        text_add(&rest, "null");
        for (done = span->begin; done < span->end; done++) {
            if (bytes[done] == '\n') {
                text_add_char(&rest, '\n');
            }
        }
    }
    text_add_n(&rest, bytes + done, made->sources->n_tokenizer - done);
    const int rc = doc_parse(out, text_get(&rest), rest.size, err);

    text_release(&rest);
    return rc;
}

static int read_tokenizer(struct compile *made, json_t **json, struct err *err)
{
    find_members(made);
    int rc = read_rest(json, made, err);
    if (rc == 0) {
        rc = read_model(made, json_object_get(*json, "model"), err);
    }
    if (rc == 0) {
        rc = added_read(&made->added, &made->n_added, json_object_get(*json, "added_tokens"),
                        &made->vocab.texts, err);
    }
    return rc == 0 ? 0 : err_wrap(err, "tokenizer.json");
}

static void release(struct compile *made)
{
    vocab_release(&made->vocab);
    free(made->merges);
    free(made->slots);
    free(made->added);
    text_release(&made->parts);
    for (size_t i = 0; i < sizeof made->scratch / sizeof *made->scratch; i++) {
        text_release(&made->scratch[i]);
    }
}

int tokenizer_compile(struct text *out, const struct tokenizer_sources *sources, struct err *err)
{
    struct compile made = {.sources = sources};
    json_t *special = NULL;
    json_t *json = NULL;

    int rc = read_tokenizer(&made, &json, err);
    if (rc != 0) {
        goto out;
    }
    rc = read_special(&special, sources, err);
    if (rc != 0) {
        goto out;
    }
    print_parts(&made, json, special);
    const struct image image = {
        .parts = text_get(&made.parts),
        .n_parts = made.parts.size,
        .vocab = vocab_view(&made.vocab),
        .merges = {made.merges, made.n_merges, made.slots, made.n_slots},
        .added = made.added,
        .n_added = made.n_added,
    };

    image_write(out, &image);

out:
    json_decref(json);
    json_decref(special);
    release(&made);
    return rc;
}
