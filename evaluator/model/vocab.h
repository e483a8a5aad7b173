/*
 * vocab.h - token texts and their ids, both ways.
 *
 * A struct vocab grows; lookups need only its plain arrays, which may as well lie in a file
 * (tokenizer_image.h): struct vocab_view.
 */
#ifndef MODEL_VOCAB_H
#define MODEL_VOCAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"

/* Ids are below this; the largest published vocabularies have 256 000. */
#define VOCAB_IDS_MAX ((size_t)1 << 22)
#define VOCAB_UNKNOWN UINT32_MAX

struct vocab_token {
    uint32_t at;   /* in texts */
    uint32_t size; /* VOCAB_UNKNOWN: no token has this id */
};

/* All zero is empty. Each id has at most one text here and each text one id. */
struct vocab {
    struct text texts;
    struct vocab_token *tokens; /* [n] by id */
    size_t n, capacity;         /* n: highest id + 1 */
    uint32_t *slots;            /* [n_slots], as in struct vocab_view */
    size_t n_slots, n_used;
};

/* ERR_LIMIT above VOCAB_IDS_MAX, ERR_FORMAT when id or text is taken. */
int vocab_add(struct vocab *vocab, const char *text, size_t n, uint32_t id, struct err *err);
void vocab_release(struct vocab *vocab);

/* False when there is no such text. */
bool vocab_find(const struct vocab *vocab, const char *text, size_t n, uint32_t *id);
/* The text of an id, or NULL; valid until the next change. */
const char *vocab_text(const struct vocab *vocab, uint32_t id, size_t *n);

/* The same arrays, to read only. All zero is empty. */
struct vocab_view {
    const char *texts;
    size_t n_texts;
    const struct vocab_token *tokens; /* [n] by id */
    size_t n;
    const uint32_t *slots; /* [n_slots] hash table: 0, or id + 1 below bits of the text's hash */
    size_t n_slots;        /* a power of two, or 0 */
};

/* Valid until vocab changes. */
struct vocab_view vocab_view(const struct vocab *vocab);

/* True when lookups stay inside the arrays and come to an end, and every text is UTF-8: arrays from
 * outside may say anything else. */
bool vocab_view_sound(const struct vocab_view *view);

bool vocab_view_find(const struct vocab_view *view, const char *text, size_t n, uint32_t *id);
const char *vocab_view_text(const struct vocab_view *view, uint32_t id, size_t *n);

#endif
