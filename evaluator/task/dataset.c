/*
 * dataset.c - two digests an id: one to order by, one to split by.
 */
#include "evaluator/task/dataset.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/mem.h"

struct place {
    unsigned char key[DIGEST_SIZE];
    size_t document;
};

static void key_of(uint64_t seed, const char *purpose, const char *id,
                   unsigned char out[DIGEST_SIZE])
{
    struct digest *digest = digest_new();

    digest_add_u64(digest, seed);
    digest_add_text(digest, purpose);
    digest_add_text(digest, id);
    digest_end(digest, out);
}

/* Equal keys need equal ids, which no task has. */
static int by_key(const void *a, const void *b)
{
    return memcmp(((const struct place *)a)->key, ((const struct place *)b)->key, DIGEST_SIZE);
}

/* Uniform in [0, 1): the first 53 bits of the digest. */
static double share_of(uint64_t seed, const char *id)
{
    unsigned char key[DIGEST_SIZE];
    uint64_t bits = 0;

    key_of(seed, "split", id, key);
    for (size_t i = 0; i < 8; i++) {
        bits = bits << 8 | key[i];
    }
    return (double)(bits >> 11) * 0x1p-53;
}

static enum split split_of(uint64_t seed, const char *id, const double shares[3])
{
    const double at = share_of(seed, id);

    if (at < shares[0]) {
        return SPLIT_SEARCH;
    }
    return at < shares[0] + shares[1] ? SPLIT_SELECT : SPLIT_REPORT;
}

static struct place *order(const struct task *task, uint64_t seed)
{
    struct place *places = mem_array(task->n_documents, sizeof *places);

    for (size_t i = 0; i < task->n_documents; i++) {
        key_of(seed, "order", task->documents[i].id, places[i].key);
        places[i].document = i;
    }
    qsort(places, task->n_documents, sizeof *places, by_key);
    return places;
}

int dataset_split(const struct task *task, uint64_t seed, const double shares[3], size_t limit,
                  enum split split, size_t **documents, size_t *n, struct err *err)
{
    const size_t within = limit == 0 || limit > task->n_documents ? task->n_documents : limit;
    struct place *places = order(task, seed);
    size_t *made = mem_array(within, sizeof *made);
    size_t found = 0;

    assert(task->n_documents > 0);
    for (size_t i = 0; i < within; i++) {
        const char *id = task->documents[places[i].document].id;

        if (split == SPLIT_ALL || split_of(seed, id, shares) == split) {
            made[found++] = places[i].document;
        }
    }
    free(places);
    if (found == 0) {
        free(made);
        return err_set(err, ERR_LIMIT, "task %s: none of %zu documents is in the %s split",
                       task->name, within, split_name(split));
    }
    *documents = made;
    *n = found;
    return 0;
}
