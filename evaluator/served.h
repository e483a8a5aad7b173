/*
 * served.h - one model held ready to answer whoever asks, and its tokenizer as a service.
 *
 * What an evaluation harness wants to know before it asks for completions (completion.h): ids of a
 * text, the text of ids, the special tokens. Documents in, documents out; no HTTP here.
 */
#ifndef EVALUATOR_SERVED_H
#define EVALUATOR_SERVED_H

#include <stddef.h>

#include "base/doc.h"
#include "base/err.h"
#include "evaluator/chat/chat.h"
#include "evaluator/model/config.h"
#include "evaluator/model/forward.h"
#include "evaluator/model/tokenizer.h"
#include "evaluator/model/weights.h"

#define SERVED_UNLIMITED ((size_t)INT32_MAX) /* context of a model that names none */

struct served {
    char *folder;     /* as it was named, perhaps base+adapter */
    char *base;       /* where its files are */
    const char *name; /* the folder's last part */
    struct config config;
    size_t positions; /* longest context, prompt and answer together */
    struct tokenizer *tokenizer;
    struct chat *chat; /* which may have no template */
    struct weights *weights;
    struct forward *forward;
};

/* Read a model folder into memory, weights as they are stored. Answers are made in numeric, which
 * is available, where matrices are bfloat16, else in f32. Errors name file and part. */
int served_open(struct served *out, const char *folder, enum numeric numeric, struct err *err);
void served_close(struct served *served); /* all zero is fine */

/*
 * {"prompt": text, "add_special_tokens": true} -> {"tokens": [ids], "count", "max_model_len"}, and
 * {"tokens": [ids]} -> {"prompt": text}. A special token written out in a text becomes its id. New
 * references; ERR_FORMAT, ERR_MISSING and ERR_LIMIT name what is wrong with the request.
 */
int served_tokenize(struct served *served, const json_t *request, json_t **out, struct err *err);
int served_detokenize(struct served *served, const json_t *request, json_t **out, struct err *err);

/* {"eos_token", "bos_token", "pad_token", "chat_template"}: texts, or null where the model has
 * none. */
int served_tokenizer_info(struct served *served, json_t **out, struct err *err);

/* Append the ids of a list; ERR_FORMAT, or ERR_LIMIT for one that the model has no row for. */
int served_ids(const struct served *served, const json_t *list, struct tokens *out,
               struct err *err);

#endif
