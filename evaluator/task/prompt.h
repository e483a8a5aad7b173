/*
 * prompt.h - how a record becomes a document: prompt, continuations, right answers.
 *
 * As plain text the prompt is system and description, then each example (question,
 * target_delimiter, answer, fewshot_delimiter), then the question. With a gen_prefix the answer of
 * an example is prefix, one space, answer; and the question ends in target_delimiter and prefix.
 * Joints with a gen_prefix get their delimiter only where neither side has whitespace. In chat mode
 * the same parts are turns of a chat (conversation.h). This is lm-evaluation-harness 0.4.
 */
#ifndef TASK_PROMPT_H
#define TASK_PROMPT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/doc.h"
#include "base/err.h"
#include "evaluator/chat/chat.h"
#include "evaluator/task/document.h"
#include "evaluator/task/metric.h"
#include "evaluator/task/template.h"

struct prompt {
    enum task_output output;
    bool chat, multiturn;        /* chat mode; examples as turns */
    const struct chat *template; /* the model's, for chat mode; lent, NULL: plain text */
    char *system, *description;
    char *target_delimiter, *fewshot_delimiter;
    struct template question;
    struct template gen_prefix;
    bool has_gen_prefix;
    struct template choices_member; /* "{options}" */
    struct template *choices;       /* [n_choices] literal list, each with places */
    size_t n_choices;
    struct template continuation; /* multiple_choice with the choice inside the prompt */
    bool has_continuation;
    char *gold; /* member; NULL for rolling */
};

/* Keys that prompt_parse reads from a task's configuration; others are someone else's. */
extern const char *const prompt_keys[];
extern const size_t prompt_n_keys;

/* ERR_FORMAT, ERR_MISSING name the key. */
int prompt_parse(struct prompt *out, const json_t *config, enum task_output output,
                 struct err *err);
void prompt_release(struct prompt *prompt);

/* Append system and description, the few-shot delimiter between them unless whitespace is. */
void prompt_add_system(const struct prompt *prompt, struct text *out);
/* Append an example as plain text. */
int prompt_add_example(const struct prompt *prompt, const json_t *record, struct text *out,
                       struct err *err);

/*
 * Render everything but the id; in chat mode the caller has given prompt->template.
 *
 *   shots [n]  records of the examples, in order
 *
 * Errors name the member: no gold, an example's gold that is no choice, empty choice. The
 * document's own gold may be no choice: then it has fewer golds than prompt_golds.
 */
int prompt_render(const struct prompt *prompt, const json_t *record, const json_t *const *shots,
                  size_t n, struct document *out, struct err *err);

/* How many right answers a record of a multiple-choice task names. */
size_t prompt_golds(const struct prompt *prompt, const json_t *record);

#endif
