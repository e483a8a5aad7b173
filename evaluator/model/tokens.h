/*
 * tokens.h - a list of token ids that grows.
 */
#ifndef MODEL_TOKENS_H
#define MODEL_TOKENS_H

#include <stddef.h>
#include <stdint.h>

/* All zero is an empty list. */
struct tokens {
    uint32_t *ids; /* [n] */
    size_t n, capacity;
};

void tokens_add(struct tokens *tokens, uint32_t id);
void tokens_add_n(struct tokens *tokens, const uint32_t *ids, size_t n);
void tokens_clear(struct tokens *tokens);
void tokens_release(struct tokens *tokens);

#endif
