/*
 * fewshot.h - which records stand as examples before a question.
 *
 * The default sampler is lm-evaluation-harness's: Python's random.sample on one generator a task,
 * MT19937 seeded by the array method and carried from document to document. first_n takes the first
 * n.
 */
#ifndef TASK_FEWSHOT_H
#define TASK_FEWSHOT_H

#include <stddef.h>
#include <stdint.h>

#define FEWSHOT_SEED 1234
#define FEWSHOT_MAX ((size_t)1024)

/* MT19937: Matsumoto and Nishimura 1998. */
struct mt19937 {
    uint32_t state[624];
    size_t next;
};

/* init_by_array with the one-word key [seed], as Python's random.seed does. */
void mt19937_seed(struct mt19937 *rng, uint32_t seed);
uint32_t mt19937_next(struct mt19937 *rng);

/* k distinct indices of 0 .. n - 1, k <= n, in the order and number of draws of Python's
 * random.sample. */
void fewshot_sample(struct mt19937 *rng, size_t n, size_t k, size_t *out);

#endif
