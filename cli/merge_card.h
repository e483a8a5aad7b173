/*
 * merge_card.h - the texts that lie beside merged weights: a model card and the recipe.
 */
#ifndef CLI_MERGE_CARD_H
#define CLI_MERGE_CARD_H

#include "base/text.h"
#include "evaluator/merge/mergekit_recipe.h"

/*
 * Append README.md, and mergekit_config.yml with the same recipe. Models go by the names of their
 * folders: no path of this machine leaves it. folder is the target's, whose name is the title.
 */
void merge_card_print(struct text *card, struct text *config, const struct mergekit_recipe *recipe,
                      const char *folder);

#endif
