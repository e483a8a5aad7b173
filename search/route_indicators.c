#include "search/route_indicators.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

#define THIRDS 3

/* M: blocks of all models. */
static size_t n_blocks(const struct route_frame *frame)
{
    size_t n = 0;

    for (size_t m = 0; m < frame->n_models; m++) {
        n += frame->layers[m];
    }
    return n;
}

/* Number of a block among all M. */
static size_t block_index(const struct route_frame *frame, uint32_t model, uint32_t layer)
{
    size_t at = layer;

    for (uint32_t m = 0; m < model; m++) {
        at += frame->layers[m];
    }
    return at;
}

size_t indicators_bits(const struct indicators *t)
{
    return n_blocks(&t->frame) * t->repeats - 2 * (size_t)t->frame.pinned;
}

size_t indicators_numbers(const struct indicators *t)
{
    const size_t blocks = n_blocks(&t->frame), models = t->frame.n_models;

    switch (t->scales) {
    case STUDY_SCALES_SEAMS:
        return models * models * THIRDS;
    case STUDY_SCALES_DENSE:
        return blocks * blocks;
    case STUDY_SCALES_NETWORK:
        return 5 * INDICATORS_HIDDEN + 1;
    case STUDY_SCALES_NONE:
        break;
    }
    return 0;
}

/* ---- bits ---- */

/* The slots of the first repeat's pinned blocks are passed over. */
struct indicators_slot indicators_slot(const struct indicators *t, size_t bit)
{
    const size_t blocks = n_blocks(&t->frame), inner = t->frame.layers[0] - 2 * t->frame.pinned;
    size_t slot = bit + t->frame.pinned + (bit >= inner ? t->frame.pinned : 0);
    size_t at = slot % blocks;
    uint32_t model = 0;

    assert(bit < indicators_bits(t));
    while (at >= t->frame.layers[model]) {
        at -= t->frame.layers[model++];
    }
    return (struct indicators_slot){model, (uint32_t)at, (uint32_t)(slot / blocks)};
}

void indicators_build(struct route *out, const struct indicators *t, const bool *bits)
{
    const struct route_frame *frame = &t->frame;
    const size_t n = indicators_bits(t);

    *out = (struct route){0};
    for (uint32_t l = 0; l < frame->pinned; l++) {
        route_add(out, 0, l, 1.0);
    }
    for (size_t i = 0; i < n && out->n_hops + frame->pinned < frame->hops_max; i++) {
        if (bits[i]) {
            struct indicators_slot slot = indicators_slot(t, i);

            route_add(out, slot.model, slot.layer, 1.0);
        }
    }
    for (uint32_t l = frame->layers[0] - frame->pinned; l < frame->layers[0]; l++) {
        route_add(out, 0, l, 1.0);
    }
}

void indicators_match(bool *bits, const struct indicators *t, const struct route *route)
{
    const size_t n = indicators_bits(t), pinned = t->frame.pinned;
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        bits[i] = false;
    }
    for (size_t k = pinned; k + pinned < route->n_hops; k++) {
        for (size_t i = at; i < n; i++) {
            struct indicators_slot slot = indicators_slot(t, i);

            if (slot.model == route->hops[k].model && slot.layer == route->hops[k].layer) {
                bits[i] = true;
                at = i + 1;
                break;
            }
        }
    }
}

/* ---- scales ---- */

/* Where a block lies in its own model, in thirds. */
static size_t third_of(const struct route_frame *frame, const struct route_hop *hop)
{
    return (size_t)hop->layer * THIRDS / frame->layers[hop->model];
}

/* 0 .. 1 over n places. */
static double share(size_t i, size_t n)
{
    return n > 1 ? (double)i / (double)(n - 1) : 0.0;
}

/* weights: INDICATORS_HIDDEN rows of (i, j, t, constant), then the output's row and constant. */
static double network(const double *weights, double i, double j, double t)
{
    const double *out = weights + 4 * INDICATORS_HIDDEN;
    double sum = out[INDICATORS_HIDDEN];

    for (size_t h = 0; h < INDICATORS_HIDDEN; h++) {
        const double *row = weights + 4 * h;

        sum += out[h] * tanh(row[0] * i + row[1] * j + row[2] * t + row[3]);
    }
    return sum;
}

/* Which number is the scale of hop k > 0 for seams and dense; SIZE_MAX: none. */
static size_t number_of(const struct indicators *t, const struct route *route, size_t k)
{
    const struct route_frame *frame = &t->frame;
    const struct route_hop *before = &route->hops[k - 1], *hop = &route->hops[k];

    if (t->scales == STUDY_SCALES_DENSE) {
        return block_index(frame, before->model, before->layer) * n_blocks(frame) +
               block_index(frame, hop->model, hop->layer);
    }
    if (t->scales == STUDY_SCALES_SEAMS && route_frame_is_seam(route, k)) {
        return (before->model * frame->n_models + hop->model) * THIRDS + third_of(frame, hop);
    }
    return SIZE_MAX;
}

static double scale_of(const struct indicators *t, const struct route *route, size_t k,
                       const double *numbers)
{
    const struct route_hop *before = &route->hops[k - 1], *hop = &route->hops[k];
    const size_t blocks = n_blocks(&t->frame), at = number_of(t, route, k);

    if (t->scales == STUDY_SCALES_NETWORK) {
        size_t i = block_index(&t->frame, before->model, before->layer);
        size_t j = block_index(&t->frame, hop->model, hop->layer);

        return exp(network(numbers, share(i, blocks), share(j, blocks), share(k, route->n_hops)));
    }
    if (at == SIZE_MAX) {
        return 1.0;
    }
    return t->scales == STUDY_SCALES_DENSE ? numbers[at] : exp(numbers[at]);
}

void indicators_scale(struct route *route, const struct indicators *t, const double *numbers)
{
    for (size_t k = 1; k < route->n_hops; k++) {
        route->hops[k].scale = route_frame_scale(scale_of(t, route, k, numbers));
    }
}

void indicators_fit(double *numbers, const struct indicators *t, const struct route *route)
{
    const size_t n = indicators_numbers(t);
    const bool dense = t->scales == STUDY_SCALES_DENSE;
    size_t *counts = mem_array(n, sizeof *counts);

    for (size_t i = 0; i < n; i++) {
        numbers[i] = 0.0;
    }
    for (size_t k = 1; k < route->n_hops; k++) {
        size_t at = number_of(t, route, k);

        if (at != SIZE_MAX) {
            numbers[at] += dense ? route->hops[k].scale : log(route->hops[k].scale);
            counts[at]++;
        }
    }
    for (size_t i = 0; i < n; i++) {
        numbers[i] = counts[i] > 0 ? numbers[i] / (double)counts[i] : dense ? 1.0 : 0.0;
    }
    free(counts);
}
