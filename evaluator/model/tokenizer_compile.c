/*
 * tokenizer_compile.c - vocabulary, merges and added tokens into arrays, the rest picked out.
 */
#include "evaluator/model/tokenizer_compile.h"

#include <stdlib.h>
#include <string.h>

#include "base/doc.h"
#include "base/mem.h"
#include "evaluator/model/tokenizer_image.h"

struct compile {
    struct vocab vocab;
    struct merge *merges; /* [n_merges] by rank */
    size_t n_merges;
    uint32_t *slots; /* [n_slots] of merges */
    size_t n_slots;
    struct added_row *added; /* [n_added] */
    size_t n_added;
    struct text parts;
    struct text scratch;
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

static int read_vocab(struct compile *made, const json_t *model, struct err *err)
{
    json_t *vocab = NULL;
    const char *text = NULL;
    json_t *id = NULL;

    int rc = doc_object(model, "vocab", &vocab, err);
    json_object_foreach(vocab, text, id)
    {
        if (rc != 0) {
            break;
        }
        if (!json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) >= (json_int_t)VOCAB_IDS_MAX) {
            rc = err_set(err, ERR_FORMAT, "vocab: token \"%.64s\" has no usable id", text);
        } else {
            rc = vocab_add(&made->vocab, text, strlen(text), (uint32_t)json_integer_value(id), err);
        }
    }
    return rc;
}

/* The two sides of a merge, spelled ["a", "b"] or "a b". */
static bool merge_sides(const json_t *json, const char *sides[2], size_t sizes[2])
{
    if (json_is_string(json)) {
        const char *text = json_string_value(json);
        const char *space = strchr(text, ' ');

        if (space == NULL || strchr(space + 1, ' ') != NULL) {
            return false;
        }
        sides[0] = text;
        sizes[0] = (size_t)(space - text);
        sides[1] = space + 1;
        sizes[1] = strlen(space + 1);
        return true;
    }
    if (json_array_size(json) != 2) {
        return false;
    }
    for (size_t i = 0; i < 2; i++) {
        const json_t *side = json_array_get(json, i);

        if (!json_is_string(side)) {
            return false;
        }
        sides[i] = json_string_value(side);
        sizes[i] = json_string_length(side);
    }
    return true;
}

/* prefix: what inner parts of words begin with, and a merged one does not have in its middle. */
static int read_merge(struct compile *made, const json_t *json, const char *prefix, size_t rank,
                      struct err *err)
{
    const char *sides[2];
    size_t sizes[2];
    struct merge *merge = &made->merges[rank];
    const size_t n_prefix = strlen(prefix);

    if (!merge_sides(json, sides, sizes)) {
        return err_set(err, ERR_FORMAT, "merge %zu is not a pair of tokens", rank);
    }
    const bool marked = sizes[1] >= n_prefix && memcmp(sides[1], prefix, n_prefix) == 0;
    const size_t skip = marked ? n_prefix : 0;

    text_clear(&made->scratch);
    text_add_n(&made->scratch, sides[0], sizes[0]);
    text_add_n(&made->scratch, sides[1] + skip, sizes[1] - skip);
    if (!vocab_find(&made->vocab, sides[0], sizes[0], &merge->left) ||
        !vocab_find(&made->vocab, sides[1], sizes[1], &merge->right) ||
        !vocab_find(&made->vocab, text_get(&made->scratch), made->scratch.size, &merge->merged)) {
        return err_set(err, ERR_FORMAT, "merge %zu: \"%.64s\" is not made of tokens in vocab", rank,
                       text_get(&made->scratch));
    }
    return 0;
}

static int read_merges(struct compile *made, const json_t *model, struct err *err)
{
    json_t *merges = NULL;
    const char *prefix = "";

    int rc = doc_array(model, "merges", &merges, err);
    if (rc == 0 && !json_is_null(json_object_get(model, "continuing_subword_prefix"))) {
        rc = doc_text_or(model, "continuing_subword_prefix", "", &prefix, err);
    }
    const size_t n = json_array_size(merges);

    if (rc != 0) {
        return rc;
    }
    if (n > MERGES_MAX) {
        return err_set(err, ERR_LIMIT, "more than %zu merges", MERGES_MAX);
    }
    made->merges = mem_array(n, sizeof *made->merges);
    for (; rc == 0 && made->n_merges < n; made->n_merges += rc == 0) {
        rc = read_merge(made, json_array_get(merges, made->n_merges), prefix, made->n_merges, err);
    }
    if (rc == 0) {
        made->slots = merges_index(made->merges, n, &made->n_slots);
    }
    return rc;
}

static int read_model(struct compile *made, const json_t *model, struct err *err)
{
    if (!json_is_object(model)) {
        return err_set(err, ERR_FORMAT, "model is missing");
    }
    int rc = check_type(model, err);
    if (rc == 0) {
        rc = read_vocab(made, model, err);
    }
    if (rc == 0) {
        rc = read_merges(made, model, err);
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

static int read_tokenizer(struct compile *made, const json_t *json, struct err *err)
{
    int rc = read_model(made, json_object_get(json, "model"), err);

    if (rc == 0) {
        rc = added_read(&made->added, &made->n_added, json_object_get(json, "added_tokens"),
                        &made->vocab.texts, err);
    }
    return rc;
}

static void release(struct compile *made)
{
    vocab_release(&made->vocab);
    free(made->merges);
    free(made->slots);
    free(made->added);
    text_release(&made->parts);
    text_release(&made->scratch);
}

int tokenizer_compile(struct text *out, const struct tokenizer_sources *sources, struct err *err)
{
    struct compile made = {0};
    json_t *special = NULL;
    json_t *json = NULL;

    int rc = doc_parse(&json, sources->tokenizer, sources->n_tokenizer, err);
    if (rc == 0) {
        rc = read_tokenizer(&made, json, err);
    }
    if (rc != 0) {
        rc = err_wrap(err, "tokenizer.json");
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
