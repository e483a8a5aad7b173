/*
 * cmd_inspect.c - braid inspect FOLDER: what is in a model folder, and its digest.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/command.h"
#include "cli/table.h"
#include "evaluator/chat/chat.h"
#include "evaluator/model/checkpoint.h"

struct arguments {
    const char *folder;
    bool tensors, json;
};

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;

    switch (key) {
    case 't':
        arguments->tensors = true;
        return 0;
    case 'j':
        arguments->json = true;
        return 0;
    default:
        return command_one(key, value, state, "model folder", &arguments->folder);
    }
}

static void shape_text(struct text *out, const struct checkpoint_tensor *tensor)
{
    text_add_char(out, '[');
    for (size_t d = 0; d < tensor->n_dims; d++) {
        text_printf(out, "%s%zu", d > 0 ? ", " : "", tensor->dims[d]);
    }
    text_add_char(out, ']');
}

static void print_tensors(const struct checkpoint *model)
{
    static const char *const heads[] = {"tensor", "type", ">shape", "file"};
    struct table table;

    table_init(&table, heads, 4);
    for (size_t i = 0; i < checkpoint_count(model); i++) {
        const struct checkpoint_tensor *tensor = checkpoint_at(model, i);
        struct text shape = {0};

        shape_text(&shape, tensor);
        table_row(&table);
        table_cell(&table, "%s", tensor->name);
        table_cell(&table, "%s", dtype_name(tensor->dtype));
        table_cell(&table, "%s", text_get(&shape));
        table_cell(&table, "%s", tensor->file);
        text_release(&shape);
    }
    table_print(&table, stdout);
    table_release(&table);
}

struct totals {
    uint64_t parameters, bytes;
};

static struct totals sum_up(const struct checkpoint *model)
{
    struct totals totals = {0};

    for (size_t i = 0; i < checkpoint_count(model); i++) {
        totals.parameters += checkpoint_at(model, i)->n_elements;
        totals.bytes += checkpoint_at(model, i)->n_bytes;
    }
    return totals;
}

/* Whether tasks in chat mode can be asked, or what the template trips over. */
static void print_chat(const struct checkpoint *model)
{
    struct chat *chat = chat_open(checkpoint_folder(model));
    struct err err = {0};
    const int rc = chat_usable(chat, &err);

    printf("  chat          %s%s\n",
           rc == 0 ? "its template renders" : "not here: ", rc == 0 ? "" : err.text);
    chat_close(chat);
}

static void print_people(const struct checkpoint *model, const char *digest, bool tensors)
{
    const struct config *config = checkpoint_config(model);
    struct totals totals = sum_up(model);
    struct err err = {0};

    printf("%s\n", checkpoint_name(model));
    printf("  architecture  %s (%s)\n", config->architecture, config->model_type);
    printf("  layers        %" PRIu32 ", width %" PRIu32 ", MLP %" PRIu32 ", heads %" PRIu32
           "/%" PRIu32 " of %" PRIu32 "\n",
           config->n_layers, config->width, config->mlp_width, config->n_heads, config->n_kv_heads,
           config->head_width);
    printf("  vocabulary    %" PRIu32 "%s\n", config->vocab, config->tied ? ", tied" : "");
    printf("  parameters    %" PRIu64 " in %zu tensors, %" PRIu64 " bytes\n", totals.parameters,
           checkpoint_count(model), totals.bytes);
    printf("  digest        %s\n", digest);
    if (config_runnable(config, &err) != 0) {
        printf("  scoring       not here: %s\n", err.text);
    }
    print_chat(model);
    if (tensors) {
        print_tensors(model);
    }
}

/* "chat": true, or why not. */
static void add_chat(json_t *doc, const struct checkpoint *model)
{
    struct chat *chat = chat_open(checkpoint_folder(model));
    struct err err = {0};

    if (chat_usable(chat, &err) == 0) {
        json_object_set_new(doc, "chat", json_true());
    } else {
        json_object_set_new(doc, "chat", json_string(err.text));
    }
    chat_close(chat);
}

static void print_json(const struct checkpoint *model, const char *digest, const char *weights)
{
    const struct config *config = checkpoint_config(model);
    struct totals totals = sum_up(model);
    struct text text = {0};
    json_t *doc = json_pack(
        "{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:s, s:s}", "model", checkpoint_name(model),
        "architecture", config->architecture, "model_type", config->model_type, "layers",
        (json_int_t)config->n_layers, "width", (json_int_t)config->width, "vocabulary",
        (json_int_t)config->vocab, "parameters", (json_int_t)totals.parameters, "bytes",
        (json_int_t)totals.bytes, "digest", digest, "weights", weights);

    add_chat(doc, model);
    doc_print_pretty(&text, doc);
    printf("%s\n", text_get(&text));
    text_release(&text);
    json_decref(doc);
}

int cmd_inspect(int argc, char **argv)
{
    static const struct argp_option options[] = {{"tensors", 't', NULL, 0, "list every tensor", 0},
                                                 {"json", 'j', NULL, 0, "print one JSON object", 0},
                                                 {0}};
    static const struct argp argp = {
        options,
        parse_option,
        "FOLDER",
        "Say what is in a model folder: architecture, sizes, and the digest that names "
        "it in recipes.\vExample: braid inspect --tensors models/base",
        NULL,
        NULL,
        NULL};
    struct arguments arguments = {0};
    struct checkpoint *model = NULL;
    char digest[DIGEST_HEX];
    char weights[DIGEST_HEX];
    struct err err = {0};

    command_parse(&argp, argc, argv, &arguments);
    int rc = checkpoint_open(&model, arguments.folder, &err);
    if (rc == 0) {
        rc = checkpoint_digest(model, digest, &err);
    }
    if (rc == 0) {
        rc = checkpoint_weights_digest(model, weights, &err);
    }
    if (rc == 0) {
        if (arguments.json) {
            print_json(model, digest, weights);
        } else {
            print_people(model, digest, arguments.tensors);
        }
    }
    checkpoint_close(model);
    return rc == 0 ? COMMAND_DONE : command_fail(argv[0], &err);
}
