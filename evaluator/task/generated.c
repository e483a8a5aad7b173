/*
 * generated.c - texts token by token, and what is found in them.
 */
#include "evaluator/task/generated.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "evaluator/model/tokens.h"
#include "evaluator/model/unicode.h"

/* A text under way. */
struct draft {
    size_t document;
    struct answer answer; /* the bytes so far, for stops */
    struct tokens tokens;
    double loglikelihood;
};

void generated_end(struct drafts *drafts)
{
    for (size_t i = 0; i < drafts->n; i++) {
        answer_release(&drafts->all[i].answer);
        tokens_release(&drafts->all[i].tokens);
    }
    free(drafts->all);
    drafts->all = NULL;
    drafts->n = drafts->capacity = 0;
}

void generated_open(struct drafts *drafts, size_t begin, size_t end)
{
    const size_t n = drafts->n + (end - begin);

    if (n > drafts->capacity) {
        drafts->all = mem_resize(drafts->all, n, sizeof *drafts->all);
        drafts->capacity = n;
    }
    for (size_t i = begin; i < end; i++) {
        drafts->all[drafts->n++] = (struct draft){.document = i};
    }
}

struct generate_prompt generated_prompt(const struct drafts *drafts, size_t line)
{
    const struct requests *requests = drafts->requests;
    const struct request *request = &requests->all[requests->first[drafts->all[line].document]];

    return (struct generate_prompt){.tokens = requests->tokens.ids + request->at,
                                    .n = request->n,
                                    .n_new = drafts->rules->max_new_tokens};
}

size_t generated_document(const struct drafts *drafts, size_t line)
{
    return drafts->all[line].document;
}

static size_t longest(const struct strings *stops)
{
    size_t most = 0;

    for (size_t i = 0; i < stops->n; i++) {
        most = strlen(stops->all[i]) > most ? strlen(stops->all[i]) : most;
    }
    return most;
}

bool generated_take(struct drafts *drafts, size_t line, const struct forward_place *place)
{
    const struct answer_rules *rules = drafts->rules;
    struct draft *draft = &drafts->all[line];
    const struct text *written = &draft->answer.written;
    const size_t before = written->size;
    const size_t reach = longest(&rules->stops);
    const size_t from = before > reach ? before - reach : 0; /* a stop may have begun there */

    draft->loglikelihood += place->loglikelihood;
    tokens_add(&draft->tokens, place->best);
    if (answer_add(&draft->answer, rules, place->best)) {
        return false;
    }
    const size_t n = written->size - from;

    return answer_cut(&rules->stops, text_get(written) + from, n) == n;
}

/* ---- the text of tokens ---- */

/* Ids the tokenizer has no token for say nothing. */
static void drop_unknown(struct tokens *tokens, const struct tokenizer *tokenizer)
{
    size_t kept = 0;

    for (size_t i = 0; i < tokens->n; i++) {
        if (tokenizer_has(tokenizer, tokens->ids[i])) {
            tokens->ids[kept++] = tokens->ids[i];
        }
    }
    tokens->n = kept;
}

/* Filters see what the tokenizer makes of the generated tokens by themselves, special ones left
 * out: some drop the space in front. Else it is what the tokens add to the prompt. */
static int decode(const struct drafts *drafts, struct draft *draft, struct text *out,
                  struct err *err)
{
    if (drafts->task->n_filters == 0) {
        unicode_add_lossy(out, text_get(&draft->answer.written), draft->answer.written.size);
        return 0;
    }
    drop_unknown(&draft->tokens, drafts->tokenizer);
    return tokenizer_decode(drafts->tokenizer, draft->tokens.ids, draft->tokens.n, TOKENIZER_PLAIN,
                            out, err);
}

/* Text [n], with something visible for its zeros. */
static char *without_zeros(const char *text, size_t n)
{
    struct text made = {0};

    for (size_t i = 0; i < n; i++) {
        if (text[i] == '\0') {
            text_add(&made, "\xEF\xBF\xBD");
        } else {
            text_add_char(&made, text[i]);
        }
    }
    char *out = mem_text(text_get(&made));

    text_release(&made);
    return out;
}

int generated_text(struct drafts *drafts, size_t line, char **text, struct forward_result *result,
                   struct err *err)
{
    struct draft *draft = &drafts->all[line];
    struct text decoded = {0};
    const int rc = decode(drafts, draft, &decoded, err);

    if (rc == 0) {
        *text = without_zeros(text_get(&decoded),
                              answer_cut(&drafts->rules->stops, text_get(&decoded), decoded.size));
        *result = (struct forward_result){.loglikelihood = draft->loglikelihood, .greedy = true};
    }
    text_release(&decoded);
    return rc;
}

/* ---- measuring ---- */

int generated_matches(const struct task *task, const struct document *document, const char *text,
                      uint8_t *matches, struct err *err)
{
    /* without filters the delimiter is part of what must be written */
    const struct strings *answers =
        task->n_filters > 0 ? &document->choices : &document->continuations;
    struct text found = {0};
    int rc = 0;

    for (size_t c = 0; rc == 0 && c < task_columns(task); c++) {
        bool equal = false;

        text_clear(&found);
        text_add(&found, text);
        if (task->n_filters > 0) {
            rc = filter_apply(&task->filters[c], text, &found, err);
        }
        for (size_t i = 0; rc == 0 && !equal && i < answers->n; i++) {
            rc = exact_match_equal(&task->match, text_get(&found), answers->all[i], &equal, err);
        }
        matches[c] = equal;
    }
    text_release(&found);
    return rc;
}
