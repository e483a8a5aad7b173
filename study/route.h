/*
 * route.h - the order in which a hidden state passes through blocks, and with what gains.
 *
 *   h = embed(x);  for hop k: h = block[hop_k](w_k * h);  logits = head(norm(h));  w_0 = 1
 *
 * Akiba et al. 2024 (arXiv 2403.13187), data flow space. Embeddings, final norm, head and tokenizer
 * are the host's; each hop has a key/value cache of its own. A block whose input is normalised
 * computes the same for any w > 0: w_k weighs the residual so far against what the block adds.
 *
 * Text for people: spans of consecutive layers of a model (A the host, B.. the others), the gain of
 * a span's first hop, and repeats.
 *
 *   A0-7 B8-11*1.4 A12-31*0.71 (A20-24)x2
 */
#ifndef STUDY_ROUTE_H
#define STUDY_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"

#define ROUTE_HOPS_MAX 1024
#define ROUTE_MODELS_MAX 26 /* letters, the host's among them */
#define ROUTE_LAYERS_MAX 4096
#define ROUTE_SCALE_MIN 0.25
#define ROUTE_SCALE_MAX 4.0

struct route_hop {
    uint32_t model; /* 0: the host, which is the merge of the recipe; i: the recipe's route model
                       i - 1 */
    uint32_t layer;
    double scale; /* w_k, [ROUTE_SCALE_MIN, ROUTE_SCALE_MAX]; 1 for the first hop */
};

struct route {
    size_t n_hops; /* 0: no route, the host as it is */
    struct route_hop *hops;
};

/* Append a hop; what it holds is checked by route_check. */
void route_add(struct route *route, uint32_t model, uint32_t layer, double scale);
void route_copy(struct route *out, const struct route *route);
void route_release(struct route *route);

bool route_equal(const struct route *a, const struct route *b);

/* The blocks that a route goes through, each once, in the order of their first hop, as a route
 * without scales. places [n_hops] receives which of them each hop is. */
void route_fold(struct route *out, size_t *places, const struct route *route);

/* How many hops from the k-th on are consecutive layers of one model, scaled at the first only. */
size_t route_span(const struct route *route, size_t k);

/* 0 when the hops are at most ROUTE_HOPS_MAX, layers below ROUTE_LAYERS_MAX, models below n_models,
 * scales within bounds and the first 1; else ERR_LIMIT or ERR_FORMAT naming the hop. */
int route_check(const struct route *route, size_t n_models, struct err *err);

/* The text form and back. Parsing refuses, with the word at fault, what route_check does. Printing
 * gives a shortest text of that grammar, always the same for equal routes; nothing for no hops. */
int route_parse(struct route *out, const char *text, struct err *err);
void route_print(struct text *out, const struct route *route);

#endif
