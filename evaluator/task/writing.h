/*
 * writing.h - generate_until tasks: which answers greedy decoding writes.
 *
 * The forced pass decides most of them. Those that it leaves open become lines, which generate.h
 * decodes on, together with whatever other lines there are:
 *
 *   writing_follow(&writing, &stretch, forward, matches);     after forward_score of its trie
 *   for each line: prompts[i] = writing_prompt(&writing, i);
 *   generate(...)                                             every token to writing_take
 *   writing_end(&writing);
 */
#ifndef TASK_WRITING_H
#define TASK_WRITING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "evaluator/model/forward.h"
#include "evaluator/model/generate.h"
#include "evaluator/model/trie.h"
#include "evaluator/task/answer.h"
#include "evaluator/task/requests.h"
#include "evaluator/task/task.h"

/* Documents [begin, end) of a task, whose requests are the sequences of a trie. */
struct writing_stretch {
    const struct trie *trie;
    size_t begin, end;
};

struct open_answer;

/* All that verdicts need; lent. requests keep their tokens. */
struct writing {
    const struct task *task;
    const size_t *documents; /* [requests->n_documents] indices into task->documents */
    const struct requests *requests;
    const struct answer_rules *rules;
    struct open_answer *open; /* [n] lines; none at first */
    size_t n, capacity;
};

/* matches [requests->n], those of the stretch: 1 where generation from a request's context would be
 * its answer. Answers that are still open become lines. */
void writing_follow(struct writing *writing, const struct writing_stretch *stretch,
                    const struct forward *forward, uint8_t *matches);

/* Where a line goes on, lent until writing_end; and the document that it is of. */
struct generate_prompt writing_prompt(const struct writing *writing, size_t line);
size_t writing_document(const struct writing *writing, size_t line);

/* A line's next token: true while it stays open, else matches has its verdict. */
bool writing_take(struct writing *writing, size_t line, const struct forward_place *place,
                  uint8_t *matches);

/* No lines any more. */
void writing_end(struct writing *writing);

#endif
