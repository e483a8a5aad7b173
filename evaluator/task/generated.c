/*
 * generated.c - texts token by token, and what is found in them.
 */
#include "evaluator/task/generated.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "evaluator/model/generate.h"
#include "evaluator/model/tokens.h"
#include "evaluator/model/unicode.h"

/* A text under way. */
struct draft {
    struct answer answer; /* the bytes so far, for stops */
    struct tokens tokens;
    double loglikelihood;
};

struct drafts {
    const struct writing *writing;
    struct draft *all; /* [n] one a document of the stretch */
    size_t n;
};

static void drafts_release(struct drafts *drafts)
{
    for (size_t i = 0; i < drafts->n; i++) {
        answer_release(&drafts->all[i].answer);
        tokens_release(&drafts->all[i].tokens);
    }
    free(drafts->all);
}

static size_t longest(const struct strings *stops)
{
    size_t most = 0;

    for (size_t i = 0; i < stops->n; i++) {
        most = strlen(stops->all[i]) > most ? strlen(stops->all[i]) : most;
    }
    return most;
}

static bool write_down(void *context, size_t line, const struct forward_place *place)
{
    const struct drafts *drafts = context;
    const struct answer_rules *rules = drafts->writing->rules;
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
static void drop_unknown(struct tokens *tokens, size_t vocabulary)
{
    size_t kept = 0;

    for (size_t i = 0; i < tokens->n; i++) {
        if (tokens->ids[i] < vocabulary) {
            tokens->ids[kept++] = tokens->ids[i];
        }
    }
    tokens->n = kept;
}

/* Filters see what the tokenizer makes of the generated tokens by themselves, special ones left
 * out: some drop the space in front. Else it is what the tokens add to the prompt. */
static int decode(const struct writing *writing, struct tokenizer *tokenizer, struct draft *draft,
                  struct text *out, struct err *err)
{
    if (writing->task->n_filters == 0) {
        unicode_add_lossy(out, text_get(&draft->answer.written), draft->answer.written.size);
        return 0;
    }
    drop_unknown(&draft->tokens, writing->rules->vocabulary.n);
    return tokenizer_decode(tokenizer, draft->tokens.ids, draft->tokens.n, TOKENIZER_PLAIN, out,
                            err);
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

static int text_of(const struct writing *writing, struct tokenizer *tokenizer, struct draft *draft,
                   char **out, struct err *err)
{
    struct text text = {0};
    const int rc = decode(writing, tokenizer, draft, &text, err);

    if (rc == 0) {
        *out = without_zeros(text_get(&text),
                             answer_cut(&writing->rules->stops, text_get(&text), text.size));
    }
    text_release(&text);
    return rc;
}

int generated_texts(const struct writing *writing, struct tokenizer *tokenizer,
                    struct forward *forward, const struct weights *weights, char **texts,
                    struct forward_result *results, struct err *err)
{
    const struct requests *requests = writing->requests;
    const size_t n = writing->end - writing->begin;
    struct drafts drafts = {writing, mem_array(n, sizeof *drafts.all), n};
    struct generate_prompt *prompts = mem_array(n, sizeof *prompts);
    const struct generate_sink sink = {.take = write_down, .context = &drafts};

    for (size_t i = 0; i < n; i++) {
        const struct request *request = &requests->all[requests->first[writing->begin + i]];

        prompts[i] = (struct generate_prompt){.tokens = requests->tokens.ids + request->at,
                                              .n = request->n,
                                              .n_new = writing->rules->max_new_tokens};
    }
    int rc = generate(forward, weights, prompts, n, &sink, err);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        const size_t document = writing->begin + i;

        rc = text_of(writing, tokenizer, &drafts.all[i], &texts[document], err);
        results[requests->first[document]] =
            (struct forward_result){.loglikelihood = drafts.all[i].loglikelihood, .greedy = true};
    }
    free(prompts);
    drafts_release(&drafts);
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
