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
#include "cli/notes.h"
#include "evaluator/merge/export.h"
#include "evaluator/merge/mergekit.h"
#include "store/views.h"

#define MODELS_MAX 65

struct arguments {
    const char *database, *folder, *candidate;
};

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;

    switch (key) {
    case 'c':
        arguments->candidate = value;
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
    size_t n_models;
    struct checkpoint *models[MODELS_MAX];
    char digests[MODELS_MAX][DIGEST_HEX];
    struct plan_model named[MODELS_MAX];
    struct plan plan;
    struct text card, search, mergekit;
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
    return rc;
}

/* ---- the texts beside the weights ---- */

/* A folder's own name, never its path. */
static const char *name_of(const struct made *made, const char *digest)
{
    const json_t *model = json_object_get(json_object_get(made->notes, "models"), digest);
    const char *path = json_string_value(json_object_get(model, "path"));

    return path != NULL ? file_name(path) : digest;
}

static void write_mergekit(struct made *made)
{
    const char *names[METHOD_SOURCES_MAX];

    for (size_t s = 0; s < made->recipe.n_sources; s++) {
        names[s] = name_of(made, made->recipe.sources[s]);
    }
    mergekit_print(&made->mergekit, &made->recipe,
                   made->recipe.base[0] != '\0' ? name_of(made, made->recipe.base) : NULL, names);
}

static void add_card_scores(struct text *card, const json_t *scores)
{
    text_add(card, "\n## Scores\n\nThe search split was optimised on and the select split chose "
                   "this model: only the "
                   "report split is a test.\n\n| task | split | metric | documents | value | "
                   "standard error |\n"
                   "|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < json_array_size(scores); i++) {
        const json_t *score = json_array_get(scores, i);
        const char *metric;
        json_t *value;

        json_object_foreach(json_object_get(score, "metrics"), metric, value)
        {
            text_printf(card, "| %s | %s | %s | %lld | %.4f | %.4f |\n",
                        json_string_value(json_object_get(score, "task")),
                        json_string_value(json_object_get(score, "split")), metric,
                        (long long)json_integer_value(json_object_get(score, "n")),
                        json_number_value(json_object_get(value, "value")),
                        json_number_value(json_object_get(value, "stderr")));
        }
    }
}

static void write_card(struct made *made, const char *folder)
{
    struct text *card = &made->card;
    const json_t *verdict = json_object_get(made->summary, "verdict");
    char *trimmed = mem_text(folder);
    size_t n = strlen(trimmed);

    while (n > 1 && trimmed[n - 1] == '/') {
        trimmed[--n] = '\0';
    }
    text_add(card,
             "---\nbase_model_relation: merge\nlibrary_name: transformers\ntags: [mergekit, merge, "
             "evolutionary-merge]\n---\n\n");
    text_printf(card,
                "# %s\n\nA merge found by an evolutionary search (braid " BRAID_VERSION
                ", study %s), with the "
                "method `%s`.\n\n",
                file_name(trimmed), json_string_value(json_object_get(made->summary, "study")),
                made->recipe.method->name);
    free(trimmed);
    for (size_t i = 0; i < json_array_size(verdict); i++) {
        text_printf(card, "- %s\n", json_string_value(json_array_get(verdict, i)));
    }
    text_add(card, "\n## Sources\n\n");
    if (made->recipe.base[0] != '\0') {
        text_printf(card, "- base: %s (`%.16s`)\n", name_of(made, made->recipe.base),
                    made->recipe.base);
    }
    for (size_t s = 0; s < made->recipe.n_sources; s++) {
        text_printf(card, "- %s (`%.16s`)\n", name_of(made, made->recipe.sources[s]),
                    made->recipe.sources[s]);
    }
    add_card_scores(card, json_object_get(made->candidate, "scores"));
    text_printf(card,
                "\n## Recipe\n\n```yaml\n%s```\n\nMade again by `braid export STUDY.db FOLDER "
                "--candidate %lld`.\n",
                text_get(&made->mergekit),
                (long long)json_integer_value(json_object_get(made->candidate, "candidate")));
}

static void write_provenance(struct made *made)
{
    json_t *sources = json_object();

    for (size_t i = 0; i < made->n_models; i++) {
        json_object_set_new(sources, made->digests[i],
                            json_string(name_of(made, made->digests[i])));
    }
    json_t *doc = json_pack("{s:s, s:O, s:O, s:O, s:O, s:O, s:O, s:O, s:o}", "braid", BRAID_VERSION,
                            "study", json_object_get(made->summary, "study"), "trajectory",
                            json_object_get(made->summary, "trajectory"), "candidate",
                            json_object_get(made->candidate, "candidate"), "recipe",
                            json_object_get(made->candidate, "recipe"), "recipe_digest",
                            json_object_get(made->candidate, "recipe_digest"), "weights",
                            json_object_get(made->candidate, "weights"), "scores",
                            json_object_get(made->candidate, "scores"), "sources", sources);

    doc_print_pretty(&made->search, doc);
    text_add_char(&made->search, '\n');
    json_decref(doc);
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
        (rc = read_recipe(made, err)) != 0 || (rc = open_models(made, err)) != 0) {
        return rc;
    }
    return plan_make(&made->plan, &made->recipe, made->named, made->n_models, err);
}

static int write_out(struct made *made, const struct arguments *arguments, char weights[DIGEST_HEX],
                     struct err *err)
{
    write_mergekit(made);
    write_card(made, arguments->folder);
    write_provenance(made);
    const struct export_text texts[] = {
        {"README.md", text_get(&made->card), made->card.size},
        {"search.json", text_get(&made->search), made->search.size},
        {"mergekit_config.yml", text_get(&made->mergekit), made->mergekit.size},
    };
    const char *expected = json_string_value(json_object_get(made->candidate, "weights"));

    return export_write(&made->plan, arguments->folder, texts, 3, 0, expected, weights, err);
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
    text_release(&made->card);
    text_release(&made->search);
    text_release(&made->mergekit);
    json_decref(made->candidate);
    json_decref(made->notes);
    json_decref(made->summary);
}

int cmd_export(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"candidate", 'c', "N", 0, "which candidate (default: best, the winner or the best so far)",
         0},
        {0}};
    static const struct argp argp = {
        options,
        parse_option,
        "DATABASE FOLDER",
        "Write a candidate as a Hugging Face folder with its recipe and a model card. The "
        "weights hash to the value recorded with the scores; nothing is overwritten.\v"
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
