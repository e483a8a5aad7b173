/*
 * arena.c - blocks in a list, filled from the front.
 */
#include "evaluator/chat/arena.h"

#include <stdalign.h>
#include <stdlib.h>

#include "base/mem.h"

#define BLOCK_SIZE ((size_t)16 << 10)

struct arena_block {
    struct arena_block *before;
    alignas(max_align_t) char bytes[];
};

void *arena_take(struct arena *arena, size_t n)
{
    const size_t unit = alignof(max_align_t);
    const size_t size = n == 0 ? unit : (n + unit - 1) / unit * unit;

    if (size > arena->left) {
        const size_t block_size = size > BLOCK_SIZE ? size : BLOCK_SIZE;
        struct arena_block *block = mem_alloc(sizeof *block + block_size);

        block->before = arena->last;
        arena->last = block;
        arena->at = block->bytes;
        arena->left = block_size;
    }
    void *taken = arena->at;

    arena->at += size;
    arena->left -= size;
    return taken;
}

void arena_release(struct arena *arena)
{
    for (struct arena_block *block = arena->last; block != NULL;) {
        struct arena_block *before = block->before;

        free(block);
        block = before;
    }
    *arena = (struct arena){0};
}
