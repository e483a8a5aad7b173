/*
 * generate.h - greedy decoding of many prompts together, with their keys and values kept.
 *
 *   prompts   one pass over their trie: beginnings that several share are computed once; the keys
 *             and values of each are copied where its line goes on
 *   steps     the newest token of every line passes all layers; lines that end leave, and new
 *             prompts take their places once half of them are free
 *
 * The token after any beginning is the very one that forward_score finds most likely there,
 * whatever lines are beside it: the arithmetic of a row does not depend on its company.
 *
 * Streamed weights work too: every step then has each layer blended anew.
 */
#ifndef MODEL_GENERATE_H
#define MODEL_GENERATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "evaluator/model/config.h"
#include "evaluator/model/forward.h"
#include "evaluator/model/weights.h"

/* Lines at a time at most: enough rows to make little of reading the weights. */
#define GENERATE_LINES ((size_t)64)

/* Of keys and values, unless generate_allow says otherwise. */
#define GENERATE_BYTES ((size_t)1 << 30)

struct generate_prompt {
    const uint32_t *tokens; /* [n], n >= 1; lent until the first token after it is told */
    size_t n;
    size_t n_new; /* tokens after it at most, at least 1 */
};

/* Told of every token of a line as it is found, place->best with its log-likelihood; true: go on.
 * Lines are numbered as their prompts. */
struct generate_sink {
    bool (*take)(void *context, size_t line, const struct forward_place *place);
    /* Before every pass, with the share of tokens that are settled, of as many as there may be;
     * false: stop there, lines that are open are told of no more. May be NULL. */
    bool (*look)(void *context, double share);
    void *context;
};

/* Keys and values of a line of that many tokens, in bytes. */
size_t generate_line_bytes(const struct config *config, size_t depth);

/* What generate takes for lines when it may take `allowed`: as many as fit, one at least. */
size_t generate_bytes(const struct config *config, size_t n_lines, size_t depth, size_t allowed);

/* Let the memory of lines go; generate takes it again. */
void generate_release(struct forward *forward);

/* Bytes for keys and values from now on; 0: GENERATE_BYTES. */
void generate_allow(struct forward *forward, size_t bytes);

/*
 * Generate from prompts [n] until all lines end: by their sink's word, or by n_new. weights are of
 * forward_new's config. What forward_score left is gone.
 *
 * Errors as forward_score, ERR_LIMIT also when a prompt and what may follow exceed what the rotary
 * scaling is supported for; the sink has then been told of some tokens.
 */
int generate(struct forward *forward, const struct weights *weights,
             const struct generate_prompt *prompts, size_t n, const struct generate_sink *sink,
             struct err *err);

#endif
