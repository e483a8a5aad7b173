/*
 * carry.c - tensors mixed by several processes, each written at its place.
 */
#include "evaluator/merge/carry.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/crew.h"
#include "base/file.h"
#include "base/mem.h"
#include "evaluator/merge/blend.h"

/* What one call writes: enough to be worth it, and few enough to be in the cache still. */
#define BUFFER_BYTES ((size_t)256 << 10)

/* Code, libraries, stack and heap of a process that does nothing yet. */
#define PROCESS_BYTES ((size_t)12 << 20)

struct carry {
    const struct plan *plan;
    struct safetensors_writer *writer;
    const struct plan_tensor **order; /* [n_tensors] largest first */
    bool wants_digest;
    /* of one process */
    struct blend *blend; /* ends with it */
    const struct plan_tensor *tensor;
    uint64_t written; /* bytes of it */
    unsigned char *buffer;
    size_t buffered;
};

/* ---- in a process of the crew ---- */

static int flush(struct carry *carry, struct err *err)
{
    int rc = safetensors_write_at(carry->writer, carry->tensor->index, carry->written,
                                  carry->buffer, carry->buffered, err);

    carry->written += carry->buffered;
    carry->buffered = 0;
    return rc;
}

/* A block of results; blocks are no larger than the buffer. */
static int take_block(void *context, const struct plan_tensor *tensor, const void *bytes, size_t n,
                      struct err *err)
{
    struct carry *carry = context;
    int rc = carry->buffered + n > BUFFER_BYTES ? flush(carry, err) : 0;

    (void)tensor;
    memcpy(carry->buffer + carry->buffered, bytes, n);
    carry->buffered += n;
    return rc;
}

static void leave_input(const struct checkpoint_tensor *input)
{
    if (input != NULL) {
        file_done(input->data, input->n_bytes);
    }
}

static int make_tensor(void *context, size_t job, void *content, struct err *err)
{
    struct carry *carry = context;
    const struct blend_sink sink = {.write = take_block, .context = carry};
    const struct plan_tensor *tensor = carry->order[job];

    file_drop_passed();
    carry->blend = carry->blend != NULL ? carry->blend : blend_new();
    carry->tensor = tensor;
    carry->written = 0;
    carry->buffered = 0;
    int rc = blend_one(carry->blend, carry->plan, tensor->index, &sink,
                       carry->wants_digest ? content : NULL, err);
    if (rc == 0) {
        rc = flush(carry, err);
    }
    leave_input(tensor->base);
    for (size_t s = 0; s < tensor->n_sources; s++) {
        leave_input(tensor->sources[s]);
    }
    blend_forget(carry->blend, plan_mixed(tensor)->index);
    return rc;
}

/* ---- in the caller ---- */

static const char *name_tensor(void *context, size_t job)
{
    return ((const struct carry *)context)->order[job]->name;
}

static void tell(void *context, size_t n_done)
{
    const struct carry *carry = context;
    uint64_t bytes = 0;

    for (size_t job = 0; job < n_done; job++) {
        bytes += carry->order[job]->n * dtype_size(carry->order[job]->dtype);
    }
    carry->plan->watch(carry->plan->watch_context, bytes);
}

static int by_size(const void *a, const void *b)
{
    const struct plan_tensor *x = *(const struct plan_tensor *const *)a;
    const struct plan_tensor *y = *(const struct plan_tensor *const *)b;

    if (x->n != y->n) {
        return x->n > y->n ? -1 : 1;
    }
    return x->index < y->index ? -1 : 1;
}

/* contents [n_tensors, DIGEST_SIZE] in the order of jobs. */
static void sum_up(const struct carry *carry, const unsigned char *contents,
                   char weights[DIGEST_HEX])
{
    const struct plan *plan = carry->plan;
    struct digest *digest = digest_new();
    size_t *job_of = mem_array(plan->n_tensors, sizeof(size_t));

    for (size_t job = 0; job < plan->n_tensors; job++) {
        job_of[carry->order[job]->index] = job;
    }
    for (size_t i = 0; i < plan->n_tensors; i++) {
        const struct plan_tensor *tensor = &plan->tensors[i];

        checkpoint_digest_tensor(digest, tensor->name, tensor->dtype, tensor->dims, tensor->n_dims,
                                 contents + job_of[i] * DIGEST_SIZE);
    }
    digest_end_hex(digest, weights);
    free(job_of);
}

static size_t processes(size_t n)
{
    size_t most = n == 0 ? CARRY_PROCESSES_MAX : CREW_PROCESSES_MAX;

    n = n == 0 ? crew_processors() : n;
    return n < most ? n : most;
}

int carry_out(const struct plan *plan, struct safetensors_writer *writer, size_t n_processes,
              char weights[DIGEST_HEX], struct err *err)
{
    size_t n = plan->n_tensors;
    struct carry carry = {.plan = plan,
                          .writer = writer,
                          .order = mem_array(n, sizeof(*carry.order)),
                          .wants_digest = weights != NULL,
                          .buffer = mem_alloc(BUFFER_BYTES)};
    unsigned char *contents = mem_array(n, DIGEST_SIZE);
    const struct crew crew = {.n_jobs = n,
                              .n_processes = processes(n_processes),
                              .result_bytes = DIGEST_SIZE,
                              .work = make_tensor,
                              .name = name_tensor,
                              .tick = plan->watch != NULL ? tell : NULL,
                              .context = &carry};
    struct err changed = {0};

    for (size_t i = 0; i < n; i++) {
        carry.order[i] = &plan->tensors[i];
    }
    qsort(carry.order, n, sizeof(*carry.order), by_size);
    int rc = crew_run(&crew, contents, err);
    /* A source cut short kills its reader; that says more than the death does. */
    if (rc != ERR_STOPPED && file_maps_unchanged(&changed) != 0) {
        rc = err_set(err, changed.code, "%s", changed.text);
    }
    if (rc == 0 && weights != NULL) {
        sum_up(&carry, contents, weights);
    }
    free(contents);
    free(carry.buffer);
    free(carry.order);
    return rc;
}

size_t carry_memory(const struct plan *plan, size_t n_processes)
{
    size_t n_inputs = plan->n_sources + (plan->base != NULL);
    size_t maps = 2 * n_inputs * FILE_STEP; /* the step that is read, and one not left yet */

    return PROCESS_BYTES + processes(n_processes) *
                               (PROCESS_BYTES + BUFFER_BYTES + maps + plan_memory_tensor(plan));
}
