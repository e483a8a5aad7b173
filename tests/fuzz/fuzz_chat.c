/*
 * Chat templates: any text, over a fixed conversation. What is accepted gives the same UTF-8 twice;
 * what is refused says why.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/doc.h"
#include "evaluator/chat/jinja.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

#define VARIABLES                                                                             \
    "{\"bos_token\":\"<s>\",\"eos_token\":\"</s>\",\"tools\":null,\"add_generation_prompt\":" \
    "true,\"messages\":[{\"role\":\"system\",\"content\":\" Be \\u00e9xact.\\n\"},{\"role\":" \
    "\"user\",\"content\":\"1+1=\"},{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":" \
    "[{\"function\":{\"name\":\"f\",\"arguments\":{\"x\":[1,2.5,null,true]}}}]}]}"

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static json_t *variables(void)
{
    static json_t *made;

    must(made != NULL || doc_parse(&made, VARIABLES, strlen(VARIABLES), NULL) == 0);
    return made;
}

static void check_prompts(const struct jinja *jinja)
{
    struct text once = {0};
    struct text twice = {0};
    struct err err = {0};
    const int rc = jinja_render(jinja, variables(), JINJA_DATE, &once, &err);

    must(rc == 0 || ((rc == ERR_FORMAT || rc == ERR_LIMIT) && err.text[0] != '\0'));
    must(rc == 0 || once.size == 0);
    must(jinja_render(jinja, variables(), JINJA_DATE, &twice, NULL) == rc);
    must(strcmp(text_get(&once), text_get(&twice)) == 0);
    must(text_is_utf8(text_get(&once), once.size, NULL) && once.size <= JINJA_WORK_MAX);
    text_release(&once);
    text_release(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct jinja *jinja = NULL;
    struct err err = {0};

    if (jinja_parse(&jinja, (const char *)bytes, n, &err) != 0) {
        must(jinja == NULL && err.text[0] != '\0');
        return 0;
    }
    check_prompts(jinja);
    jinja_free(jinja);
    return 0;
}
