/*
 * chat.h - a model's chat template, found in its folder and ready to make prompts of messages.
 *
 *   struct chat *chat = chat_open("models/base");
 *   json_t *messages = json_pack("[{s:s, s:s}]", "role", "user", "content", "37+45=");
 *   if (chat_render(chat, messages, CHAT_ANSWER, &prompt, err) == 0) { ... }
 *   chat_close(chat);
 *
 * The text is what transformers' apply_chat_template(tokenize=False) gives. Special tokens stand in
 * it written out; a tokenizer makes ids of them, and adds no second beginning of sequence.
 * Templates that ask for today's date are told JINJA_DATE, so that prompts do not change overnight.
 */
#ifndef CHAT_CHAT_H
#define CHAT_CHAT_H

#include "base/doc.h"
#include "base/err.h"
#include "base/text.h"

struct chat;

/* Read the template of a model folder, and its special tokens; never NULL. A model without a
 * template, or with one that is not supported, opens all the same: who asks it for a prompt is told
 * why there is none. */
struct chat *chat_open(const char *folder);
void chat_close(struct chat *chat); /* NULL is fine */

/* 0, or ERR_MISSING (there is none), ERR_FORMAT, ERR_LIMIT (what it trips over), naming the file.
 */
int chat_usable(const struct chat *chat, struct err *err);

enum chat_end {
    CHAT_ANSWER,  /* the assistant's turn is opened */
    CHAT_CONTINUE /* the last message, the beginning of an answer, is left open */
};

/* Append the prompt of messages, a list of {"role", "content"}. Errors as chat_usable, and those of
 * jinja_render: the template refuses messages that it does not like. */
int chat_render(const struct chat *chat, const json_t *messages, enum chat_end end,
                struct text *out, struct err *err);

/* The template of a folder: chat_template.jinja, else what tokenizer_config.json has, of several
 * the one named default; "" when it has none. free() it. */
int chat_find(char **out, const char *folder, struct err *err);

#endif
