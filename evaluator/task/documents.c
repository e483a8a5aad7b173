/*
 * documents.c - which documents of a task belong to which split.
 */
#include "evaluator/task/documents.h"

#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/mem.h"

struct ranked {
    unsigned char key[DIGEST_SIZE];
    size_t document;
};

static void hash_id(unsigned char out[DIGEST_SIZE], uint64_t seed, const char *purpose,
                    const char *id)
{
    struct digest *digest = digest_new();

    digest_add_u64(digest, seed);
    digest_add_text(digest, purpose);
    digest_add_text(digest, id);
    digest_end(digest, out);
}

static int by_key(const void *a, const void *b)
{
    return memcmp(((const struct ranked *)a)->key, ((const struct ranked *)b)->key, DIGEST_SIZE);
}

/* The split of an id: its hash as a number in [0, 1) against the shares. */
static enum split split_of(uint64_t seed, const double shares[3], const char *id)
{
    unsigned char key[DIGEST_SIZE];
    double at = 0.0;

    hash_id(key, seed, "split", id);
    for (int i = 6; i >= 0; i--) {
        at = (at + (double)key[i]) / 256.0;
    }
    if (at < shares[0]) {
        return SPLIT_SEARCH;
    }
    return at < shares[0] + shares[1] ? SPLIT_SELECT : SPLIT_REPORT;
}

int documents_of_split(const struct task *task, uint64_t seed, const double shares[3], size_t limit,
                       enum split split, size_t **documents, size_t *n, struct err *err)
{
    struct ranked *ranked = mem_array(task->n, sizeof(*ranked));
    size_t kept = limit > 0 && limit < task->n ? limit : task->n;

    for (size_t i = 0; i < task->n; i++) {
        hash_id(ranked[i].key, seed, "order", task->documents[i].id);
        ranked[i].document = i;
    }
    qsort(ranked, task->n, sizeof(*ranked), by_key);
    *documents = mem_array(kept, sizeof(size_t));
    *n = 0;
    for (size_t i = 0; i < kept; i++) {
        const char *id = task->documents[ranked[i].document].id;

        if (split == SPLIT_ALL || split_of(seed, shares, id) == split) {
            (*documents)[(*n)++] = ranked[i].document;
        }
    }
    free(ranked);
    if (*n == 0) {
        free(*documents);
        *documents = NULL;
        return err_set(err, ERR_MISSING, "task %s: no documents in split %s; it has %zu in all",
                       task->name, split_name(split), kept);
    }
    return 0;
}
