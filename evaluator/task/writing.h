/*
 * writing.h - generate_until tasks: which answers greedy decoding writes.
 */
#ifndef TASK_WRITING_H
#define TASK_WRITING_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "evaluator/model/forward.h"
#include "evaluator/model/trie.h"
#include "evaluator/model/weights.h"
#include "evaluator/task/answer.h"
#include "evaluator/task/requests.h"
#include "evaluator/task/task.h"

/* All that verdicts on a stretch of documents need; lent. requests keep their tokens. */
struct writing {
    const struct task *task;
    const size_t *documents; /* [requests->n_documents] indices into task->documents */
    const struct requests *requests;
    const struct trie *trie; /* one sequence a request of the stretch */
    size_t begin, end;       /* the stretch, of documents */
    const struct answer_rules *rules;
};

/*
 * matches [requests->n], those of the stretch, after forward_score of the trie: 1 where generation
 * from a request's context would be its answer. Answers left open by the forced pass are decoded
 * on (generate.h); what forward kept of the trie's pass is gone afterwards. Errors as generate.
 */
int writing_matches(const struct writing *writing, struct forward *forward,
                    const struct weights *weights, uint8_t *matches, struct err *err);

#endif
