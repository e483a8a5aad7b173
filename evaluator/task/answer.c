/*
 * answer.c - what is written against what is wanted.
 */
#include "evaluator/task/answer.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* ---- what tokens write ---- */

/* Ids may have gaps: those write nothing. */
static void read_texts(struct answer_vocabulary *made, struct tokenizer *tokenizer)
{
    for (size_t id = 0; id < made->n; id++) {
        if (!tokenizer_is_special(tokenizer, (uint32_t)id)) {
            (void)tokenizer_token_text(tokenizer, (uint32_t)id, &made->texts, NULL);
        }
        made->ends[id] = made->texts.size;
    }
}

int answer_vocabulary_read(struct answer_vocabulary *out, struct tokenizer *tokenizer,
                           struct err *err)
{
    struct answer_vocabulary made = {.n = tokenizer_size(tokenizer)};
    size_t n = 0;
    const uint32_t *eos = tokenizer_eos(tokenizer, &n);

    made.ends = mem_try(made.n, sizeof *made.ends, "texts of tokens", err);
    made.last = mem_try(made.n, sizeof *made.last, "texts of tokens", err);
    if (made.ends == NULL || made.last == NULL) {
        answer_vocabulary_release(&made);
        return ERR_MEMORY;
    }
    read_texts(&made, tokenizer);
    for (size_t i = 0; i < n; i++) {
        if (eos[i] < made.n) {
            made.last[eos[i]] = 1;
        }
    }
    *out = made;
    return 0;
}

void answer_vocabulary_release(struct answer_vocabulary *vocabulary)
{
    text_release(&vocabulary->texts);
    free(vocabulary->ends);
    free(vocabulary->last);
    *vocabulary = (struct answer_vocabulary){0};
}

/* ---- judging ---- */

size_t answer_cut(const struct strings *stops, const char *text, size_t n)
{
    for (size_t i = 0; i < stops->n; i++) {
        const size_t size = strlen(stops->all[i]);

        for (size_t at = 0; at + size <= n; at++) {
            if (memcmp(text + at, stops->all[i], size) == 0) {
                n = at;
                break;
            }
        }
    }
    return n;
}

/* Text [n] is the beginning of a stop text. */
static bool may_become_stop(const struct strings *stops, const char *text, size_t n)
{
    for (size_t i = 0; i < stops->n; i++) {
        if (n < strlen(stops->all[i]) && memcmp(text, stops->all[i], n) == 0) {
            return true;
        }
    }
    return false;
}

static enum answer_verdict judge(const struct answer *answer, const struct strings *stops,
                                 bool ended)
{
    const char *written = text_get(&answer->written);
    const size_t n = answer->written.size;
    const size_t wanted = strlen(answer->wanted);
    const size_t cut = answer_cut(stops, written, n);
    const size_t common = cut < wanted ? cut : wanted;

    if (memcmp(written, answer->wanted, common) != 0) {
        return ANSWER_WRONG;
    }
    if (cut < n || ended) {
        return cut == wanted ? ANSWER_RIGHT : ANSWER_WRONG;
    }
    return n <= wanted || may_become_stop(stops, written + wanted, n - wanted) ? ANSWER_OPEN
                                                                               : ANSWER_WRONG;
}

bool answer_add(struct answer *answer, const struct answer_rules *rules, uint32_t token)
{
    const struct answer_vocabulary *vocabulary = &rules->vocabulary;
    const bool last = ++answer->n_tokens == rules->max_new_tokens;

    if (token < vocabulary->n && vocabulary->last[token] != 0) {
        return true;
    }
    if (token < vocabulary->n) {
        const size_t begin = token == 0 ? 0 : vocabulary->ends[token - 1];

        text_add_n(&answer->written, text_get(&vocabulary->texts) + begin,
                   vocabulary->ends[token] - begin);
    }
    return last;
}

enum answer_verdict answer_write(struct answer *answer, const struct answer_rules *rules,
                                 uint32_t token)
{
    const bool ended = answer_add(answer, rules, token);

    return judge(answer, &rules->stops, ended);
}

void answer_release(struct answer *answer)
{
    text_release(&answer->written);
    *answer = (struct answer){0};
}
