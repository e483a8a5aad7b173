/*
 * contents.c - SHA-256 of tensors' bytes, remembered.
 *
 * A table with open addressing, half full at most. A key's place follows from its first bytes,
 * which are as good as random.
 */
#include "evaluator/contents.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define FIRST_SIZE ((size_t)1 << 10)
#define KEPT_MAX ((size_t)1 << 14) /* of candidates that share nothing, some 50: 2 MiB */

struct content {
    bool used;
    unsigned char key[DIGEST_SIZE];
    unsigned char hash[DIGEST_SIZE];
};

struct contents {
    size_t n, size; /* size is a power of two */
    struct content *table;
};

struct contents *contents_new(void)
{
    struct contents *contents = mem_array(1, sizeof *contents);

    contents->size = FIRST_SIZE;
    contents->table = mem_array(contents->size, sizeof(struct content));
    return contents;
}

void contents_free(struct contents *contents)
{
    if (contents != NULL) {
        free(contents->table);
        free(contents);
    }
}

/* Where the key is, or would be. */
static struct content *place_of(const struct contents *contents,
                                const unsigned char key[DIGEST_SIZE])
{
    uint64_t at;

    memcpy(&at, key, sizeof at);
    for (;; at++) {
        struct content *content = &contents->table[at & (contents->size - 1)];

        if (!content->used || memcmp(content->key, key, DIGEST_SIZE) == 0) {
            return content;
        }
    }
}

const unsigned char *contents_find(const struct contents *contents,
                                   const unsigned char key[DIGEST_SIZE])
{
    const struct content *content = place_of(contents, key);

    return content->used ? content->hash : NULL;
}

static void grow(struct contents *contents)
{
    const struct contents old = *contents;

    contents->size *= 2;
    contents->table = mem_array(contents->size, sizeof(struct content));
    for (size_t i = 0; i < old.size; i++) {
        if (old.table[i].used) {
            *place_of(contents, old.table[i].key) = old.table[i];
        }
    }
    free(old.table);
}

void contents_add(struct contents *contents, const unsigned char key[DIGEST_SIZE],
                  const unsigned char content[DIGEST_SIZE])
{
    if (2 * (contents->n + 1) > contents->size) {
        grow(contents);
    }
    struct content *place = place_of(contents, key);

    assert(!place->used);
    place->used = true;
    memcpy(place->key, key, DIGEST_SIZE);
    memcpy(place->hash, content, DIGEST_SIZE);
    contents->n++;
}

void contents_trim(struct contents *contents)
{
    if (contents->n > KEPT_MAX) {
        memset(contents->table, 0, contents->size * sizeof(struct content));
        contents->n = 0;
    }
}
