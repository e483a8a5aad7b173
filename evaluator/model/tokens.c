/*
 * tokens.c - a list of token ids that grows by half its size.
 */
#include "evaluator/model/tokens.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static void reserve(struct tokens *tokens, size_t n)
{
    if (n <= tokens->capacity) {
        return;
    }
    size_t capacity = tokens->capacity + tokens->capacity / 2 + 16;

    if (capacity < n) {
        capacity = n;
    }
    tokens->ids = mem_resize(tokens->ids, capacity, sizeof *tokens->ids);
    tokens->capacity = capacity;
}

void tokens_add(struct tokens *tokens, uint32_t id)
{
    reserve(tokens, tokens->n + 1);
    tokens->ids[tokens->n++] = id;
}

void tokens_add_n(struct tokens *tokens, const uint32_t *ids, size_t n)
{
    if (n == 0) {
        return;
    }
    reserve(tokens, tokens->n + n);
    memcpy(tokens->ids + tokens->n, ids, n * sizeof *ids);
    tokens->n += n;
}

void tokens_clear(struct tokens *tokens)
{
    tokens->n = 0;
}

void tokens_release(struct tokens *tokens)
{
    free(tokens->ids);
    *tokens = (struct tokens){0};
}
