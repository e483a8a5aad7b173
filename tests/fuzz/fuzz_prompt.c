/*
 * Prompts: a first line with a task's keys, a second with a record. What is rendered travels as
 * JSON and comes back the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/doc.h"
#include "base/mem.h"
#include "evaluator/task/prompt.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check_round_trip(struct document *document)
{
    struct document back = {0};

    document->id = mem_text("d");
    json_t *first = document_print(document);
    must(first != NULL && document_read(&back, first, NULL) == 0);
    json_t *second = document_print(&back);
    must(json_equal(first, second));
    json_decref(first);
    json_decref(second);
    document_release(&back);
}

static void render(const json_t *config, const json_t *record, enum task_output output)
{
    struct prompt prompt = {0};
    struct document document = {0};
    struct err err = {0};

    if (prompt_parse(&prompt, config, output, &err) != 0) {
        must(err.text[0] != '\0');
        return;
    }
    const json_t *const shots[] = {record};

    if (prompt_render(&prompt, record, shots, output != TASK_LOGLIKELIHOOD_ROLLING, &document,
                      &err) == 0) {
        check_round_trip(&document);
    } else {
        must(err.text[0] != '\0' && document.contexts.n == 0);
    }
    document_release(&document);
    prompt_release(&prompt);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    const uint8_t *line = n > 0 ? memchr(bytes, '\n', n) : NULL;
    json_t *config = NULL;
    json_t *record = NULL;

    if (line == NULL) {
        return 0;
    }
    const size_t n_config = (size_t)(line - bytes);

    if (doc_parse(&config, (const char *)bytes, n_config, NULL) == 0 &&
        doc_parse(&record, (const char *)line + 1, n - n_config - 1, NULL) == 0) {
        for (int output = 0; output < TASK_OUTPUTS; output++) {
            render(config, record, (enum task_output)output);
        }
    }
    json_decref(config);
    json_decref(record);
    return 0;
}
