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
    enum numeric wish;
    struct blend *blend;
    const struct plan *plan;
    bool streams;
    struct weights_form form; /* of the loaded merge */
    struct weights *weights;
    uint64_t blended;
    struct forward *forward;
    struct contents *contents;
    struct prefix *prefix;

    struct engine_work work;
    const struct trie **tries; /* the work's */

    /* Streams of some of them behind the last layer, of a merge that was swept. */
    uint64_t sweep_bytes; /* that a sweep may take */
    size_t swept_first, swept_end;
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

void engine_expect(struct engine *engine, const struct engine_work *work)
{
    free(engine->tries);
    engine->tries = mem_array(work->n_tries, sizeof(struct trie *));
    for (size_t t = 0; t < work->n_tries; t++) {
        engine->tries[t] = work->tries[t];
    }
    engine->work = *work;
    engine->work.tries = engine->tries;
    engine->swept_first = engine->swept_end = 0;
}

static void forget_prefixes(struct engine *engine)
{
    prefix_free(engine->prefix);
    engine->prefix = prefix_new();
}

void engine_forget(struct engine *engine)
{
    engine_expect(engine, &(struct engine_work){0});
    forget_prefixes(engine);
}

/* ---- filling weights ---- */

/* All matrices are bfloat16. */
static bool is_brain(const struct plan *plan)
{
    for (size_t i = 0; i < plan->n_tensors; i++) {
        if (plan->tensors[i].n_dims == 2 && plan->tensors[i].dtype != DTYPE_BF16) {
            return false;
        }
    }
    return true;
}

/* What stays in the type it is stored in does so in that of embedding and head, where it is one. */
static struct weights_form form_of(const struct plan *plan, enum numeric numeric)
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
    return (struct weights_form){.kind = {numeric, is_brain(plan)}, .stored = found};
}

static int store(void *context, const struct plan_tensor *tensor, void **out, struct err *err)
{
    (void)err;
    *out = weights_store(context, tensor->role);
    return 0;
}

static int pour(void *context, const struct plan_tensor *tensor, const void *bytes, size_t n,
                struct err *err)
{
    (void)err;
    weights_pour(context, bytes, tensor->dtype, n / dtype_size(tensor->dtype));
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

/* A tensor that the forward pass does not read, an image tower's: blended for its hash alone. */
static int hash_tensor(struct engine *engine, size_t i, struct err *err)
{
    const struct blend_sink nowhere = {0};

    return contents_find(engine->contents, engine->tensors[i]) != NULL
               ? 0
               : blend_known(engine, i, &nowhere, err);
}

/* Blend a tensor to its place, unless it stands there since an earlier candidate. */
static int fill_tensor(struct engine *engine, size_t i, struct err *err)
{
    const struct plan_tensor *tensor = &engine->plan->tensors[i];

    if (tensor->role == TENSOR_UNKNOWN) {
        return hash_tensor(engine, i, err);
    }
    const struct blend_sink whole = {.place = place, .store = store, .context = engine->weights};
    const struct blend_sink matrix = {.write = pour, .context = engine->weights};
    size_t row = tensors_role_in_layer(tensor->role) ? (size_t)tensor->layer + 1 : 0;
    unsigned char *placed =
        engine->streams ? NULL : engine->placed[row * TENSOR_ROLES + tensor->role];

    if (placed != NULL && memcmp(placed, engine->tensors[i], DIGEST_SIZE) == 0) {
        weights_retain(engine->weights, tensor->role, tensor->layer);
        return 0;
    }
    if (placed != NULL) {
        memset(placed, 0, DIGEST_SIZE);
    }
    const bool packs = weights_begin(engine->weights, tensor->role, tensor->layer);
    int rc = blend_known(engine, i, packs ? &matrix : &whole, err);

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
    return is_brain(plan) ? wish : NUMERIC_F32;
}

/* Of the residual stream at n positions. */
static uint64_t stream_bytes(const struct config *config, size_t n)
{
    return (uint64_t)n * config->width * sizeof(float);
}

/* Weights, scratch and blending: what is taken all the time. */
static uint64_t fixed_bytes(const struct plan *plan, enum numeric numeric,
                            const struct trie_nodes *largest, bool streamed)
{
    const struct config *config = &plan->config;
    const struct weights_form form = form_of(plan, numeric);
    const size_t model =
        streamed ? weights_bytes_streamed(config, form) +
                       forward_bytes(config, numeric, FORWARD_BY_LAYER, largest)
                 : weights_bytes(config, form) + forward_bytes(config, numeric, 0, largest);

    return (uint64_t)model + plan_memory(plan);
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

uint64_t engine_bytes(const struct plan *plan, enum numeric numeric,
                      const struct trie_nodes *largest, bool streamed)
{
    const uint64_t sweep = streamed ? stream_bytes(&plan->config, largest->n) : 0;

    return fixed_bytes(plan, numeric, largest, streamed) +
           larger(sweep, one_line(&plan->config, largest));
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
                         "memory (evaluator.memory, --memory): a candidate takes %.1f MiB a layer "
                         "at a time, more than the %.1f MiB allowed",
                         (double)bytes / 1048576.0, (double)engine->memory / 1048576.0);
}

/* Bytes more than the plan needs that the weights for the longest one so far take. */
static uint64_t bytes_beyond(const struct engine *engine, const struct plan *plan)
{
    struct config longest = plan->config;

    longest.n_layers = weights_layers_max(engine->weights);
    return engine->streams
               ? 0
               : weights_bytes(&longest, engine->form) - weights_bytes(&plan->config, engine->form);
}

static bool same_form(struct weights_form a, struct weights_form b)
{
    return a.kind.numeric == b.kind.numeric && a.kind.brain == b.kind.brain && a.stored == b.stored;
}

/* Go on in the memory of the merge before: its like with other layers, as routes have them. */
static bool adopt(struct engine *engine, const struct plan *plan, enum numeric numeric,
                  struct engine_needs *needs)
{
    if (engine->weights == NULL || engine->forward == NULL || engine->streams != needs->streams ||
        !same_form(engine->form, form_of(plan, numeric)) ||
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
    const size_t positions_max = needs->streams ? FORWARD_BY_LAYER : 0;

    if (adopt(engine, plan, numeric, needs)) {
        return 0;
    }
    if (needs->streams) {
        file_drop_passed();
    }
    drop_model(engine);
    if (engine->form.kind.numeric != numeric) { /* activations made in another are other numbers */
        forget_prefixes(engine);
    }
    engine->streams = needs->streams;
    engine->form = form_of(plan, numeric);
    engine->placed = mem_array(((size_t)config->n_layers + 1) * TENSOR_ROLES, DIGEST_SIZE);
    int rc = needs->streams
                 ? weights_new_streamed(&engine->weights, config, engine->form, &source, err)
                 : weights_new_staged(&engine->weights, config, engine->form, &source, err);
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

/* Expected tries from `first` on that are swept together in so many bytes, one at least: where they
 * end, and in *n their positions. */
static size_t sweep_end(const struct engine *engine, const struct config *config, size_t first,
                        uint64_t bytes, size_t *n)
{
    size_t end = first;

    *n = 0;
    while (end < engine->work.n_tries) {
        const size_t with = *n + trie_positions(engine->tries[end]);

        if (end > first && stream_bytes(config, with) > bytes) {
            break;
        }
        *n = with;
        end++;
    }
    return end;
}

/* Sweeps in so many bytes, and the most that one of them takes. */
static void count_sweeps(const struct engine *engine, const struct config *config, uint64_t bytes,
                         struct engine_needs *needs)
{
    size_t n = 0;

    for (size_t first = 0; first < engine->work.n_tries; needs->n_sweeps++) {
        first = sweep_end(engine, config, first, bytes, &n);
        needs->sweep = larger(needs->sweep, stream_bytes(config, n));
    }
}

/*
 * What a candidate leaves of the memory is for lines of generated text and for activations that are
 * kept; streamed first of all for sweeps, whose room lines have after them.
 */
int engine_needs(const struct engine *engine, const struct plan *plan,
                 const struct trie_nodes *largest, struct engine_needs *out, struct err *err)
{
    const enum numeric numeric = engine_numeric(plan, engine->wish);
    const struct config *config = &plan->config;
    struct engine_needs needs = {0};
    int rc = choose(engine, plan, numeric, largest, &needs.streams, err);

    if (rc != 0) {
        return rc;
    }
    const uint64_t fixed = fixed_bytes(plan, numeric, largest, needs.streams);
    const uint64_t room = engine->memory > 0 ? engine->memory - fixed : GENERATE_BYTES;

    needs.lines = generate_bytes(config, largest->n_sequences, largest->depth_max, (size_t)room);
    if (needs.streams) {
        count_sweeps(engine, config, room, &needs);
    }
    const uint64_t varying = larger(needs.sweep, needs.lines);

    needs.bytes = fixed + varying;
    needs.kept = engine->memory > 0 ? room - varying : share_of_machine();
    needs.kept = engine->work.keeps ? needs.kept : 0;
    *out = needs;
    return 0;
}

/* Where the stream of the t-th expected trie begins among those of a sweep from `first` on. */
static float *swept_stream(const struct engine *engine, size_t first, size_t t)
{
    float *at = engine->swept;

    for (size_t i = first; i < t; i++) {
        at += trie_positions(engine->tries[i]) * engine->plan->config.width;
    }
    return at;
}

/* What was swept is found behind the last layer; of the rest the prefix knows. */
static uint32_t find(void *context, const struct trie *trie, const float **x)
{
    struct engine *engine = context;
    const struct forward_keeper keeper = prefix_keeper(engine->prefix);

    for (size_t t = engine->swept_first; t < engine->swept_end; t++) {
        if (engine->tries[t] == trie) {
            *x = swept_stream(engine, engine->swept_first, t);
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

static void begin_sharing(struct engine *engine, const struct engine_needs *needs)
{
    const struct forward_keeper keeper = {.find = find, .keep = keep, .context = engine};

    engine->swept_first = engine->swept_end = 0;
    engine->sweep_bytes = needs->sweep;
    prefix_begin(engine->prefix,
                 &(struct prefix_run){.digests = engine->prefixes,
                                      .n_layers = engine->plan->config.n_layers,
                                      .width = engine->plan->config.width,
                                      .tries = engine->tries,
                                      .n_tries = engine->work.keeps ? engine->work.n_tries : 0,
                                      .bytes = needs->kept});
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
    begin_sharing(engine, &needs);
    weights_renew(engine->weights);
    return 0;
}

/* ---- sweeping ---- */

static int take_streams(struct engine *engine, size_t n, struct err *err)
{
    if (engine->swept_floats < n) {
        free(engine->swept);
        engine->swept = mem_try_block(n, sizeof(float), "activations of a sweep", err);
        engine->swept_floats = engine->swept != NULL ? n : 0;
    }
    return engine->swept != NULL ? 0 : ERR_MEMORY;
}

void engine_end_sweep(struct engine *engine)
{
    if (engine->streams) {
        free(engine->swept);
        engine->swept = NULL;
        engine->swept_floats = 0;
        engine->swept_first = engine->swept_end = 0;
    }
}

/* Tries [first, end) on their way, the layers [0, from[t]) of each behind or left out. */
struct sweep {
    size_t first, end;
    uint32_t *from;
    const struct engine_look *look;
    bool stopped;
};

static void look_at(struct sweep *sweep, uint32_t n_layers, size_t positions)
{
    const struct engine_look *look = sweep->look;

    sweep->stopped = look != NULL && !look->passed(look->context, n_layers, positions);
}

/* Each trie's stream where its candidate differs from those before. */
static int begin_sweep(struct engine *engine, struct sweep *sweep, struct err *err)
{
    int rc = 0;

    for (size_t t = sweep->first; t < sweep->end && rc == 0; t++) {
        float *stream = swept_stream(engine, sweep->first, t);
        const float *kept = NULL;
        const uint32_t n_layers = find(engine, engine->tries[t], &kept);

        sweep->from[t - sweep->first] = n_layers;
        if (n_layers > 0) {
            memcpy(stream, kept,
                   stream_bytes(&engine->plan->config, trie_positions(engine->tries[t])));
        } else {
            rc = forward_embed(engine->forward, engine->weights, engine->tries[t], stream, err);
        }
    }
    return rc;
}

static int sweep_layer(struct engine *engine, struct sweep *sweep, uint32_t layer, struct err *err)
{
    int rc = 0;

    for (size_t t = sweep->first; t < sweep->end && rc == 0 && !sweep->stopped; t++) {
        if (layer >= sweep->from[t - sweep->first]) {
            rc = forward_advance(engine->forward, engine->weights, engine->tries[t], layer,
                                 swept_stream(engine, sweep->first, t), err);
        }
        if (rc == 0) {
            look_at(sweep, layer + 1, trie_positions(engine->tries[t]));
        }
    }
    return rc;
}

int engine_sweep(struct engine *engine, size_t first, const struct engine_look *look, size_t *end,
                 struct err *err)
{
    const struct config *config = &engine->plan->config;
    struct sweep sweep = {.first = first, .end = first + 1, .look = look};
    size_t n;

    if (!engine->streams) {
        *end = sweep.end;
        return 0;
    }
    engine->swept_first = engine->swept_end = 0;
    sweep.end = sweep_end(engine, config, first, engine->sweep_bytes, &n);
    generate_release(engine->forward);
    int rc = take_streams(engine, n * config->width, err);
    if (rc != 0) {
        return rc;
    }
    sweep.from = mem_array(sweep.end - first, sizeof *sweep.from);
    rc = begin_sweep(engine, &sweep, err);
    for (uint32_t layer = 0; layer < config->n_layers && rc == 0 && !sweep.stopped; layer++) {
        rc = sweep_layer(engine, &sweep, layer, err);
    }
    free(sweep.from);
    *end = rc == 0 && !sweep.stopped ? sweep.end : first;
    engine->swept_first = first;
    engine->swept_end = *end;
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
