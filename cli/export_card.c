/*
 * export_card.c - a model card, lineage and recipe for an exported candidate.
 */
#include "cli/export_card.h"

#include <stdlib.h>
#include <string.h>

#include "base/doc.h"
#include "base/file.h"
#include "base/mem.h"
#include "cli/command.h"
#include "evaluator/merge/mergekit.h"

/* A folder's own name, never its path. */
static const char *name_of(const struct export_card *card, const char *digest)
{
    const json_t *model = json_object_get(json_object_get(card->notes, "models"), digest);
    const char *path = json_string_value(json_object_get(model, "path"));

    return path != NULL ? file_name(path) : digest;
}

/* ---- the recipe ---- */

int export_card_mergekit(struct text *out, const struct export_card *card, struct err *err)
{
    const struct recipe *recipe = card->recipe;
    const char *names[METHOD_SOURCES_MAX + ROUTE_MODELS_MAX];

    for (size_t s = 0; s < recipe->n_sources; s++) {
        names[s] = name_of(card, recipe->sources[s]);
    }
    if (recipe->route.n_hops > 0) {
        for (size_t m = 0; m < recipe->n_route_models; m++) {
            names[m + 1] = name_of(card, recipe->route_models[m]);
        }
        return mergekit_print_route(out, recipe, card->config, names, err);
    }
    mergekit_print(out, recipe, recipe->base[0] != '\0' ? name_of(card, recipe->base) : NULL,
                   names);
    return 0;
}

void export_card_hops(struct text *out, const struct route *route, const size_t *places)
{
    json_t *layers = json_array();
    json_t *scales = json_array();

    for (size_t k = 0; k < route->n_hops; k++) {
        json_array_append_new(layers, json_integer((json_int_t)places[k]));
        json_array_append_new(scales, json_real(route->hops[k].scale));
    }
    json_t *doc = json_pack("{s:o, s:o}", "input_layers", layers, "input_scales", scales);

    doc_print(out, doc);
    text_add_char(out, '\n');
    json_decref(doc);
}

/* ---- the card ---- */

static void add_head(struct text *out, const struct export_card *card, const char *folder)
{
    const json_t *verdict = json_object_get(card->summary, "verdict");
    size_t n = strlen(folder);

    while (n > 1 && folder[n - 1] == '/') {
        n--;
    }
    char *trimmed = mem_text_n(folder, n);

    text_add(out,
             "---\nbase_model_relation: merge\nlibrary_name: transformers\ntags: [mergekit, merge, "
             "evolutionary-merge]\n---\n\n");
    text_printf(out,
                "# %s\n\nA merge found by an evolutionary search (braid " BRAID_VERSION
                ", study %s), with the "
                "method `%s`.\n\n",
                file_name(trimmed), json_string_value(json_object_get(card->summary, "study")),
                card->recipe->method->name);
    free(trimmed);
    for (size_t i = 0; i < json_array_size(verdict); i++) {
        text_printf(out, "- %s\n", json_string_value(json_array_get(verdict, i)));
    }
}

static void add_source(struct text *out, const struct export_card *card, const char *what,
                       const char *digest)
{
    text_printf(out, "- %s%s (`%.16s`)\n", what, name_of(card, digest), digest);
}

static void add_sources(struct text *out, const struct export_card *card)
{
    const struct recipe *recipe = card->recipe;

    text_add(out, "\n## Sources\n\n");
    if (recipe->base[0] != '\0') {
        add_source(out, card, "base: ", recipe->base);
    }
    for (size_t s = 0; s < recipe->n_sources; s++) {
        add_source(out, card, "", recipe->sources[s]);
    }
}

/* The way through the layers, where it is not the merge's own. */
static void add_route(struct text *out, const struct export_card *card)
{
    const struct recipe *recipe = card->recipe;

    if (recipe->route.n_hops == 0) {
        return;
    }
    text_add(out, "\n## Route\n\nBlocks in the order in which a token passes them, the factor of "
                  "what goes in behind a `*`:\n\n`");
    route_print(out, &recipe->route);
    text_printf(out, "`\n\n- A: %s, whose embeddings and head these are\n",
                strcmp(recipe->method->name, "passthrough") == 0 ? name_of(card, recipe->sources[0])
                                                                 : "the merge of the sources");
    for (size_t m = 0; m < recipe->n_route_models; m++) {
        const char what[] = {(char)('B' + m), ':', ' ', '\0'};

        add_source(out, card, what, recipe->route_models[m]);
    }
    text_add(out,
             card->folded
                 ? "\nThe folder holds each block once, unscaled; `route.json` has the order and "
                   "the factors, an entry a hop. Loaders that do not know it run another model.\n"
                 : "\nThe folder holds a layer a hop, factors folded into its weights.\n");
}

/* A cell; "-" where it is not known. */
static void add_number(struct text *out, int decimals, const json_t *number)
{
    if (json_is_number(number)) {
        text_printf(out, "| %.*f ", decimals, json_number_value(number));
    } else {
        text_add(out, "| - ");
    }
}

/* What was searched on in spite of its name. */
static void add_benchmarks(struct text *out, const struct export_card *card)
{
    const char *task;
    json_t *name;

    json_object_foreach(json_object_get(card->notes, "benchmarks"), task, name)
    {
        text_printf(out,
                    "\nTask %s is, by its name, the published benchmark %s: this model was "
                    "searched on its data, and its numbers there are no test.\n",
                    task, json_string_value(name));
    }
}

static void add_scores(struct text *out, const json_t *scores)
{
    text_add(out, "\n## Scores\n\nThe search split was optimised on and the select split chose "
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
            text_printf(out, "| %s | %s | %s ", json_string_value(json_object_get(score, "task")),
                        json_string_value(json_object_get(score, "split")), metric);
            add_number(out, 0, json_object_get(score, "n"));
            add_number(out, 4, json_object_get(value, "value"));
            add_number(out, 4, json_object_get(value, "stderr"));
            text_add(out, "|\n");
        }
    }
}

/* As mergekit writes it, or else as braid does. */
static void add_recipe(struct text *out, const struct export_card *card)
{
    struct text yaml = {0};
    struct err err = {0};

    text_add(out, "\n## Recipe\n\n");
    if (export_card_mergekit(&yaml, card, &err) == 0) {
        text_printf(out, "```yaml\n%s```\n", text_get(&yaml));
    } else {
        recipe_print(&yaml, card->recipe);
        text_printf(out, "As braid has it; %s.\n\n```json\n%s\n```\n", err.text, text_get(&yaml));
    }
    text_printf(out, "\nMade again by `braid export STUDY.db FOLDER --candidate %lld%s`.\n",
                (long long)json_integer_value(json_object_get(card->candidate, "candidate")),
                card->folded ? " --folded" : "");
    text_release(&yaml);
}

void export_card_print(struct text *out, const struct export_card *card, const char *folder)
{
    add_head(out, card, folder);
    add_sources(out, card);
    add_route(out, card);
    add_scores(out, json_object_get(card->candidate, "scores"));
    add_benchmarks(out, card);
    add_recipe(out, card);
}

/* ---- the lineage ---- */

static void name_source(json_t *sources, const struct export_card *card, const char *digest)
{
    json_object_set_new(sources, digest, json_string(name_of(card, digest)));
}

/* {digest: name} of all models. */
static json_t *name_sources(const struct export_card *card)
{
    const struct recipe *recipe = card->recipe;
    json_t *sources = json_object();

    if (recipe->base[0] != '\0') {
        name_source(sources, card, recipe->base);
    }
    for (size_t s = 0; s < recipe->n_sources; s++) {
        name_source(sources, card, recipe->sources[s]);
    }
    for (size_t m = 0; m < recipe->n_route_models; m++) {
        name_source(sources, card, recipe->route_models[m]);
    }
    return sources;
}

void export_card_lineage(struct text *out, const struct export_card *card)
{
    const json_t *candidate = card->candidate;
    json_t *doc = json_pack("{s:s, s:O, s:O, s:O, s:O, s:O, s:O, s:O, s:o}", "braid", BRAID_VERSION,
                            "study", json_object_get(card->summary, "study"), "trajectory",
                            json_object_get(card->summary, "trajectory"), "candidate",
                            json_object_get(candidate, "candidate"), "recipe",
                            json_object_get(candidate, "recipe"), "recipe_digest",
                            json_object_get(candidate, "recipe_digest"), "weights",
                            json_object_get(candidate, "weights"), "scores",
                            json_object_get(candidate, "scores"), "sources", name_sources(card));

    if (json_object_size(json_object_get(card->notes, "benchmarks")) > 0) {
        json_object_set(doc, "benchmarks", json_object_get(card->notes, "benchmarks"));
    }
    if (card->recipe->route.n_hops > 0) {
        struct text route = {0};

        route_print(&route, &card->recipe->route);
        json_object_set_new(doc, "route", json_string(text_get(&route)));
        json_object_set_new(doc, "folded", json_boolean(card->folded));
        text_release(&route);
    }
    doc_print_pretty(out, doc);
    text_add_char(out, '\n');
    json_decref(doc);
}
