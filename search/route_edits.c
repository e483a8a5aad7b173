#include "search/route_edits.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define SKIPPED UINT32_MAX

static const char *const op_names[EDIT_OPS] = {"repeat", "skip", "splice", "insert"};

const char *edit_op_name(enum edit_op op)
{
    assert(op < EDIT_OPS);
    return op_names[op];
}

void edit_print(struct text *out, const struct edit *edit, const char *const *names)
{
    text_printf(out, "%s %u", edit_op_name(edit->op), edit->start);
    if (edit->length > 1) {
        text_printf(out, "-%u", edit->start + edit->length - 1);
    }
    if (edit->source > 0) {
        text_printf(out, " %s", names[edit->source]);
    }
}

/* ---- one edit within its frame ---- */

static bool takes_source(enum edit_op op)
{
    return op == EDIT_SPLICE || op == EDIT_INSERT;
}

static bool adds(enum edit_op op)
{
    return op == EDIT_REPEAT || op == EDIT_INSERT;
}

/* First and one past the last host block that an edit may touch. */
static uint32_t free_first(const struct route_frame *frame)
{
    return frame->pinned;
}

static uint32_t free_end(const struct route_frame *frame)
{
    return frame->layers[0] - frame->pinned;
}

/* Cut to what is free and to what the source has; length 0: nothing is left. */
static struct edit fitted(const struct edit *edit, const struct route_frame *frame)
{
    uint32_t first = free_first(frame), end = free_end(frame);
    struct edit cut = *edit;

    assert(edit->op < EDIT_OPS && edit->source < frame->n_models);
    assert(takes_source(edit->op) == (edit->source > 0));
    if (takes_source(edit->op) && frame->layers[edit->source] < end) {
        end = frame->layers[edit->source];
    }
    uint64_t last = (uint64_t)edit->start + edit->length;

    end = last < end ? (uint32_t)last : end;
    cut.start = edit->start > first ? edit->start : first;
    cut.length = end > cut.start ? end - cut.start : 0;
    return cut;
}

/* Splices, skips, then what adds; each by place. The numbers are small: 32 bits hold any of them.
 */
static int rank_of(enum edit_op op)
{
    return op == EDIT_SPLICE ? 0 : op == EDIT_SKIP ? 1 : op == EDIT_REPEAT ? 2 : 3;
}

static int by_rank(const void *left, const void *right)
{
    const struct edit *a = left, *b = right;

    if (a->op != b->op) {
        return rank_of(a->op) - rank_of(b->op);
    }
    if (a->start != b->start) {
        return a->start < b->start ? -1 : 1;
    }
    if (a->length != b->length) {
        return a->length < b->length ? -1 : 1;
    }
    return (a->source > b->source) - (a->source < b->source);
}

/* ---- the route ---- */

/* Blocks in place of the host's own [layers[0]]: SKIPPED, or the model whose block l it is. */
static void lay_bodies(uint32_t *bodies, const struct edit *edits, size_t n)
{
    for (size_t e = 0; e < n; e++) {
        for (uint32_t l = edits[e].start; l < edits[e].start + edits[e].length; l++) {
            if (edits[e].op == EDIT_SPLICE) {
                bodies[l] = edits[e].source;
            } else if (edits[e].op == EDIT_SKIP) {
                bodies[l] = SKIPPED;
            }
        }
    }
}

static uint32_t count_bodies(const uint32_t *bodies, uint32_t first, uint32_t end)
{
    uint32_t n = 0;

    for (uint32_t l = first; l < end; l++) {
        n += bodies[l] != SKIPPED;
    }
    return n;
}

static void run_bodies(struct route *out, const uint32_t *bodies, uint32_t first, uint32_t end)
{
    for (uint32_t l = first; l < end; l++) {
        if (bodies[l] != SKIPPED) {
            route_add(out, bodies[l], l, 1.0);
        }
    }
}

/* Take away the spans that would make the route too long. */
static void drop_too_long(struct edit *edits, size_t n, const uint32_t *bodies,
                          const struct route_frame *frame)
{
    uint32_t hops = count_bodies(bodies, 0, frame->layers[0]);

    for (size_t e = 0; e < n; e++) {
        struct edit *edit = &edits[e];
        uint32_t end = edit->start + edit->length;

        if (!adds(edit->op)) {
            continue;
        }
        uint32_t more =
            edit->op == EDIT_INSERT ? edit->length : count_bodies(bodies, edit->start, end);

        if (hops + more > frame->hops_max) {
            edit->length = 0;
        } else {
            hops += more;
        }
    }
}

static void run_addition(struct route *out, const struct edit *edit, const uint32_t *bodies)
{
    uint32_t end = edit->start + edit->length;

    if (edit->op == EDIT_REPEAT) {
        run_bodies(out, bodies, edit->start, end);
        return;
    }
    for (uint32_t l = edit->start; l < end; l++) {
        route_add(out, edit->source, l, 1.0);
    }
}

void edits_build(struct route *out, const struct route_frame *frame, const struct edit *edits,
                 size_t n)
{
    const uint32_t layers = frame->layers[0];
    uint32_t *bodies = mem_array(layers, sizeof *bodies); /* all the host's */
    struct edit cut[EDITS_MAX];

    assert(n <= EDITS_MAX && frame->pinned >= 1 && 2 * frame->pinned <= layers);
    for (size_t e = 0; e < n; e++) {
        cut[e] = fitted(&edits[e], frame);
    }
    qsort(cut, n, sizeof *cut, by_rank);
    lay_bodies(bodies, cut, n);
    drop_too_long(cut, n, bodies, frame);

    *out = (struct route){0};
    for (uint32_t l = 0; l < layers; l++) {
        run_bodies(out, bodies, l, l + 1);
        for (size_t e = 0; e < n; e++) {
            if (adds(cut[e].op) && cut[e].length > 0 && cut[e].start + cut[e].length == l + 1) {
                run_addition(out, &cut[e], bodies);
            }
        }
    }
    free(bodies);
}

/* ---- all single edits ---- */

struct edit_list {
    size_t n;
    struct edit *edits;
};

static void list_add(struct edit_list *list, const struct route_frame *frame, struct edit edit)
{
    bool too_long = adds(edit.op) && frame->layers[0] + edit.length > frame->hops_max;

    if (too_long || fitted(&edit, frame).length != edit.length) {
        return;
    }
    list->edits = mem_resize(list->edits, list->n + 1, sizeof *list->edits);
    list->edits[list->n++] = edit;
}

static void list_length(struct edit_list *list, const struct route_frame *frame, uint32_t length)
{
    for (int op = EDIT_REPEAT; op < EDIT_OPS; op++) {
        uint32_t first = takes_source((enum edit_op)op) ? 1 : 0;
        uint32_t end = first == 1 ? (uint32_t)frame->n_models : 1;

        for (uint32_t start = free_first(frame); start + length <= free_end(frame); start++) {
            for (uint32_t source = first; source < end; source++) {
                list_add(list, frame, (struct edit){(enum edit_op)op, start, length, source});
            }
        }
    }
}

static bool is_power_of_two(uint32_t n)
{
    return (n & (n - 1)) == 0;
}

size_t edits_list(struct edit **out, const struct route_frame *frame, uint32_t length_max)
{
    struct edit_list list = {0};

    for (int powers = 1; powers >= 0; powers--) {
        for (uint32_t length = 1; length <= length_max; length++) {
            if (is_power_of_two(length) == (powers == 1)) {
                list_length(&list, frame, length);
            }
        }
    }
    *out = list.edits;
    return list.n;
}
