/*
 * tokenizer.c - text to ids through the parts of a tokenizer, and back.
 *
 *   raw text       "<s>37 + 45"
 *   added, raw     [<s>] "37 + 45"
 *   normalizer           "_37_+_45"
 *   added, normal        "_37_+_45"
 *   words                "_37_+_45"         (no pre-tokenizer: one word)
 *   bpe                  _ 3 7 _ + _ 4 5
 *   post-processor  what the template puts around
 */
#include "evaluator/model/tokenizer.h"

#include <string.h>

#include "evaluator/model/tokenizer_internal.h"

/* The text of an id as the vocabulary spells it, or NULL. */
static const char *text_of(const struct tokenizer *tokenizer, uint32_t id, size_t *n)
{
    const struct added_token *token = added_by_id(tokenizer->added, id);

    if (token != NULL) {
        *n = token->size;
        return token->content;
    }
    return vocab_view_text(bpe_vocab(tokenizer->bpe), id, n);
}

/* ---- encoding ---- */

static int encode_words(struct tokenizer *tokenizer, const char *text, size_t n, bool at_start,
                        struct tokens *out, struct err *err)
{
    struct pieces *words = &tokenizer->words;

    pieces_clear(words);
    const int rc = pretokenizer_run(tokenizer->pretokenizer, text, n, at_start, words, err);
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < words->n; i++) {
        size_t size = 0;
        const char *word = pieces_get(words, i, &size);

        bpe_encode(tokenizer->bpe, word, size, out);
    }
    return 0;
}

/* A piece between two raw added tokens. */
static int encode_piece(struct tokenizer *tokenizer, const char *text, size_t n, bool at_start,
                        struct tokens *out, struct err *err)
{
    struct text *normal = &tokenizer->normal;
    size_t done = 0;

    text_clear(normal);
    int rc = normalizer_run(tokenizer->normalizer, text, n, normal, err);
    while (rc == 0 && done < normal->size) {
        size_t begin = normal->size;
        size_t end = normal->size;
        const struct added_token *token =
            added_next(tokenizer->added, true, text_get(normal), normal->size, done, &begin, &end);

        if (begin > done) {
            rc = encode_words(tokenizer, text_get(normal) + done, begin - done,
                              at_start && done == 0, out, err);
        }
        if (rc == 0 && token != NULL) {
            tokens_add(out, token->id);
        }
        done = end;
    }
    return rc;
}

static int encode_plain(struct tokenizer *tokenizer, const char *text, size_t n, struct tokens *out,
                        struct err *err)
{
    size_t done = 0;
    int rc = 0;

    while (rc == 0 && done < n) {
        size_t begin = n;
        size_t end = n;
        const struct added_token *token =
            added_next(tokenizer->added, false, text, n, done, &begin, &end);

        if (begin > done) {
            rc = encode_piece(tokenizer, text + done, begin - done, done == 0, out, err);
        }
        if (rc == 0 && token != NULL) {
            tokens_add(out, token->id);
        }
        done = end;
    }
    return rc;
}

static bool begins_with_bos(const struct tokenizer *tokenizer, const struct tokens *ids)
{
    uint32_t bos = 0;

    return tokenizer_bos(tokenizer, &bos) && ids->n > 0 && ids->ids[0] == bos;
}

static int check_row(const struct tokenizer *tokenizer, uint32_t id, struct err *err)
{
    size_t n = 0;
    const char *text = text_of(tokenizer, id, &n);

    return id < tokenizer->rows
               ? 0
               : err_set(err, ERR_LIMIT,
                         "token \"%.*s\" (id %u) has no row in the model's embedding of %zu",
                         (int)n, text != NULL ? text : "", id, tokenizer->rows);
}

/* Ids from the first on. */
static int check_rows(const struct tokenizer *tokenizer, const struct tokens *ids, size_t first,
                      struct err *err)
{
    int rc = 0;

    for (size_t i = first; tokenizer->rows < tokenizer->size && rc == 0 && i < ids->n; i++) {
        rc = check_row(tokenizer, ids->ids[i], err);
    }
    return rc;
}

int tokenizer_encode(struct tokenizer *tokenizer, const char *text, size_t n,
                     enum tokenizer_special special, struct tokens *out, struct err *err)
{
    struct tokens made = {0};
    const size_t before = out->n;
    size_t bad = 0;

    if (n > TOKENIZER_TEXT_MAX) {
        return err_set(err, ERR_LIMIT, "text of %zu bytes is longer than %zu", n,
                       TOKENIZER_TEXT_MAX);
    }
    if (!text_is_utf8(text, n, &bad)) {
        return err_set(err, ERR_FORMAT, "text is not UTF-8 at byte %zu", bad);
    }
    int rc = encode_plain(tokenizer, text, n, &made, err);
    if (rc == 0) {
        const bool adds = special == TOKENIZER_WITH_SPECIAL;

        if (adds && !begins_with_bos(tokenizer, &made)) {
            tokens_add_n(out, tokenizer->surround.before.ids, tokenizer->surround.before.n);
        }
        tokens_add_n(out, made.ids, made.n);
        if (adds) {
            tokens_add_n(out, tokenizer->surround.after.ids, tokenizer->surround.after.n);
        }
        rc = check_rows(tokenizer, out, before, err);
    }
    if (rc != 0) {
        out->n = before;
    }
    tokens_release(&made);
    return rc;
}

/* ---- decoding ---- */

static int unknown_id(const struct tokenizer *tokenizer, uint32_t id, struct err *err)
{
    return err_set(err, ERR_LIMIT, "token id %u is not in the vocabulary of %zu", id,
                   tokenizer->size);
}

int tokenizer_decode(struct tokenizer *tokenizer, const uint32_t *ids, size_t n,
                     enum tokenizer_special special, struct text *out, struct err *err)
{
    struct pieces pieces = {0};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n; i++) {
        size_t size = 0;
        const char *text = text_of(tokenizer, ids[i], &size);

        if (text == NULL) {
            rc = unknown_id(tokenizer, ids[i], err);
        } else if (special == TOKENIZER_WITH_SPECIAL || !tokenizer_is_special(tokenizer, ids[i])) {
            text_add_n(&pieces.text, text, size);
            pieces_end(&pieces);
        }
    }
    if (rc == 0) {
        rc = decoder_run(tokenizer->decoder, &pieces, out, err);
    }
    pieces_release(&pieces);
    return rc;
}

int tokenizer_token_text(struct tokenizer *tokenizer, uint32_t id, struct text *out,
                         struct err *err)
{
    size_t n = 0;
    const char *text = text_of(tokenizer, id, &n);

    if (text == NULL) {
        return unknown_id(tokenizer, id, err);
    }
    if (added_by_id(tokenizer->added, id) != NULL) {
        text_add_n(out, text, n);
        return 0;
    }
    return decoder_run_one(tokenizer->decoder, text, n, out, err);
}

/* ---- facts ---- */

bool tokenizer_has(const struct tokenizer *tokenizer, uint32_t id)
{
    size_t n = 0;

    return text_of(tokenizer, id, &n) != NULL;
}

bool tokenizer_is_special(const struct tokenizer *tokenizer, uint32_t id)
{
    const struct added_token *token = added_by_id(tokenizer->added, id);

    return token != NULL && token->special;
}

size_t tokenizer_size(const struct tokenizer *tokenizer)
{
    return tokenizer->size;
}

bool tokenizer_bos(const struct tokenizer *tokenizer, uint32_t *id)
{
    if (tokenizer->config.has_bos) {
        *id = tokenizer->config.bos;
    }
    return tokenizer->config.has_bos;
}

const uint32_t *tokenizer_eos(const struct tokenizer *tokenizer, size_t *n)
{
    *n = tokenizer->config.eos.n;
    return tokenizer->config.eos.ids;
}

int tokenizer_prefix(const struct tokenizer *tokenizer, uint32_t *id, struct err *err)
{
    const struct tokenizer_config *config = &tokenizer->config;

    if (!config->has_bos && config->eos.n == 0) {
        return err_set(err, ERR_FORMAT,
                       "nothing precedes the text, and the tokenizer has neither bos nor eos");
    }
    const uint32_t prefix = config->has_bos ? config->bos : config->eos.ids[0];
    const int rc = check_row(tokenizer, prefix, err);

    if (rc == 0) {
        *id = prefix;
    }
    return rc;
}

/* ---- beside a model ---- */

void tokenizer_fit(struct tokenizer *tokenizer, size_t rows)
{
    tokenizer->rows = rows;
}

void tokenizer_remarks(const struct tokenizer *tokenizer, size_t rows, struct text *out)
{
    const struct tokenizer_config *config = &tokenizer->config;
    size_t beyond = 0;
    uint32_t first = 0;
    size_t n = 0;

    for (size_t id = tokenizer->size; id-- > rows;) {
        if (text_of(tokenizer, (uint32_t)id, &n) != NULL) {
            first = (uint32_t)id;
            beyond++;
        }
    }
    if (beyond > 0) {
        const char *text = text_of(tokenizer, first, &n);

        text_printf(out,
                    "%zu tokens have no row in the embedding of %zu, first \"%.*s\" (id %u): a "
                    "document that needs one is refused\n",
                    beyond, rows, (int)n, text, first);
    }
    if (!config->has_bos && config->eos.n == 0) {
        text_add(out, "the tokenizer has neither bos nor eos: a document with nothing before what "
                      "is scored is refused\n");
    }
    text_add(out, text_get(&config->remarks));
}

/* ---- comparing ---- */

static size_t compare_vocabulary(const struct tokenizer *a, const struct tokenizer *b,
                                 struct text *report)
{
    const size_t n = a->size < b->size ? a->size : b->size;
    size_t differing = 0;
    uint32_t first = 0;

    for (uint32_t id = 0; id < n; id++) {
        size_t sizes[2] = {0};
        const char *texts[2] = {text_of(a, id, &sizes[0]), text_of(b, id, &sizes[1])};
        const bool equal = (texts[0] == NULL) == (texts[1] == NULL) && sizes[0] == sizes[1] &&
                           (texts[0] == NULL || memcmp(texts[0], texts[1], sizes[0]) == 0);

        if (!equal && differing++ == 0) {
            first = id;
        }
    }
    if (differing == 0) {
        return 0;
    }
    size_t sizes[2] = {0};
    const char *left = text_of(a, first, &sizes[0]);
    const char *right = text_of(b, first, &sizes[1]);

    text_printf(report, "vocabulary: %zu ids differ, first %u: \"%.*s\" and \"%.*s\"\n", differing,
                first, (int)sizes[0], left != NULL ? left : "", (int)sizes[1],
                right != NULL ? right : "");
    return 1;
}

static size_t compare_merges(const struct tokenizer *a, const struct tokenizer *b,
                             struct text *report)
{
    const struct merges_view *left = bpe_merges(a->bpe);
    const struct merges_view *right = bpe_merges(b->bpe);
    const size_t common = left->n < right->n ? left->n : right->n;
    size_t rank = 0;

    while (rank < common && left->all[rank].left == right->all[rank].left &&
           left->all[rank].right == right->all[rank].right &&
           left->all[rank].merged == right->all[rank].merged) {
        rank++;
    }
    if (rank == common && left->n == right->n) {
        return 0;
    }
    text_printf(report, "merges: %zu and %zu, first difference at rank %zu\n", left->n, right->n,
                rank);
    return 1;
}

static size_t compare_text(const struct text *a, const struct text *b, const char *part,
                           struct text *report)
{
    if (strcmp(text_get(a), text_get(b)) == 0) {
        return 0;
    }
    text_printf(report, "%s: %.100s and %.100s\n", part, text_get(a), text_get(b));
    return 1;
}

size_t tokenizer_compare(const struct tokenizer *a, const struct tokenizer *b, struct text *report)
{
    return compare_vocabulary(a, b, report) + compare_merges(a, b, report) +
           compare_text(&a->normalizer_text, &b->normalizer_text, "normalizer", report) +
           compare_text(&a->pretokenizer_text, &b->pretokenizer_text, "pre_tokenizer", report);
}
