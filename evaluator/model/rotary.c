/*
 * rotary.c - the angles of the rotary embedding.
 */
#include "evaluator/model/rotary.h"

#include <math.h>

static const double pi = 3.14159265358979323846;

/* Wavelengths (places a full turn takes) short against the trained length stay as they are, long
 * ones are stretched by the factor, those between by a mixture. */
static double llama3_frequency(const struct config_rope *rope, double frequency)
{
    double turns = rope->original_positions * frequency / (2.0 * pi); /* in the trained length */

    if (turns > rope->high_freq_factor) {
        return frequency;
    }
    if (turns < rope->low_freq_factor) {
        return frequency / rope->factor;
    }
    double keep =
        (turns - rope->low_freq_factor) / (rope->high_freq_factor - rope->low_freq_factor);
    return (1.0 - keep) * frequency / rope->factor + keep * frequency;
}

/* The pair, as a real number, that makes so many turns in the trained length. */
static double pair_of_turns(const struct config_rope *rope, double width, double turns)
{
    return width * log(rope->original_positions / (turns * 2.0 * pi)) / (2.0 * log(rope->theta));
}

/* Fast pairs stay as they are, slow ones are stretched by the factor, a ramp over the pairs between
 * (the paper's section 3.2, in the form of its release: a ramp over j, not over wavelengths). */
static double yarn_frequency(const struct config_rope *rope, double frequency, double width,
                             size_t j)
{
    double low = pair_of_turns(rope, width, rope->beta_fast);
    double high = pair_of_turns(rope, width, rope->beta_slow);

    if (rope->whole_pairs) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0.0);
    high = fmin(high, width - 1.0);
    double span = high != low ? high - low : 0.001;
    double stretched = fmin(fmax(((double)j - low) / span, 0.0), 1.0);

    return (1.0 - stretched) * frequency + stretched * frequency / rope->factor;
}

size_t rotary_width(const struct config *config)
{
    return config->rotary_width > 0 ? config->rotary_width : config->head_width;
}

double rotary_frequency(const struct config *config, const struct config_rope *rope, size_t j)
{
    double width = (double)rotary_width(config);
    double frequency = pow(rope->theta, -2.0 * (double)j / width);

    switch (rope->kind) {
    case CONFIG_ROPE_LINEAR:
        return frequency / rope->factor;
    case CONFIG_ROPE_LLAMA3:
        return llama3_frequency(rope, frequency);
    case CONFIG_ROPE_YARN:
        return yarn_frequency(rope, frequency, width, j);
    case CONFIG_ROPE_LONGROPE:
        return frequency / rope->divisors[j];
    case CONFIG_ROPE_DEFAULT:
    case CONFIG_ROPE_DYNAMIC:
    case CONFIG_ROPE_OTHER: /* refused before */
        break;
    }
    return frequency;
}

void rotary_angles(float *angles, const struct config *config, const struct config_rope *rope,
                   size_t depths)
{
    size_t half = rotary_width(config) / 2;
    double grown = rope->attention_factor > 0 ? rope->attention_factor : 1.0;

    for (size_t j = 0; j < half; j++) {
        double frequency = rotary_frequency(config, rope, j);

        for (size_t t = 0; t < depths; t++) {
            angles[t * 2 * half + j] = (float)(cos((double)t * frequency) * grown);
            angles[t * 2 * half + half + j] = (float)(sin((double)t * frequency) * grown);
        }
    }
}
