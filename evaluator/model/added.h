/*
 * added.h - the `added_tokens` of tokenizer.json: texts that become one id wherever they stand.
 *
 * Two sets: those looked for in the raw text (normalized: false) and those looked for, in their own
 * normal form, after normalization. Matching is leftmost-longest over a set.
 */
#ifndef MODEL_ADDED_H
#define MODEL_ADDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/doc.h"
#include "base/err.h"
#include "evaluator/model/normalize.h"

/* One token as it is read and kept (tokenizer_image.h). */
struct added_row {
    uint32_t id;
    uint32_t at, size; /* its content, in the texts beside it */
    uint32_t flags;    /* ADDED_... */
};

enum {
    ADDED_SINGLE_WORD = 1,
    ADDED_LSTRIP = 2,
    ADDED_RSTRIP = 4,
    ADDED_NORMALIZED = 8,
    ADDED_SPECIAL = 16
};

struct added_token {
    uint32_t id;
    const char *content;
    size_t size;
    bool single_word;    /* not when a word character touches it */
    bool lstrip, rstrip; /* swallows the whitespace before, after */
    bool normalized;
    bool special; /* left out when decoding without special tokens */
};

struct added;

/*
 * The rows of a list of tokenizer.json, in order of ids: *out [*n], free() it. Contents are
 * appended to texts. list may be null (or NULL): none. ERR_FORMAT names the entry.
 */
int added_read(struct added_row **out, size_t *n, const json_t *list, struct text *texts,
               struct err *err);

/* Of rows [n] and their texts [n_texts], which are kept until added_free. ERR_FORMAT when rows
 * point outside or are out of order. normalizer is used in the call. */
int added_new(struct added **out, const struct added_row *rows, size_t n, const char *texts,
              size_t n_texts, struct normalizer *normalizer, struct err *err);
void added_free(struct added *added);

/* In order of ids. */
const struct added_token *added_tokens(const struct added *added, size_t *n);
/* The token with an id, or with a content; NULL when there is none. */
const struct added_token *added_by_id(const struct added *added, uint32_t id);
const struct added_token *added_by_content(const struct added *added, const char *content,
                                           size_t size);

/*
 * The first match of the set at or after `from` in text [n], whitespace swallowed by it included in
 * [*begin, *end). Whitespace before `from` belongs to the match before. NULL: no further match.
 */
const struct added_token *added_next(const struct added *added, bool normalized, const char *text,
                                     size_t n, size_t from, size_t *begin, size_t *end);

#endif
