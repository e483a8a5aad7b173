/*
 * Bodies of requests to a served model: completions, /tokenize, /detokenize, before any work of the
 * model. What is accepted has prompts of ids that the model knows and fits its context; what is
 * refused says why.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/doc.h"
#include "evaluator/chat_completion.h"
#include "evaluator/completion.h"
#include "evaluator/served.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

#define TOKENIZER                                                                       \
    "{\"model\":{\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"ab\":3,\" \":4,\"?\":5,\"1\":6}," \
    "\"merges\":[[\"a\",\"b\"]],\"unk_token\":\"?\"},"                                  \
    "\"added_tokens\":[{\"id\":7,\"content\":\"<s>\",\"special\":true}]}"

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

/* A model without weights: its tokenizer, one row more than that has, a short context. */
static struct served *model(void)
{
    static struct served served;

    if (served.tokenizer == NULL) {
        must(tokenizer_parse(&served.tokenizer, TOKENIZER, strlen(TOKENIZER), NULL) == 0);
        served.config.vocab = 9;
        served.positions = 64;
        served.chat = chat_open("/nowhere");
    }
    return &served;
}

static void check_completion(struct served *served, const json_t *body)
{
    struct completion_request request = {0};
    struct err err = {0};

    if (completion_request_read(&request, served, body, &err) != 0) {
        must(err.text[0] != '\0' && request.prompts == NULL && request.n == 0);
        return;
    }
    must(request.n > 0 && request.n <= COMPLETION_PROMPTS_MAX);
    must(request.stops.n <= COMPLETION_STOPS_MAX);
    for (size_t i = 0; i < request.n; i++) {
        must(request.prompts[i].n > 0);
        must(request.prompts[i].n + request.max_tokens <= served->positions);
        for (size_t t = 0; t < request.prompts[i].n; t++) {
            must(request.prompts[i].ids[t] < served->config.vocab);
        }
    }
    for (size_t i = 0; i < request.stops.n; i++) {
        must(*request.stops.all[i] != '\0');
    }
    completion_request_release(&request);
}

/* Its model has no template: whatever is sent is refused, and says why. */
static void check_chat(struct served *served, const json_t *body)
{
    struct completion_request request = {0};
    struct err err = {0};

    must(chat_completion_read(&request, served, body, &err) != 0);
    must(err.text[0] != '\0' && request.prompts == NULL && request.stops.n == 0);
}

static void check_texts(struct served *served, const json_t *body,
                        int (*ask)(struct served *, const json_t *, json_t **, struct err *))
{
    json_t *answer = NULL;
    struct err err = {0};

    if (ask(served, body, &answer, &err) != 0) {
        must(err.text[0] != '\0' && answer == NULL);
    } else {
        must(json_is_object(answer));
    }
    json_decref(answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct served *served = model();
    json_t *body = NULL;

    if (doc_parse(&body, (const char *)bytes, n, NULL) != 0) {
        return 0;
    }
    check_completion(served, body);
    check_chat(served, body);
    check_texts(served, body, served_tokenize);
    check_texts(served, body, served_detokenize);
    json_decref(body);
    return 0;
}
