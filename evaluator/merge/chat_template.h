/*
 * chat_template.h - the chat template of a merged model.
 *
 * Templates are Jinja programs; here they are copied and written (evaluator/chat runs them). A
 * recipe names one:
 *
 *   chatml, llama3, mistral, alpaca, exaone    the usual text of that form
 *   auto                                       the most frequent one among the models
 *   a text of at least 20 bytes with a '{'     itself
 */
#ifndef MERGE_CHAT_TEMPLATE_H
#define MERGE_CHAT_TEMPLATE_H

#include <stddef.h>

#include "base/err.h"
#include "base/text.h"
#include "evaluator/model/checkpoint.h"

/*
 * The template that `wanted` means, appended to out; nothing when it is auto and no model has one,
 * which warnings receives a line of. ERR_FORMAT: no name, no template; ERR_IO, ERR_FORMAT: a
 * model's tokenizer_config.json.
 */
int chat_template_choose(struct text *out, const char *wanted,
                         const struct checkpoint *const *models, size_t n_models,
                         struct text *warnings, struct err *err);

/* Into tokenizer_config.json of folder, which is made when it is not there; and into
 * chat_template.jinja, where that is and would win. */
int chat_template_write(const char *folder, const char *template, struct err *err);

#endif
