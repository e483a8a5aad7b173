/*
 * arena.h - small things that live and die together.
 *
 * An all-zero arena is empty. Memory is zeroed, aligned for anything, and freed all at once.
 */
#ifndef CHAT_ARENA_H
#define CHAT_ARENA_H

#include <stddef.h>

struct arena_block;

struct arena {
    struct arena_block *last; /* the one that is filled */
    char *at;                 /* free from here */
    size_t left;              /* bytes */
};

/* Never NULL; ends the process when memory is gone, so the caller bounds the sum. */
void *arena_take(struct arena *arena, size_t n);
void arena_release(struct arena *arena);

#endif
