/*
 * answer.c - exact match without generating.
 */
#include "evaluator/task/answer.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

static bool begins_with_any(const struct text *text, const struct strings *stops)
{
    for (size_t i = 0; i < stops->n; i++) {
        const size_t n = strlen(stops->all[i]);

        if (n > 0 && text->size >= n && memcmp(text_get(text), stops->all[i], n) == 0) {
            return true;
        }
    }
    return false;
}

/* Ids may have gaps: those have no text and end nothing. */
static void mark_stops(struct answer_ends *made, struct tokenizer *tokenizer,
                       const struct strings *stops)
{
    struct text text = {0};

    for (size_t id = 0; id < made->n; id++) {
        text_clear(&text);
        if (tokenizer_token_text(tokenizer, (uint32_t)id, &text, NULL) == 0) {
            made->ends[id] = begins_with_any(&text, stops);
        }
    }
    text_release(&text);
}

int answer_ends_find(struct answer_ends *out, struct tokenizer *tokenizer,
                     const struct strings *stops, struct err *err)
{
    struct answer_ends made = {.n = tokenizer_size(tokenizer)};
    size_t n = 0;
    const uint32_t *eos = tokenizer_eos(tokenizer, &n);

    made.ends = mem_try(made.n, sizeof *made.ends, "ends of generation", err);
    if (made.ends == NULL) {
        return ERR_MEMORY;
    }
    mark_stops(&made, tokenizer, stops);
    for (size_t i = 0; i < n; i++) {
        if (eos[i] < made.n) {
            made.ends[eos[i]] = 1;
        }
    }
    *out = made;
    return 0;
}

void answer_ends_release(struct answer_ends *ends)
{
    free(ends->ends);
    *ends = (struct answer_ends){0};
}

bool answer_matches(const struct answer_ends *ends, const struct request *request, bool greedy,
                    uint32_t next)
{
    if (!greedy || request->out_of_reach) {
        return false;
    }
    return !request->wants_next || (next < ends->n && ends->ends[next] != 0);
}
