/*
 * merge_card.c - a model card for a merge that a recipe describes.
 */
#include "cli/merge_card.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/command.h"

/* A name for each model, the second of one name numbered. free() each and the list. */
static char **make_labels(const struct mergekit_recipe *recipe)
{
    char **labels = mem_array(recipe->n_models, sizeof(char *));

    for (size_t m = 0; m < recipe->n_models; m++) {
        char *label = mergekit_model_label(&recipe->models[m]);
        size_t same = 1;

        for (size_t before = 0; before < m; before++) {
            char *other = mergekit_model_label(&recipe->models[before]);

            same += strcmp(other, label) == 0;
            free(other);
        }
        labels[m] = same > 1 ? mem_printf("%s-%zu", label, same) : mem_text(label);
        free(label);
    }
    return labels;
}

/* The last part of a folder's path. */
static char *title_of(const char *folder)
{
    size_t end = strlen(folder);

    while (end > 1 && folder[end - 1] == '/') {
        end--;
    }
    size_t begin = end;
    while (begin > 0 && folder[begin - 1] != '/') {
        begin--;
    }
    return mem_text_n(folder + begin, end - begin);
}

void merge_card_print(struct text *card, struct text *config, const struct mergekit_recipe *recipe,
                      const char *folder)
{
    char **labels = make_labels(recipe);
    char *title = title_of(folder);

    mergekit_recipe_print(config, recipe, (const char *const *)labels);
    text_add(card, "---\nbase_model_relation: merge\nlibrary_name: transformers\n"
                   "tags: [mergekit, merge]\n---\n\n");
    text_printf(card,
                "# %s\n\nA merge of language models, made by braid " BRAID_VERSION
                " from the recipe below.\n\n",
                title);
    text_printf(card, "## Method\n\n`%s`: %s (%s)%s%s%s.\n\n## Models\n\n", recipe->method->name,
                recipe->method->about, recipe->method->paper,
                recipe->base != MERGEKIT_NONE ? ", on the base " : "",
                recipe->base != MERGEKIT_NONE ? labels[recipe->base] : "", "");
    for (size_t m = 0; m < recipe->n_models; m++) {
        if (m != recipe->base) {
            text_printf(card, "- %s\n", labels[m]);
        }
    }
    text_printf(card,
                "\n## Recipe\n\n```yaml\n%s```\n\nMade again by `braid merge "
                "mergekit_config.yml FOLDER`, with the models beside the file.\n",
                text_get(config));
    for (size_t m = 0; m < recipe->n_models; m++) {
        free(labels[m]);
    }
    free(labels);
    free(title);
}
