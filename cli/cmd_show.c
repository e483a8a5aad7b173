/*
 * cmd_show.c - braid show DB [CANDIDATE], and braid recipe DB [CANDIDATE].
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/candidate.h"
#include "cli/command.h"
#include "cli/notes.h"
#include "cli/route_map.h"
#include "cli/table.h"
#include "evaluator/merge/mergekit.h"
#include "study/recipe.h"

struct arguments {
    const char *database, *candidate;
    bool json, documents, map;
};

enum { KEY_DOCUMENTS = 1000, KEY_MAP };

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;

    switch (key) {
    case 'j':
        arguments->json = true;
        return 0;
    case KEY_DOCUMENTS:
        arguments->documents = true;
        return 0;
    case KEY_MAP:
        arguments->map = true;
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->database == NULL) {
            arguments->database = value;
        } else if (arguments->candidate == NULL) {
            arguments->candidate = value;
        } else {
            argp_error(state, "a database and one candidate, please");
        }
        return 0;
    case ARGP_KEY_END:
        if (arguments->database == NULL) {
            argp_error(state, "which database?");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* What programs do not say is not known. */
static void add_count(struct table *table, const json_t *n)
{
    if (json_integer_value(n) > 0) {
        table_cell(table, "%lld", (long long)json_integer_value(n));
    } else {
        table_cell(table, "-");
    }
}

static void add_error(struct table *table, const json_t *error)
{
    if (json_is_number(error)) {
        table_cell(table, "%.4f", json_number_value(error));
    } else {
        table_cell(table, "-");
    }
}

static void print_scores(const json_t *scores)
{
    static const char *const heads[] = {"task", "split", "metric", ">n", ">value", ">stderr"};
    struct table table;
    const char *metric;
    json_t *value;

    table_init(&table, heads, 6);
    for (size_t i = 0; i < json_array_size(scores); i++) {
        const json_t *score = json_array_get(scores, i);

        json_object_foreach(json_object_get(score, "metrics"), metric, value)
        {
            table_row(&table);
            table_cell(&table, "%s", json_string_value(json_object_get(score, "task")));
            table_cell(&table, "%s", json_string_value(json_object_get(score, "split")));
            table_cell(&table, "%s", metric);
            add_count(&table, json_object_get(score, "n"));
            table_cell(&table, "%.4f", json_number_value(json_object_get(value, "value")));
            add_error(&table, json_object_get(value, "stderr"));
        }
    }
    table_print(&table, stdout);
    table_release(&table);
}

static void print_json(const json_t *doc)
{
    struct text text = {0};

    doc_print_pretty(&text, doc);
    printf("%s\n", text_get(&text));
    text_release(&text);
}

static int read_recipe(const json_t *doc, struct recipe *out, struct text *text, struct err *err)
{
    const json_t *stored = json_object_get(doc, "recipe");

    if (json_is_string(stored)) {
        text_add(text, json_string_value(stored));
    } else {
        doc_print(text, stored);
    }
    return recipe_parse(out, text_get(text), text->size, err);
}

static const char *model_name(const json_t *notes, const char *digest)
{
    const json_t *model = json_object_get(json_object_get(notes, "models"), digest);
    const char *name = json_string_value(json_object_get(model, "name"));

    return name != NULL ? name : digest;
}

/* "route    A0-7 B8-11*1.4   A: base, B: math", where there is one. */
static int print_route(const json_t *doc, const json_t *notes, struct err *err)
{
    struct recipe recipe = {0};
    struct text text = {0};
    int rc = read_recipe(doc, &recipe, &text, err);

    text_clear(&text);
    if (rc == 0 && recipe.route.n_hops > 0) {
        bool merges = strcmp(recipe.method->name, "passthrough") != 0;

        route_print(&text, &recipe.route);
        text_printf(&text, "   A: %s", merges ? "the merge" : model_name(notes, recipe.sources[0]));
        for (size_t m = 0; m < recipe.n_route_models; m++) {
            text_printf(&text, ", %c: %s", (char)('B' + m),
                        model_name(notes, recipe.route_models[m]));
        }
        printf("  route    %s\n", text_get(&text));
    }
    text_release(&text);
    recipe_release(&recipe);
    return rc;
}

/* Open, find, fetch; what both commands share. */
static int fetch(const struct arguments *arguments, struct store **store, json_t **doc,
                 struct err *err)
{
    uint64_t candidate = 0;
    int rc = store_open_reader(store, arguments->database, err);

    if (rc == 0) {
        rc = candidate_find(*store, arguments->candidate != NULL ? arguments->candidate : "best",
                            &candidate, err);
    }
    return rc == 0 ? candidate_doc(*store, candidate, arguments->documents, doc, err) : rc;
}

/* The map in place of a candidate. */
static int show_map(const struct arguments *arguments, struct err *err)
{
    struct store *store = NULL;
    int rc = store_open_reader(&store, arguments->database, err);

    if (rc == 0) {
        rc = route_map_show(store, arguments->json, err);
    }
    store_close(store);
    return rc;
}

static int show_candidate(const struct arguments *arguments, struct err *err)
{
    struct store *store = NULL;
    json_t *doc = NULL, *notes = NULL;
    int rc = fetch(arguments, &store, &doc, err);

    if (rc == 0) {
        rc = notes_read(store, &notes, err);
    }
    if (rc == 0 && arguments->json) {
        print_json(doc);
    } else if (rc == 0) {
        printf("candidate %lld, stage %s\n",
               (long long)json_integer_value(json_object_get(doc, "candidate")),
               json_string_value(json_object_get(doc, "stage")));
        printf("  recipe   %s\n", json_string_value(json_object_get(doc, "recipe_digest")));
        rc = print_route(doc, notes, err);
        print_scores(json_object_get(doc, "scores"));
    }
    json_decref(notes);
    json_decref(doc);
    store_close(store);
    return rc;
}

int cmd_show(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"json", 'j', NULL, 0, "print one JSON object", 0},
        {"documents", KEY_DOCUMENTS, NULL, 0, "with --json: every document's numbers", 0},
        {"map", KEY_MAP, NULL, 0,
         "of a search of routes: every single edit that was tried, best first", 0},
        {0}};
    static const struct argp argp = {options,
                                     parse_option,
                                     "DATABASE [CANDIDATE]",
                                     "Show one candidate, by number or best (the default).\v"
                                     "Example: braid show night.db 217",
                                     NULL,
                                     NULL,
                                     NULL};
    struct arguments arguments = {0};
    struct err err = {0};

    command_parse(&argp, argc, argv, &arguments);
    int rc = arguments.map ? show_map(&arguments, &err) : show_candidate(&arguments, &err);

    return rc == 0 ? COMMAND_DONE : command_fail(argv[0], &err);
}

/* ---- recipe ---- */

/* Of the host, where its folder still is; false when it is not. */
static bool host_config(const json_t *notes, const struct recipe *recipe, struct config *out)
{
    const json_t *model = json_object_get(json_object_get(notes, "models"), recipe->sources[0]);
    const char *path = json_string_value(json_object_get(model, "path"));

    return path != NULL && config_load(out, path, NULL) == 0;
}

static int print_mergekit(const json_t *notes, const struct recipe *recipe, struct err *err)
{
    const char *names[METHOD_SOURCES_MAX + ROUTE_MODELS_MAX];
    struct config host = {0};
    struct text text = {0};
    int rc = 0;

    for (size_t s = 0; s < recipe->n_sources; s++) {
        names[s] = model_name(notes, recipe->sources[s]);
    }
    if (recipe->route.n_hops > 0) {
        for (size_t m = 0; m < recipe->n_route_models; m++) {
            names[m + 1] = model_name(notes, recipe->route_models[m]);
        }
        bool known = host_config(notes, recipe, &host);
        rc = mergekit_print_route(&text, recipe, known ? &host : NULL, names, err);
    } else {
        mergekit_print(&text, recipe,
                       recipe->base[0] != '\0' ? model_name(notes, recipe->base) : NULL, names);
    }
    fputs(text_get(&text), stdout);
    text_release(&text);
    return rc;
}

int cmd_recipe(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"json", 'j', NULL, 0, "print our own canonical JSON", 0}, {0}};
    static const struct argp argp = {options,
                                     parse_option,
                                     "DATABASE [CANDIDATE]",
                                     "Print a candidate's recipe as a mergekit YAML file.\v"
                                     "Example: braid recipe night.db best > recipe.yml",
                                     NULL,
                                     NULL,
                                     NULL};
    struct arguments arguments = {0};
    struct store *store = NULL;
    json_t *doc = NULL;
    json_t *notes = NULL;
    struct recipe recipe = {0};
    struct text text = {0};
    struct err err = {0};

    command_parse(&argp, argc, argv, &arguments);
    int rc = fetch(&arguments, &store, &doc, &err);
    if (rc == 0) {
        rc = notes_read(store, &notes, &err);
    }
    if (rc == 0) {
        rc = read_recipe(doc, &recipe, &text, &err);
    }
    if (rc == 0 && arguments.json) {
        printf("%s\n", text_get(&text));
    } else if (rc == 0) {
        rc = print_mergekit(notes, &recipe, &err);
    }
    text_release(&text);
    recipe_release(&recipe);
    json_decref(notes);
    json_decref(doc);
    store_close(store);
    return rc == 0 ? COMMAND_DONE : command_fail(argv[0], &err);
}
