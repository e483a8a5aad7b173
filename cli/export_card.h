/*
 * export_card.h - the texts that lie beside an exported candidate's weights: a model card, where it
 * comes from, its recipe for mergekit. No path of this machine is in any of them.
 */
#ifndef CLI_EXPORT_CARD_H
#define CLI_EXPORT_CARD_H

#include <jansson.h>

#include "base/err.h"
#include "base/text.h"
#include "evaluator/model/config.h"
#include "study/recipe.h"

/* What is known of the candidate; all borrowed. */
struct export_card {
    const json_t *candidate;     /* cli/candidate.h */
    const json_t *notes;         /* cli/notes.h */
    const json_t *summary;       /* store/views.h */
    const struct recipe *recipe; /* as it was measured */
    const struct config *config; /* of what is exported */
    bool folded;                 /* a route's blocks once each, with route.json */
};

/* README.md of the folder. */
void export_card_print(struct text *out, const struct export_card *card, const char *folder);

/* search.json: study, candidate, recipe, digests, scores. */
void export_card_lineage(struct text *out, const struct export_card *card);

/* mergekit_config.yml. ERR_FORMAT: mergekit cannot say the recipe, and why. */
int export_card_mergekit(struct text *out, const struct export_card *card, struct err *err);

/* route.json: {"input_layers": [...], "input_scales": [...]}, an entry a hop: which layer of the
 * folder it goes through, and what its input is multiplied by. */
void export_card_hops(struct text *out, const struct route *route, const size_t *places);

#endif
