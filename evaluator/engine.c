/*
 * engine.c - a plan made runnable, resident or streamed.
 */
#include "evaluator/engine.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "evaluator/contents.h"
#include "evaluator/merge/blend.h"
#include "evaluator/merge/plan_digest.h"
#include "evaluator/model/generate.h"
#include "evaluator/prefix.h"

/* Where any memory may be taken, workers together keep activations in this part of the machine's,
 * and one of them in no more than this: enough for some ten layers of a large model. */
#define SHARE_OF_MACHINE 4
#define SHARE_MAX ((uint64_t)1 << 30)

struct engine {
    uint64_t memory;
    enum numeric wish, numeric; /* wanted; of the loaded merge */
    struct blend *blend;
    const struct plan *plan;
    bool streams;
    enum dtype matrices; /* of embedding and head where it streams */
    struct weights *weights;
    uint64_t blended;
    struct forward *forward;
    struct contents *contents;
    struct prefix *prefix;

    /* Of the tries whose activations are kept. */
    size_t n_tries;
    const struct trie **tries;

    /* Their streams behind the last layer, of a merge that was swept. */
    bool sweeps, is_swept;
    size_t swept_floats;
    float *swept;

    /* Of the plan. */
    unsigned char (*tensors)[DIGEST_SIZE];  /* [n_tensors] what decides each */
    unsigned char (*prefixes)[DIGEST_SIZE]; /* [n_layers + 1] the same of activations */

    /* Resident: what stands in each place of the weights; zero: nothing. */
    unsigned char (*placed)[DIGEST_SIZE]; /* [1 + layers, TENSOR_ROLES]; first what is in none */
};

struct engine *engine_new(uint64_t memory, enum numeric numeric)
{
    struct engine *engine = mem_array(1, sizeof(*engine));

    engine->memory = memory;
    engine->wish = numeric;
    engine->blend = blend_new();
    engine->contents = contents_new();
    engine->prefix = prefix_new();
    return engine;
}

static void drop_model(struct engine *engine)
{
    weights_free(engine->weights);
    forward_free(engine->forward);
    free(engine->placed);
    engine->weights = NULL;
    engine->forward = NULL;
    engine->placed = NULL;
}

void engine_free(struct engine *engine)
{
    if (engine != NULL) {
        drop_model(engine);
        blend_free(engine->blend);
        contents_free(engine->contents);
        prefix_free(engine->prefix);
        free(engine->tries);
        free(engine->swept);
        free(engine->tensors);
        free(engine->prefixes);
        free(engine);
    }
}

void engine_share(struct engine *engine, const struct trie *const *tries, size_t n)
{
    free(engine->tries);
    engine->tries = mem_array(n, sizeof(struct trie *));
    engine->n_tries = n;
    for (size_t t = 0; t < n; t++) {
        engine->tries[t] = tries[t];
    }
}

/* ---- filling weights ---- */

/* The type in which streamed embedding and head are held: theirs, where it is one. */
static enum dtype matrices_of(const struct plan *plan)
{
    enum dtype found = DTYPE_F32;
    bool seen = false;

    for (size_t i = 0; i < plan->n_tensors; i++) {
        const struct plan_tensor *tensor = &plan->tensors[i];

        if (tensor->role == TENSOR_EMBEDDING || tensor->role == TENSOR_HEAD) {
            found = !seen || found == tensor->dtype ? tensor->dtype : DTYPE_F32;
            seen = true;
        }
    }
    return found;
}

static int store(void *context, const struct plan_tensor *tensor, void **out, struct err *err)
{
    (void)err;
    *out = weights_store(context, tensor->role);
    return 0;
}

static int place(void *context, const struct plan_tensor *tensor, float **out, struct err *err)
{
    *out = weights_slot(context, tensor->role, tensor->layer);
    return *out != NULL || weights_store(context, tensor->role) != NULL
               ? 0
               : err_set(err, ERR_CONFLICT, "%s: the model has no place for this tensor",
                         tensor->name);
}

/* Blend the i-th tensor to where sink says, and know its hash. */
static int blend_known(struct engine *engine, size_t i, const struct blend_sink *sink,
                       struct err *err)
{
    bool known = contents_find(engine->contents, engine->tensors[i]) != NULL;
    unsigned char content[DIGEST_SIZE];
    int rc = blend_one(engine->blend, engine->plan, i, sink, known ? NULL : content, err);

    if (rc == 0 && !known) {
        contents_add(engine->contents, engine->tensors[i], content);
    }
    return rc;
}

/* Blend a tensor to its place, unless it stands there since an earlier candidate. */
static int fill_tensor(struct engine *engine, size_t i, struct err *err)
{
    const struct plan_tensor *tensor = &engine->plan->tensors[i];
    const struct blend_sink sink = {.place = place, .store = store, .context = engine->weights};
    size_t row = tensors_role_in_layer(tensor->role) ? (size_t)tensor->layer + 1 : 0;
    unsigned char *placed =
        engine->streams ? NULL : engine->placed[row * TENSOR_ROLES + tensor->role];
    float *unused;

    if (placed != NULL && memcmp(placed, engine->tensors[i], DIGEST_SIZE) == 0) {
        return place(engine->weights, tensor, &unused, err); /* counts as filled */
    }
    if (placed != NULL) {
        memset(placed, 0, DIGEST_SIZE);
    }
    int rc = blend_known(engine, i, &sink, err);
    engine->blended += rc == 0;
    if (rc == 0 && placed != NULL) {
        memcpy(placed, engine->tensors[i], DIGEST_SIZE);
    }
    return rc;
}

static int fill(void *context, uint32_t stage, struct err *err)
{
    struct engine *engine = context;
    const struct plan *plan = engine->plan;
    int rc = 0;

    for (size_t i = 0; i < plan->n_tensors && rc == 0; i++) {
        const struct plan_tensor *tensor = &plan->tensors[i];

        if (weights_in_stage(&plan->config, tensor->role, tensor->layer, stage)) {
            rc = fill_tensor(engine, i, err);
        }
    }
    return rc;
}

/* ---- making a plan the one that runs ---- */

static size_t one_line(const struct config *config, const struct trie_nodes *largest)
{
    return generate_bytes(config, largest->n_sequences, largest->depth_max, 0);
}

enum numeric engine_numeric(const struct plan *plan, enum numeric wish)
{
    for (size_t i = 0; i < plan->n_tensors; i++) {
        if (plan->tensors[i].n_dims == 2 && plan->tensors[i].dtype != DTYPE_BF16) {
            return NUMERIC_F32;
        }
    }
    return wish;
}

uint64_t engine_bytes(const struct plan *plan, enum numeric numeric,
                      const struct trie_nodes *largest, bool streamed)
{
    const struct config *config = &plan->config;
    size_t model = streamed ? weights_bytes_streamed(config, matrices_of(plan)) +
                                  forward_bytes(config, numeric, FORWARD_POSITIONS_ALL, largest)
                            : weights_bytes(config) + forward_bytes(config, numeric, 0, largest);

    return (uint64_t)model + plan_memory(plan) + one_line(config, largest);
}

static int choose(const struct engine *engine, const struct plan *plan, enum numeric numeric,
                  const struct trie_nodes *largest, bool *streams, struct err *err)
{
    int rc = config_runnable(&plan->config, err);

    *streams = false;
    if (rc != 0) {
        return err_wrap(err, "%s", plan->config.architecture);
    }
    if (engine->memory == 0 || engine_bytes(plan, numeric, largest, false) <= engine->memory) {
        return 0;
    }
    *streams = true;
    uint64_t bytes = engine_bytes(plan, numeric, largest, true);
    return bytes <= engine->memory
               ? 0
               : err_set(err, ERR_MEMORY,
                         "evaluator.memory: a candidate takes %.1f MiB a layer at a time, more "
                         "than the %.1f MiB allowed",
                         (double)bytes / 1048576.0, (double)engine->memory / 1048576.0);
}

/* Bytes more than the plan needs that the weights for the longest one so far take. */
static uint64_t bytes_beyond(const struct engine *engine, const struct plan *plan)
{
    struct config longest = plan->config;

    longest.n_layers = weights_layers_max(engine->weights);
    return engine->streams ? 0 : weights_bytes(&longest) - weights_bytes(&plan->config);
}

/* Go on in the memory of the merge before: its like with other layers, as routes have them. */
static bool adopt(struct engine *engine, const struct plan *plan, enum numeric numeric,
                  struct engine_needs *needs)
{
    if (engine->weights == NULL || engine->forward == NULL || engine->streams != needs->streams ||
        engine->numeric != numeric || engine->matrices != matrices_of(plan) ||
        plan->config.n_layers > weights_layers_max(engine->weights) ||
        bytes_beyond(engine, plan) > needs->kept ||
        !weights_adopt(engine->weights, &plan->config)) {
        return false;
    }
    needs->kept -= bytes_beyond(engine, plan);
    return forward_adopt(engine->forward, &plan->config);
}

static int fit(struct engine *engine, const struct plan *plan, enum numeric numeric,
               struct engine_needs *needs, struct err *err)
{
    const struct config *config = &plan->config;
    const struct weights_source source = {.fill = fill, .context = engine};
    const size_t positions_max = needs->streams ? FORWARD_POSITIONS_ALL : 0;

    if (adopt(engine, plan, numeric, needs)) {
        return 0;
    }
    if (needs->streams) {
        file_drop_passed();
    }
    drop_model(engine);
    if (engine->numeric != numeric) { /* activations made in another are other numbers */
        prefix_free(engine->prefix);
        engine->prefix = prefix_new();
    }
    engine->streams = needs->streams;
    engine->numeric = numeric;
    engine->matrices = matrices_of(plan);
    engine->placed = mem_array(((size_t)config->n_layers + 1) * TENSOR_ROLES, DIGEST_SIZE);
    int rc = needs->streams
                 ? weights_new_streamed(&engine->weights, config, engine->matrices, &source, err)
                 : weights_new_staged(&engine->weights, config, &source, err);
    return rc != 0 ? rc : forward_new_on(&engine->forward, config, numeric, positions_max, err);
}

static void take_digests(struct engine *engine)
{
    const struct plan *plan = engine->plan;

    free(engine->tensors);
    free(engine->prefixes);
    engine->tensors = mem_array(plan->n_tensors, DIGEST_SIZE);
    engine->prefixes = mem_array((size_t)plan->config.n_layers + 1, DIGEST_SIZE);
    plan_digest_tensors(plan, engine->tensors);
    plan_digest_prefixes(plan, engine->tensors, engine->prefixes);
    contents_trim(engine->contents);
}

/* A worker's part of the machine, at one worker a core. */
static uint64_t share_of_machine(void)
{
    long pages = sysconf(_SC_PHYS_PAGES);
    long page = sysconf(_SC_PAGESIZE);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    if (pages <= 0 || page <= 0 || cores <= 0) {
        return 0;
    }
    const uint64_t share = (uint64_t)pages / SHARE_OF_MACHINE * (uint64_t)page / (uint64_t)cores;

    return share < SHARE_MAX ? share : SHARE_MAX;
}

/* What a candidate leaves of the memory is for lines of generated text first, then for activations
 * that are kept. */
int engine_needs(const struct engine *engine, const struct plan *plan,
                 const struct trie_nodes *largest, struct engine_needs *out, struct err *err)
{
    const enum numeric numeric = engine_numeric(plan, engine->wish);
    struct engine_needs needs = {0};
    int rc = choose(engine, plan, numeric, largest, &needs.streams, err);

    if (rc != 0) {
        return rc;
    }
    const uint64_t line = one_line(&plan->config, largest);
    const uint64_t rest = engine_bytes(plan, numeric, largest, needs.streams) - line;
    const uint64_t left = engine->memory > 0 ? engine->memory - rest : GENERATE_BYTES;

    needs.lines =
        generate_bytes(&plan->config, largest->n_sequences, largest->depth_max, (size_t)left);
    needs.bytes = rest + needs.lines;
    needs.kept = engine->memory > 0 ? left - needs.lines : share_of_machine();
    *out = needs;
    return 0;
}

/* Floats of the streams of all shared tries, and of the first t of them. */
static size_t stream_floats(const struct engine *engine, size_t t)
{
    size_t n = 0;

    for (size_t i = 0; i < t; i++) {
        n += trie_positions(engine->tries[i]) * engine->plan->config.width;
    }
    return n;
}

/* What was swept is found behind the last layer; of the rest the prefix knows. */
static uint32_t find(void *context, const struct trie *trie, const float **x)
{
    struct engine *engine = context;
    const struct forward_keeper keeper = prefix_keeper(engine->prefix);

    for (size_t t = 0; t < engine->n_tries && engine->is_swept; t++) {
        if (engine->tries[t] == trie) {
            *x = engine->swept + stream_floats(engine, t);
            return engine->plan->config.n_layers;
        }
    }
    return keeper.find(keeper.context, trie, x);
}

static void keep(void *context, const struct trie *trie, uint32_t n_layers, size_t first, size_t n,
                 const float *x)
{
    const struct engine *engine = context;
    const struct forward_keeper keeper = prefix_keeper(engine->prefix);

    keeper.keep(keeper.context, trie, n_layers, first, n, x);
}

/* bytes: for activations, those of a sweep first. */
static void begin_sharing(struct engine *engine, uint64_t bytes)
{
    const struct forward_keeper keeper = {.find = find, .keep = keep, .context = engine};
    const uint64_t sweep = stream_floats(engine, engine->n_tries) * sizeof(float);

    engine->is_swept = false;
    engine->sweeps = engine->streams && engine->n_tries > 1 && sweep <= bytes;
    prefix_begin(engine->prefix,
                 &(struct prefix_run){.digests = engine->prefixes,
                                      .n_layers = engine->plan->config.n_layers,
                                      .width = engine->plan->config.width,
                                      .tries = engine->tries,
                                      .n_tries = engine->n_tries,
                                      .bytes = bytes - (engine->sweeps ? sweep : 0)});
    forward_keep(engine->forward, &keeper);
}

int engine_load(struct engine *engine, const struct plan *plan, const struct trie_nodes *largest,
                struct err *err)
{
    struct engine_needs needs;
    int rc = engine_needs(engine, plan, largest, &needs, err);

    if (rc == 0) {
        rc = fit(engine, plan, engine_numeric(plan, engine->wish), &needs, err);
    }
    if (rc != 0) {
        return rc;
    }
    engine->plan = plan;
    take_digests(engine);
    generate_allow(engine->forward, (size_t)needs.lines);
    begin_sharing(engine, needs.kept);
    weights_renew(engine->weights);
    return 0;
}

/* Room for the streams; false when there is none. */
static bool take_streams(struct engine *engine)
{
    const size_t n = stream_floats(engine, engine->n_tries);

    if (engine->swept_floats < n) {
        free(engine->swept);
        engine->swept = mem_try_block(n, sizeof(float), "activations of all tasks", NULL);
        engine->swept_floats = engine->swept != NULL ? n : 0;
    }
    return engine->swept != NULL;
}

/* Each trie's stream where its candidate differs from those before: from[t] layers are left out. */
static int begin_sweep(struct engine *engine, uint32_t *from, struct err *err)
{
    int rc = 0;

    for (size_t t = 0; t < engine->n_tries && rc == 0; t++) {
        float *stream = engine->swept + stream_floats(engine, t);
        const float *kept = NULL;

        from[t] = find(engine, engine->tries[t], &kept);
        if (from[t] > 0) {
            memcpy(stream, kept,
                   trie_positions(engine->tries[t]) * engine->plan->config.width * sizeof(float));
        } else {
            rc = forward_embed(engine->forward, engine->weights, engine->tries[t], stream, err);
        }
    }
    return rc;
}

int engine_sweep(struct engine *engine, struct err *err)
{
    if (!engine->sweeps || engine->is_swept || !take_streams(engine)) {
        return 0;
    }
    uint32_t *from = mem_array(engine->n_tries, sizeof *from);
    int rc = begin_sweep(engine, from, err);

    for (uint32_t layer = 0; layer < engine->plan->config.n_layers && rc == 0; layer++) {
        for (size_t t = 0; t < engine->n_tries && rc == 0; t++) {
            if (layer >= from[t]) {
                rc = forward_advance(engine->forward, engine->weights, engine->tries[t], layer,
                                     engine->swept + stream_floats(engine, t), err);
            }
        }
    }
    engine->is_swept = rc == 0;
    free(from);
    return rc;
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

uint64_t engine_kept(const struct engine *engine)
{
    return prefix_bytes(engine->prefix);
}

uint64_t engine_blended(const struct engine *engine)
{
    return engine->blended;
}

int engine_digest(struct engine *engine, char out[DIGEST_HEX], struct err *err)
{
    const struct plan *plan = engine->plan;
    const struct blend_sink nowhere = {.place = NULL};
    struct digest *digest = digest_new();
    char unused[DIGEST_HEX];
    int rc = 0;

    for (size_t i = 0; i < plan->n_tensors && rc == 0; i++) {
        const struct plan_tensor *tensor = &plan->tensors[i];

        if (contents_find(engine->contents, engine->tensors[i]) == NULL) {
            rc = blend_known(engine, i, &nowhere, err);
        }
        if (rc == 0) {
            checkpoint_digest_tensor(digest, tensor->name, tensor->dtype, tensor->dims,
                                     tensor->n_dims,
                                     contents_find(engine->contents, engine->tensors[i]));
        }
    }
    digest_end_hex(digest, rc == 0 ? out : unused);
    return rc;
}
