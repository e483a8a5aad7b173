/*
 * jinja.h - the part of the Jinja language that chat templates are written in.
 *
 *   struct jinja *jinja = NULL;
 *   struct text prompt = {0};
 *   if (jinja_parse(&jinja, "{{ bos_token }}{% for m in messages %}...", n, err) == 0 &&
 *       jinja_render(jinja, variables, JINJA_DATE, &prompt, err) == 0) { ... }
 *   jinja_free(jinja);
 *
 * The same bytes as Jinja 3.1 in the environment that Hugging Face transformers makes for chat
 * templates: trim_blocks, lstrip_blocks, loop controls, no escaping, nothing that changes a value
 * but set and namespaces; tojson, raise_exception and strftime_now as transformers has them.
 *
 *   statements   if elif else, for (conditions, else, unpacking, break, continue), set, set with a
 *                body, macro, generation
 *   expressions  literals, arithmetic, ~, comparisons, and or not in is, if else, items, slices,
 *                attributes, calls of macros, namespace, dict, range
 *   filters, tests, methods: the tables in jinja_filter.c, jinja_test.c and jinja_method.c
 *
 * Whatever else a template holds is refused by name and line when it is parsed. What depends on
 * values (a list printed, a text added to a number, a text that Python would change by rules that
 * are not here) fails when it is met.
 *
 * A template is a program of a stranger. It reads the variables and writes text; it knows neither
 * files nor the clock. Its size, depth, and the work that it does (steps taken, bytes made and
 * looked at) are limited, so that it ends soon and stays small whatever it is.
 */
#ifndef CHAT_JINJA_H
#define CHAT_JINJA_H

#include <stddef.h>
#include <stdint.h>

#include "base/doc.h"
#include "base/err.h"
#include "base/text.h"

#define JINJA_TEXT_MAX ((size_t)1 << 20)   /* bytes of a template */
#define JINJA_DEPTH_MAX 200                /* expressions, statements and calls in one another */
#define JINJA_WORK_MAX ((uint64_t)1 << 27) /* bytes made or looked at; a step counts as 16 */

/* What strftime_now tells when nobody says otherwise: 26 July 2024, the date that templates of
 * Llama 3 fall back to. */
#define JINJA_DATE ((int64_t)1721952000)

struct jinja;

/* text [n]. ERR_FORMAT names line and construct, ERR_LIMIT the size. */
int jinja_parse(struct jinja **out, const char *text, size_t n, struct err *err);
void jinja_free(struct jinja *jinja); /* NULL is fine */

/*
 * Append what the template makes of variables, an object with a name a member. date: what
 * strftime_now tells, seconds of the calendar. ERR_FORMAT names the line and what went wrong there,
 * or gives the words of raise_exception; ERR_LIMIT when it does too much. On failure out is as it
 * was.
 */
int jinja_render(const struct jinja *jinja, const json_t *variables, int64_t date, struct text *out,
                 struct err *err);

#endif
