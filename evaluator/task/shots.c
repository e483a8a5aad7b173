/*
 * shots.c - draw, leave the document itself out, cut to the wanted number.
 */
#include "evaluator/task/shots.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

/* The sampler and its seed. */
static int parse_sampler(struct shots *made, const json_t *json, struct err *err)
{
    const char *sampler = NULL;
    int64_t seed = 0;

    int rc = doc_text_or(json, "sampler", "default", &sampler, err);
    if (rc == 0) {
        rc = doc_integer_or(json, "seed", 0, UINT32_MAX, FEWSHOT_SEED, &seed, err);
    }
    if (rc != 0) {
        return rc;
    }
    made->first = strcmp(sampler, "first_n") == 0;
    if (!made->first && strcmp(sampler, "default") != 0) {
        return err_set(err, ERR_FORMAT, "sampler \"%.64s\" is neither default nor first_n",
                       sampler);
    }
    mt19937_seed(&made->rng, (uint32_t)seed);
    return 0;
}

/* What is drawn from: the task's own records, or a file. */
static int open_records(struct shots *made, const json_t *json, const struct records *own,
                        const char *folder, struct err *err)
{
    const char *data = NULL;

    int rc = doc_text_or(json, "data", NULL, &data, err);
    if (rc != 0) {
        return rc;
    }
    char *path = data != NULL ? file_resolve(folder, data) : mem_text(own->path);

    made->own = strcmp(path, own->path) == 0;
    if (!made->own) {
        rc = records_load(&made->loaded, path, err);
    }
    free(path);
    return rc;
}

static int parse(struct shots *made, const json_t *json, const struct records *own,
                 const char *folder, struct err *err)
{
    static const char *const known[] = {"data", "num", "sampler", "seed"};
    int64_t num = 0;

    int rc = doc_only(json, known, sizeof known / sizeof *known, err);
    if (rc == 0) {
        rc = doc_integer(json, "num", 0, (int64_t)FEWSHOT_MAX, &num, err);
    }
    if (rc == 0) {
        rc = parse_sampler(made, json, err);
    }
    if (rc == 0) {
        rc = open_records(made, json, own, folder, err);
    }
    made->num = (size_t)num;
    return rc;
}

int shots_open(struct shots *out, const json_t *config, const struct records *records,
               const char *folder, struct err *err)
{
    const json_t *json = json_object_get(config, "fewshot");
    struct shots made = {.own = true};

    int rc = json != NULL ? parse(&made, json, records, folder, err) : 0;
    if (rc == 0) {
        const size_t wanted = made.num + (made.own && made.num > 0);
        const size_t n = made.own ? records->n : made.loaded.n;

        if (wanted > n) {
            rc = err_set(err, ERR_LIMIT, "num: %zu examples wanted, %zu records there", wanted, n);
        }
    }
    if (rc != 0) {
        shots_release(&made);
        return err_wrap(err, "fewshot");
    }
    made.drawn = mem_array(made.num + 1, sizeof *made.drawn);
    made.examples = mem_array(made.num, sizeof *made.examples);
    *out = made;
    out->records = made.own ? records : &out->loaded;
    return 0;
}

void shots_release(struct shots *shots)
{
    records_release(&shots->loaded);
    free(shots->drawn);
    free(shots->examples);
    *shots = (struct shots){0};
}

void shots_draw(struct shots *shots, const json_t *record, const json_t *const **examples,
                size_t *n)
{
    const size_t wanted = shots->num > 0 ? shots->num + shots->own : 0;

    for (size_t i = 0; i < wanted; i++) {
        shots->drawn[i] = i;
    }
    if (!shots->first && wanted > 0) {
        fewshot_sample(&shots->rng, shots->records->n, wanted, shots->drawn);
    }
    *n = 0;
    for (size_t i = 0; i < wanted && *n < shots->num; i++) {
        const json_t *example = shots->records->all[shots->drawn[i]];

        if (!shots->own || !json_equal(example, record)) {
            shots->examples[(*n)++] = example;
        }
    }
    *examples = shots->examples;
}
