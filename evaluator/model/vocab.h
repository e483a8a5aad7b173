/*
 * vocab.h - token texts and their ids, both ways.
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

struct vocab_token {
    uint64_t at; /* in texts */
    uint32_t size;
    bool known; /* false: no token has this id */
};

/* All zero is empty. Each id has at most one text here and each text one id. */
struct vocab {
    struct text texts;
    struct vocab_token *tokens; /* [n] by id */
    size_t n, capacity;         /* n: highest id + 1 */
    uint32_t *slots;            /* [n_slots] id + 1, or 0; open addressing */
    size_t n_slots, n_used;
};

/* ERR_LIMIT above VOCAB_IDS_MAX, ERR_FORMAT when id or text is taken. */
int vocab_add(struct vocab *vocab, const char *text, size_t n, uint32_t id, struct err *err);
void vocab_release(struct vocab *vocab);

/* False when there is no such text. */
bool vocab_find(const struct vocab *vocab, const char *text, size_t n, uint32_t *id);
/* The text of an id, or NULL; valid until the next change. */
const char *vocab_text(const struct vocab *vocab, uint32_t id, size_t *n);

#endif
