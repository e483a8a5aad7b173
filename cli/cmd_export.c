/*
 * cmd_export.c - braid export DB FOLDER: a candidate as a Hugging Face folder, the very weights
 * that were measured.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "cli/candidate.h"
#include "cli/command.h"
#include "cli/export_card.h"
#include "cli/notes.h"
#include "evaluator/merge/export.h"
#include "store/views.h"

#define MODELS_MAX (1 + METHOD_SOURCES_MAX + ROUTE_MODELS_MAX)

struct arguments {
    const char *database, *folder, *candidate;
    bool folded;
};

enum { KEY_FOLDED = 1000 };

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;

    switch (key) {
    case 'c':
        arguments->candidate = value;
        return 0;
    case KEY_FOLDED:
        arguments->folded = true;
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->database == NULL) {
            arguments->database = value;
        } else if (arguments->folder == NULL) {
            arguments->folder = value;
        } else {
            argp_error(state, "a database and one folder, please");
        }
        return 0;
    case ARGP_KEY_END:
        if (arguments->folder == NULL) {
            argp_error(state, "from which database, into which folder?");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* What an export is made of. */
struct made {
    json_t *candidate, *notes, *summary;
    struct recipe recipe;
    struct recipe blocks; /* of a folded export: a route through each block once */
    size_t n_models;
    struct checkpoint *models[MODELS_MAX];
    char digests[MODELS_MAX][DIGEST_HEX];
    struct plan_model named[MODELS_MAX];
    struct plan plan;
    struct text card, lineage, mergekit, hops;
};

static int read_recipe(struct made *made, struct err *err)
{
    const json_t *stored = json_object_get(made->candidate, "recipe");
    struct text text = {0};

    if (json_is_string(stored)) {
        text_add(&text, json_string_value(stored));
    } else {
        doc_print(&text, stored);
    }
    int rc = recipe_parse(&made->recipe, text_get(&text), text.size, err);
    text_release(&text);
    return rc;
}

static int open_model(struct made *made, const char *digest, struct err *err)
{
    const json_t *model = json_object_get(json_object_get(made->notes, "models"), digest);
    const char *path = json_string_value(json_object_get(model, "path"));
    size_t i = made->n_models;

    for (size_t before = 0; before < i; before++) {
        if (strcmp(made->digests[before], digest) == 0) {
            return 0;
        }
    }
    if (path == NULL) {
        return err_set(err, ERR_MISSING, "the database does not say where model %.16s... is",
                       digest);
    }
    int rc = checkpoint_open(&made->models[i], path, err);
    if (rc != 0) {
        return rc;
    }
    made->n_models++;
    rc = checkpoint_digest(made->models[i], made->digests[i], err);
    if (rc == 0 && strcmp(made->digests[i], digest) != 0) {
        rc = err_set(err, ERR_CONFLICT,
                     "%s: changed since the search; the export would not be what was measured",
                     path);
    }
    made->named[i] = (struct plan_model){made->digests[i], made->models[i]};
    return rc;
}

static int open_models(struct made *made, struct err *err)
{
    int rc = made->recipe.base[0] != '\0' ? open_model(made, made->recipe.base, err) : 0;

    for (size_t s = 0; s < made->recipe.n_sources && rc == 0; s++) {
        rc = open_model(made, made->recipe.sources[s], err);
    }
    for (size_t m = 0; m < made->recipe.n_route_models && rc == 0; m++) {
        rc = open_model(made, made->recipe.route_models[m], err);
    }
    return rc;
}

/* The recipe of the blocks alone, and the way through them. */
static int fold(struct made *made, struct err *err)
{
    size_t places[ROUTE_HOPS_MAX];
    int rc = made->recipe.route.n_hops > 0
                 ? recipe_copy(&made->blocks, &made->recipe, err)
                 : err_set(err, ERR_FORMAT, "--folded: the candidate has no route");

    if (rc == 0) {
        route_release(&made->blocks.route);
        route_fold(&made->blocks.route, places, &made->recipe.route);
        export_card_hops(&made->hops, &made->recipe.route, places);
    }
    return rc;
}

/* ---- the command ---- */

static int gather(struct made *made, struct store *store, const struct arguments *arguments,
                  uint64_t *candidate, struct err *err)
{
    int rc = candidate_find(store, arguments->candidate != NULL ? arguments->candidate : "best",
                            candidate, err);

    if (rc != 0 || (rc = candidate_doc(store, *candidate, 0, &made->candidate, err)) != 0 ||
        (rc = notes_read(store, &made->notes, err)) != 0 ||
        (rc = store_view_summary(store, &made->summary, err)) != 0 ||
        (rc = read_recipe(made, err)) != 0 || (rc = open_models(made, err)) != 0 ||
        (arguments->folded && (rc = fold(made, err)) != 0)) {
        return rc;
    }
    return plan_make(&made->plan, arguments->folded ? &made->blocks : &made->recipe, made->named,
                     made->n_models, err);
}

/* Folded, the weights are not those that were measured; the sources were checked to be. */
static int write_out(struct made *made, const struct arguments *arguments, char weights[DIGEST_HEX],
                     struct err *err)
{
    const struct export_card card = {.candidate = made->candidate,
                                     .notes = made->notes,
                                     .summary = made->summary,
                                     .recipe = &made->recipe,
                                     .config = &made->plan.config,
                                     .folded = arguments->folded};
    const char *expected = json_string_value(json_object_get(made->candidate, "weights"));

    export_card_print(&made->card, &card, arguments->folder);
    export_card_lineage(&made->lineage, &card);
    (void)export_card_mergekit(&made->mergekit, &card, NULL); /* the card says why not */
    struct export_text texts[4] = {
        {"README.md", text_get(&made->card), made->card.size},
        {"search.json", text_get(&made->lineage), made->lineage.size},
    };
    size_t n = 2;

    if (made->mergekit.size > 0) {
        texts[n++] = (struct export_text){"mergekit_config.yml", text_get(&made->mergekit),
                                          made->mergekit.size};
    }
    if (arguments->folded) {
        texts[n++] =
            (struct export_text){CHECKPOINT_FOLDED, text_get(&made->hops), made->hops.size};
    }
    return export_write(&made->plan, arguments->folder, texts, n, 0,
                        arguments->folded ? NULL : expected, weights, err);
}

/* The row that says what was exported; a running search keeps the file to itself, and then there is
 * none. */
static void remember(const struct arguments *arguments, uint64_t candidate, const char *weights)
{
    struct store *store = NULL;
    const struct store_export row = {candidate, "huggingface", file_name(arguments->folder),
                                     weights};

    if (store_open(&store, arguments->database, NULL) == 0) {
        (void)store_add_export(store, &row, NULL);
    }
    store_close(store);
}

static void release(struct made *made)
{
    plan_release(&made->plan);
    for (size_t i = 0; i < made->n_models; i++) {
        checkpoint_close(made->models[i]);
    }
    recipe_release(&made->recipe);
    recipe_release(&made->blocks);
    text_release(&made->card);
    text_release(&made->lineage);
    text_release(&made->mergekit);
    text_release(&made->hops);
    json_decref(made->candidate);
    json_decref(made->notes);
    json_decref(made->summary);
}

int cmd_export(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"candidate", 'c', "N", 0, "which candidate (default: best, the winner or the best so far)",
         0},
        {"folded", KEY_FOLDED, NULL, 0,
         "of a route: each block once, with route.json for loaders that know it", 0},
        {0}};
    static const struct argp argp = {
        options,
        parse_option,
        "DATABASE FOLDER",
        "Write a candidate as a Hugging Face folder with its recipe and a model card. The "
        "weights hash to the value recorded with the scores; nothing is overwritten. A route "
        "becomes a layer a hop.\v"
        "Example: braid export night.db best/",
        NULL,
        NULL,
        NULL};
    struct arguments arguments = {0};
    struct made made = {0};
    struct store *store = NULL;
    uint64_t candidate = 0;
    char weights[DIGEST_HEX] = "";
    struct err err = {0};

    command_parse(&argp, argc, argv, &arguments);
    command_catch_signals();
    int rc = store_open_reader(&store, arguments.database, &err);
    if (rc == 0) {
        rc = gather(&made, store, &arguments, &candidate, &err);
    }
    if (rc == 0) {
        rc = write_out(&made, &arguments, weights, &err);
    }
    store_close(store);
    if (rc == 0) {
        remember(&arguments, candidate, weights);
        printf("%s: candidate %llu, weights %s\n", arguments.folder, (unsigned long long)candidate,
               weights);
    }
    release(&made);
    return rc == 0 ? COMMAND_DONE : command_fail(argv[0], &err);
}
