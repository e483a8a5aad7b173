/*
 * genome.h - a mergekit-evolve configuration read as a study.
 *
 *   genome: {models: [a, b], merge_method: ties, base_model: c, layer_granularity: 4,
 *            filters: [self_attn, mlp], smooth: false, normalize: true,
 *            allow_negative_weights: false, tokenizer_source: base}
 *   tasks:  [{name: gsm8k, weight: 1, metric: "acc,none"}]
 *
 * The study has the genome's coordinates: one a (model, group of layers, filter, parameter), from
 * the same start. Format: mergekit 0.1.4, docs/evolve.md.
 */
#ifndef STUDY_GENOME_H
#define STUDY_GENOME_H

#include <jansson.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"

/* The folder whose config.json has the number of layers: the genome's first model, lent by doc. */
int genome_model(const json_t *doc, const char **out, struct err *err);

/*
 * The study as a document for yaml_print, a new reference; study_parse accepts it. name: of the
 * study. n_layers: of every model. notes gets a line for each thing that is not as the genome says.
 * Unknown keys, methods that mergekit-evolve does not have, a granularity that does not divide
 * n_layers: refused by name.
 */
int genome_study(json_t **out, const json_t *doc, const char *name, uint32_t n_layers,
                 struct text *notes, struct err *err);

#endif
