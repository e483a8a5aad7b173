/*
 * engine.c - a plan made runnable, resident or streamed.
 */
#include "evaluator/engine.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "evaluator/merge/blend.h"
#include "evaluator/model/generate.h"

struct engine {
    uint64_t memory;
    struct blend *blend;
    const struct plan *plan;
    bool streams;
    struct weights *weights;
    struct forward *forward;
    char digest[DIGEST_HEX]; /* resident */

    /* Streamed: the SHA-256 of each tensor, from the first time it was blended. */
    size_t n_tensors;
    unsigned char (*contents)[DIGEST_SIZE];
    bool *hashed;
};

struct engine *engine_new(uint64_t memory)
{
    struct engine *engine = mem_array(1, sizeof(*engine));

    engine->memory = memory;
    engine->blend = blend_new();
    return engine;
}

static void drop_model(struct engine *engine)
{
    weights_free(engine->weights);
    forward_free(engine->forward);
    engine->weights = NULL;
    engine->forward = NULL;
}

void engine_free(struct engine *engine)
{
    if (engine != NULL) {
        drop_model(engine);
        blend_free(engine->blend);
        free(engine->contents);
        free(engine->hashed);
        free(engine);
    }
}

static int place(void *context, const struct plan_tensor *tensor, float **out, struct err *err)
{
    *out = weights_slot(context, tensor->role, tensor->layer);
    return *out != NULL ? 0
                        : err_set(err, ERR_CONFLICT, "%s: the model has no place for this tensor",
                                  tensor->name);
}

/* ---- streaming ---- */

/* Blend a stage's tensors into the block. */
static int fill(void *context, uint32_t stage, struct err *err)
{
    struct engine *engine = context;
    const struct plan *plan = engine->plan;
    const struct blend_sink sink = {.place = place, .context = engine->weights};
    int rc = 0;

    for (size_t i = 0; i < plan->n_tensors && rc == 0; i++) {
        const struct plan_tensor *tensor = &plan->tensors[i];

        if (weights_in_stage(&plan->config, tensor->role, tensor->layer, stage)) {
            rc = blend_one(engine->blend, plan, i, &sink,
                           engine->hashed[i] ? NULL : engine->contents[i], err);
            engine->hashed[i] = engine->hashed[i] || rc == 0;
        }
    }
    return rc;
}

static void begin_stream(struct engine *engine)
{
    if (engine->n_tensors != engine->plan->n_tensors) {
        free(engine->contents);
        free(engine->hashed);
        engine->n_tensors = engine->plan->n_tensors;
        engine->contents = mem_array(engine->n_tensors, DIGEST_SIZE);
        engine->hashed = mem_array(engine->n_tensors, sizeof(bool));
    }
    memset(engine->hashed, 0, engine->n_tensors * sizeof(bool));
    weights_renew(engine->weights);
}

/* ---- either way ---- */

static size_t one_line(const struct config *config, const struct trie_nodes *largest)
{
    return generate_bytes(config, largest->n_sequences, largest->depth_max, 0);
}

uint64_t engine_bytes(const struct plan *plan, const struct trie_nodes *largest, bool streamed)
{
    const struct config *config = &plan->config;
    size_t model = streamed ? weights_bytes_streamed(config) +
                                  forward_bytes(config, FORWARD_POSITIONS_ALL, largest)
                            : weights_bytes(config) + forward_bytes(config, 0, largest);

    return (uint64_t)model + plan_memory(plan) + one_line(config, largest);
}

/* Lines of generated text may take what the rest leaves. */
static void allow_lines(const struct engine *engine, const struct plan *plan,
                        const struct trie_nodes *largest)
{
    const uint64_t spare =
        engine->memory > 0 ? engine->memory - engine_bytes(plan, largest, engine->streams) : 0;

    generate_allow(engine->forward,
                   engine->memory > 0 ? (size_t)spare + one_line(&plan->config, largest) : 0);
}

static int choose(const struct engine *engine, const struct plan *plan,
                  const struct trie_nodes *largest, bool *streams, struct err *err)
{
    int rc = config_runnable(&plan->config, err);

    *streams = false;
    if (rc != 0) {
        return err_wrap(err, "%s", plan->config.architecture);
    }
    if (engine->memory == 0 || engine_bytes(plan, largest, false) <= engine->memory) {
        return 0;
    }
    *streams = true;
    uint64_t bytes = engine_bytes(plan, largest, true);
    return bytes <= engine->memory
               ? 0
               : err_set(err, ERR_MEMORY,
                         "evaluator.memory: a candidate takes %.1f MiB a layer at a time, more "
                         "than the %.1f MiB allowed",
                         (double)bytes / 1048576.0, (double)engine->memory / 1048576.0);
}

static int fit(struct engine *engine, const struct config *config, bool streams, struct err *err)
{
    if (engine->weights != NULL && engine->forward != NULL && engine->streams == streams &&
        config_equal(weights_config(engine->weights), config)) {
        return 0;
    }
    const struct weights_source source = {.fill = fill, .context = engine};

    if (streams) {
        file_drop_passed();
    }
    drop_model(engine);
    engine->streams = streams;
    int rc = streams ? weights_new_streamed(&engine->weights, config, &source, err)
                     : weights_new(&engine->weights, config, err);
    return rc != 0
               ? rc
               : forward_new(&engine->forward, config, streams ? FORWARD_POSITIONS_ALL : 0, err);
}

int engine_load(struct engine *engine, const struct plan *plan, const struct trie_nodes *largest,
                struct err *err)
{
    bool streams;
    int rc = choose(engine, plan, largest, &streams, err);

    if (rc == 0) {
        rc = fit(engine, &plan->config, streams, err);
    }
    if (rc != 0) {
        return rc;
    }
    engine->plan = plan;
    allow_lines(engine, plan, largest);
    if (streams) {
        begin_stream(engine);
        return 0;
    }
    const struct blend_sink sink = {.place = place, .context = engine->weights};
    rc = blend_run(engine->blend, plan, &sink, engine->digest, err);
    return rc != 0 ? rc : weights_bind(engine->weights, err);
}

struct forward *engine_forward(struct engine *engine)
{
    return engine->forward;
}

const struct weights *engine_weights(const struct engine *engine)
{
    return engine->weights;
}

bool engine_streams(const struct engine *engine)
{
    return engine->streams;
}

void engine_digest(const struct engine *engine, char out[DIGEST_HEX])
{
    if (!engine->streams) {
        memcpy(out, engine->digest, DIGEST_HEX);
        return;
    }
    struct digest *digest = digest_new();

    for (size_t i = 0; i < engine->n_tensors; i++) {
        const struct plan_tensor *tensor = &engine->plan->tensors[i];

        assert(engine->hashed[i]);
        checkpoint_digest_tensor(digest, tensor->name, tensor->dtype, tensor->dims, tensor->n_dims,
                                 engine->contents[i]);
    }
    digest_end_hex(digest, out);
}
