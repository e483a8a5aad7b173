/*
 * chat.c - chat templates on two pipes, for comparison with other implementations.
 *
 *   {"template": "Hello {{ name }}", "variables": {"name": "you"}}   ->   {"text": "Hello you"}
 *
 * One line out for each line in; {"error": ...} when the template cannot be parsed or run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/doc.h"
#include "evaluator/chat/jinja.h"

static int render(const json_t *request, struct text *out, struct err *err)
{
    const char *template = NULL;
    json_t *variables = NULL;
    struct jinja *jinja = NULL;

    int rc = doc_text(request, "template", &template, err);
    if (rc == 0) {
        rc = doc_object(request, "variables", &variables, err);
    }
    if (rc == 0) {
        rc = jinja_parse(&jinja, template, strlen(template), err);
    }
    if (rc == 0) {
        rc = jinja_render(jinja, variables, JINJA_DATE, out, err);
    }
    jinja_free(jinja);
    return rc;
}

int main(void)
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t n = 0;

    while ((n = getline(&line, &capacity, stdin)) >= 0) {
        json_t *request = NULL;
        struct text text = {0};
        struct text answer = {0};
        struct err err = {0};

        int rc = doc_parse(&request, line, (size_t)n, &err);
        if (rc == 0) {
            rc = render(request, &text, &err);
        }
        json_t *doc = rc == 0 ? json_pack("{s:s%}", "text", text_get(&text), text.size)
                              : json_pack("{s:s}", "error", err.text);

        doc_print(&answer, doc);
        printf("%s\n", text_get(&answer));
        fflush(stdout);
        json_decref(doc);
        json_decref(request);
        text_release(&answer);
        text_release(&text);
    }
    free(line);
    return 0;
}
