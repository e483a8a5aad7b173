/*
 * perplexity.c - exp of minus a mean.
 */
#include "evaluator/task/perplexity.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "evaluator/model/unicode.h"

size_t perplexity_words(const char *text, size_t n)
{
    size_t words = 1;
    bool in_space = false;

    for (size_t i = 0; i < n;) {
        uint32_t code = 0;

        i += unicode_next(text + i, n - i, &code);
        const bool space = unicode_is_python_space(code);

        words += space && !in_space;
        in_space = space;
    }
    return words;
}

double perplexity_value(enum metric metric, double loglikelihood, size_t shared)
{
    const double mean = -loglikelihood / (double)shared;

    assert(shared > 0);
    return metric == METRIC_BITS_PER_BYTE ? mean / log(2.0) : exp(mean);
}
