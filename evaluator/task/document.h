/*
 * document.h - one question of a task, rendered: what the model reads and what is scored.
 *
 *   output                 contexts                continuations
 *   multiple_choice        1                       m: delimiter + choice
 *                          m: choice in its place  1: delimiter + what follows
 *   loglikelihood          1                       1
 *   loglikelihood_rolling  1: the whole text       0
 *   generate_until         1                       t: delimiter + each accepted answer
 */
#ifndef TASK_DOCUMENT_H
#define TASK_DOCUMENT_H

#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/doc.h"
#include "base/err.h"
#include "evaluator/task/strings.h"

#define DOCUMENT_CHOICES_MAX ((size_t)256)
#define DOCUMENT_TEXT_MAX ((size_t)16 << 20) /* bytes of one context or continuation */

struct document {
    char *id;
    struct strings contexts;
    struct strings continuations;
    struct strings choices; /* choice or answer texts without delimiter; no choice is empty */
    uint32_t *golds;        /* [n_golds] which choices are right; multiple_choice only */
    size_t n_golds;         /* 0: none is, the document is wrong whatever is predicted */
    size_t words, bytes;    /* loglikelihood_rolling: what sums are shared among; 0: the text's */
};

void document_release(struct document *document);

/* (context, continuation) pairs, and one of them; lent. Rolling documents have one, whose
 * continuation is NULL. */
size_t document_pairs(const struct document *document);
void document_pair(const struct document *document, size_t i, const char **context,
                   const char **continuation);

/* The wire form, a new reference, and back; ERR_FORMAT and ERR_LIMIT name the member. */
json_t *document_print(const struct document *document);
int document_read(struct document *out, const json_t *json, struct err *err);

/* Add all that decides the requests. */
void document_digest(const struct document *document, struct digest *digest);

#endif
