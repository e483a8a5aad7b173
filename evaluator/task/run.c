/*
 * run.c - plan once, score many candidates.
 *
 *   documents -> requests -> tries                              once
 *   trie + weights -> results [-> lines -> texts] -> marks      a candidate
 */
#include "evaluator/task/run.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "evaluator/task/choice.h"
#include "evaluator/task/generated.h"
#include "evaluator/task/perplexity.h"
#include "evaluator/task/requests.h"
#include "evaluator/task/writing.h"

struct task_plan {
    const struct task *task;
    size_t n;                 /* N documents */
    size_t *documents;        /* [N] indices into task->documents */
    struct requests requests; /* tokens are in the trie only, unless answers are written */
    size_t n_tokens;
    struct answer_rules rules; /* generate_until */
    struct writing writing;    /* where its answers are decoded on */
    struct drafts drafts;      /* where texts are needed */
    size_t stretch;            /* documents a trie, the last may have fewer */
    size_t n_tries;
    struct trie **tries;            /* [n_tries] one sequence a request */
    struct forward_result *results; /* [requests.n] */
    uint8_t *matches; /* generate_until: [requests.n] the answer would be written, or where texts
                         are needed [N, columns] it is found */
    char **texts;     /* [N] where they are needed */
    uint32_t *open;   /* [N] what keeps a document from being done: it is not scored, or lines */
};

/* ---- planning ---- */

/* The documents of trie t are [begin, end). */
static size_t stretch_begin(const struct task_plan *plan, size_t t)
{
    return t * plan->stretch < plan->n ? t * plan->stretch : plan->n;
}

static int lay_out_stretch(struct task_plan *made, size_t t, struct err *err)
{
    const struct requests *requests = &made->requests;
    const size_t end = requests->first[stretch_begin(made, t + 1)];
    int rc = 0;

    made->tries[t] = trie_new();
    for (size_t i = requests->first[stretch_begin(made, t)]; rc == 0 && i < end; i++) {
        const struct request *request = &requests->all[i];

        rc = trie_add(made->tries[t], requests->tokens.ids + request->at, request->n,
                      request->n - request->n_scored, request->wants_next, err);
    }
    return rc == 0 ? trie_finish(made->tries[t], err) : rc;
}

static int lay_out(struct task_plan *made, struct err *err)
{
    struct requests *requests = &made->requests;
    int rc = 0;

    made->n_tries = (made->n + made->stretch - 1) / made->stretch;
    made->tries = mem_array(made->n_tries, sizeof(struct trie *));
    for (size_t t = 0; rc == 0 && t < made->n_tries; t++) {
        rc = lay_out_stretch(made, t, err);
    }
    made->n_tokens = requests->tokens.n;
    if (made->task->output != TASK_GENERATE_UNTIL) {
        tokens_release(&requests->tokens);
    }
    return rc;
}

static int take_scratch(struct task_plan *made, struct err *err)
{
    const bool texts = task_needs_text(made->task);
    const size_t n = made->requests.n;
    const size_t n_matches = texts ? made->n * task_columns(made->task) : n;

    made->results = mem_try(n, sizeof *made->results, "results of a task", err);
    made->matches = mem_try(n_matches, sizeof *made->matches, "results of a task", err);
    if (texts) {
        made->texts = mem_array(made->n, sizeof *made->texts);
    }
    made->open = mem_array(made->n, sizeof *made->open);
    return made->results != NULL && made->matches != NULL ? 0 : ERR_MEMORY;
}

/* The harness stops at the text of the end of sequence too, however it is written. */
static int take_rules(struct task_plan *made, struct tokenizer *tokenizer, struct err *err)
{
    const struct task *task = made->task;
    struct text eos = {0};
    size_t n = 0;
    const uint32_t *ids = tokenizer_eos(tokenizer, &n);

    made->rules.max_new_tokens = task->max_new_tokens;
    for (size_t i = 0; i < task->stops.n; i++) {
        strings_add(&made->rules.stops, mem_text(task->stops.all[i]));
    }
    if (n > 0 && tokenizer_token_text(tokenizer, ids[0], &eos, NULL) == 0 && eos.size > 0) {
        strings_add(&made->rules.stops, mem_text(text_get(&eos)));
    }
    text_release(&eos);
    return answer_vocabulary_read(&made->rules.vocabulary, tokenizer, err);
}

int task_plan_new(struct task_plan **out, const struct task *task, struct tokenizer *tokenizer,
                  const size_t *documents, size_t n, size_t stretch, size_t positions_max,
                  struct err *err)
{
    struct task_plan *made = mem_alloc(sizeof *made);

    assert(n > 0);
    made->task = task;
    made->n = n;
    made->stretch = stretch > 0 ? stretch : n;
    made->documents = mem_array(n, sizeof *made->documents);
    memcpy(made->documents, documents, n * sizeof *documents);
    int rc = requests_build(&made->requests, task, documents, n, tokenizer, positions_max, err);
    if (rc == 0 && task->output == TASK_GENERATE_UNTIL) {
        rc = take_rules(made, tokenizer, err);
    }
    if (rc == 0) {
        rc = lay_out(made, err);
    }
    if (rc == 0) {
        rc = take_scratch(made, err);
    }
    made->writing = (struct writing){.task = task,
                                     .documents = made->documents,
                                     .requests = &made->requests,
                                     .rules = &made->rules};
    made->drafts = (struct drafts){
        .task = task, .requests = &made->requests, .rules = &made->rules, .tokenizer = tokenizer};
    if (rc != 0) {
        task_plan_free(made);
        return rc;
    }
    *out = made;
    return 0;
}

static void drop_texts(struct task_plan *plan)
{
    for (size_t i = 0; plan->texts != NULL && i < plan->n; i++) {
        free(plan->texts[i]);
        plan->texts[i] = NULL;
    }
}

void task_plan_free(struct task_plan *plan)
{
    if (plan == NULL) {
        return;
    }
    drop_texts(plan);
    writing_end(&plan->writing);
    generated_end(&plan->drafts);
    free(plan->texts);
    free(plan->open);
    strings_release(&plan->rules.stops);
    free(plan->documents);
    requests_release(&plan->requests);
    answer_vocabulary_release(&plan->rules.vocabulary);
    for (size_t t = 0; t < plan->n_tries; t++) {
        trie_free(plan->tries[t]);
    }
    free(plan->tries);
    free(plan->results);
    free(plan->matches);
    free(plan);
}

size_t task_plan_positions(const struct task_plan *plan)
{
    size_t positions = 0;

    for (size_t t = 0; t < plan->n_tries; t++) {
        positions += trie_positions(plan->tries[t]);
    }
    return positions;
}

size_t task_plan_tokens(const struct task_plan *plan)
{
    return plan->n_tokens;
}

size_t task_plan_stretches(const struct task_plan *plan)
{
    return plan->n_tries;
}

size_t task_plan_documents(const struct task_plan *plan, size_t t)
{
    return stretch_begin(plan, t + 1) - stretch_begin(plan, t);
}

const struct trie *task_plan_trie(const struct task_plan *plan, size_t t)
{
    return plan->tries[t];
}

bool task_plan_scores(const struct task_plan *plan)
{
    return plan->texts == NULL;
}

size_t task_plan_new_tokens(const struct task_plan *plan)
{
    return plan->rules.max_new_tokens;
}

static void keep_larger(size_t *largest, size_t n)
{
    *largest = n > *largest ? n : *largest;
}

void task_plan_largest(const struct task_plan *plan, struct trie_nodes *largest)
{
    for (size_t t = 0; t < plan->n_tries; t++) {
        const struct trie_nodes *nodes = trie_nodes(plan->tries[t]);

        keep_larger(&largest->n, nodes->n);
        keep_larger(&largest->depth_max, nodes->depth_max + plan->rules.max_new_tokens);
        keep_larger(&largest->n_scored, nodes->n_scored);
        keep_larger(&largest->n_targets, nodes->n_targets);
        if (plan->task->output == TASK_GENERATE_UNTIL) {
            keep_larger(&largest->n_sequences, nodes->n_sequences);
        }
    }
}

/* ---- marks of one document ---- */

static double sum_of(const double *values, size_t n)
{
    double sum = 0.0;

    for (size_t i = 0; i < n; i++) {
        sum += values[i];
    }
    return sum;
}

static double any_of(const uint8_t *flags, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (flags[i] != 0) {
            return 1.0;
        }
    }
    return 0.0;
}

static double document_value(const struct task_plan *plan, size_t column, size_t i,
                             const struct score_task *score)
{
    const enum metric metric = task_column_metric(plan->task, column);
    const size_t at = plan->requests.first[i];
    const size_t n = plan->requests.first[i + 1] - at;
    const struct document *document = &plan->task->documents[plan->documents[i]];

    switch (plan->task->output) {
    case TASK_MULTIPLE_CHOICE:
        return choice_value(metric, document, score->loglikelihoods + at, score->greedy + at);
    case TASK_GENERATE_UNTIL:
        return plan->texts != NULL ? plan->matches[i * score->n_metrics + column]
                                   : any_of(plan->matches + at, n);
    case TASK_LOGLIKELIHOOD:
        return metric == METRIC_ACC ? score->greedy[at] : score->loglikelihoods[at];
    default:
        return sum_of(score->loglikelihoods + at, n);
    }
}

/* ---- means ---- */

/* Words or bytes of a rolling document. */
static size_t counted(const struct document *document, enum metric metric)
{
    const char *text = document->contexts.all[0];
    const size_t bytes = strlen(text);

    if (metric == METRIC_WORD_PERPLEXITY) {
        return document->words > 0 ? document->words : perplexity_words(text, bytes);
    }
    return document->bytes > 0 ? document->bytes : bytes;
}

/* What a perplexity's sum is shared among. */
static size_t shared_by(const struct task_plan *plan, enum metric metric, size_t n)
{
    size_t shared = 0;

    if (metric == METRIC_PERPLEXITY) {
        return n;
    }
    for (size_t i = 0; i < n; i++) {
        shared += counted(&plan->task->documents[plan->documents[i]], metric);
    }
    return shared > 0 ? shared : 1;
}

/* Mean of column m, and its standard error with the sample deviation; NaN for one document. */
static void mean_of(struct score_task *score, size_t m)
{
    const size_t n = score->n;
    double sum = 0.0;
    double squares = 0.0;

    for (size_t i = 0; i < n; i++) {
        sum += score->document_values[i * score->n_metrics + m];
    }
    score->values[m] = sum / (double)n;
    for (size_t i = 0; i < n; i++) {
        const double off = score->document_values[i * score->n_metrics + m] - score->values[m];

        squares += off * off;
    }
    score->errors[m] = n > 1 ? sqrt(squares / (double)(n - 1) / (double)n) : (double)NAN;
}

static void aggregate(const struct task_plan *plan, struct score_task *score, size_t m)
{
    const enum metric metric = task_column_metric(plan->task, m);

    if (!metric_is_perplexity(metric)) {
        mean_of(score, m);
        return;
    }
    double sum = 0.0;

    for (size_t i = 0; i < score->n; i++) {
        sum += score->document_values[i * score->n_metrics + m];
    }
    score->values[m] = perplexity_value(metric, sum, shared_by(plan, metric, score->n));
    score->errors[m] = (double)NAN;
}

/* An empty score of the plan's first N documents; small beside the trie. */
static void shape(const struct task_plan *plan, size_t N, struct score_task *out)
{
    const struct task *task = plan->task;
    const size_t n_requests = plan->requests.first[N];
    const size_t M = task_columns(task);

    *out = (struct score_task){.name = mem_text(task->name), .n = N, .n_metrics = M};
    memcpy(out->digest, task->digest, sizeof out->digest);
    out->metrics = mem_array(M, sizeof *out->metrics);
    for (size_t m = 0; m < M; m++) {
        out->metrics[m] = mem_text(task_column_name(task, m));
    }
    out->values = mem_array(M, sizeof *out->values);
    out->errors = mem_array(M, sizeof *out->errors);
    out->ids = mem_array(N, sizeof *out->ids);
    for (size_t i = 0; i < N; i++) {
        out->ids[i] = mem_text(task->documents[plan->documents[i]].id);
    }
    out->document_values = mem_array(N * M, sizeof *out->document_values);
    out->first = mem_array(N + 1, sizeof *out->first);
    for (size_t i = 0; i <= N; i++) {
        out->first[i] = (uint32_t)plan->requests.first[i];
    }
    out->loglikelihoods = mem_array(n_requests, sizeof *out->loglikelihoods);
    out->greedy = mem_array(n_requests, sizeof *out->greedy);
    out->truncated = plan->requests.truncated;
    if (plan->texts != NULL) {
        out->texts = mem_array(N, sizeof *out->texts);
        for (size_t i = 0; i < N; i++) {
            out->texts[i] = mem_text(plan->texts[i]);
        }
    }
}

static void fill(struct task_plan *plan, struct score_task *out)
{
    for (size_t r = 0; r < out->first[out->n]; r++) {
        const struct forward_result *result = &plan->results[r];

        out->loglikelihoods[r] = result->loglikelihood;
        out->greedy[r] = result->greedy;
    }
    for (size_t m = 0; m < out->n_metrics; m++) {
        for (size_t i = 0; i < out->n; i++) {
            out->document_values[i * out->n_metrics + m] = document_value(plan, m, i, out);
        }
        aggregate(plan, out, m);
    }
}

/* ---- a candidate, in steps ---- */

void task_begin(struct task_plan *plan)
{
    drop_texts(plan);
    writing_end(&plan->writing);
    generated_end(&plan->drafts);
    for (size_t i = 0; i < plan->n; i++) {
        plan->open[i] = 1;
    }
}

size_t task_lines(const struct task_plan *plan)
{
    return plan->texts != NULL ? plan->drafts.n : plan->writing.n;
}

static size_t document_of(const struct task_plan *plan, size_t line)
{
    return plan->texts != NULL ? generated_document(&plan->drafts, line)
                               : writing_document(&plan->writing, line);
}

/* Results of the forced pass over stretch t, and where it leaves answers open. */
static int score_stretch(struct task_plan *plan, size_t t, struct forward *forward,
                         const struct weights *weights, struct err *err)
{
    const struct writing_stretch stretch = {plan->tries[t], stretch_begin(plan, t),
                                            stretch_begin(plan, t + 1)};
    const int rc = forward_score(forward, weights, plan->tries[t],
                                 plan->results + plan->requests.first[stretch.begin], err);

    if (rc == 0 && plan->task->output == TASK_GENERATE_UNTIL) {
        writing_follow(&plan->writing, &stretch, forward, plan->matches);
    }
    return rc == 0 ? 0 : err_wrap(err, "task %s", plan->task->name);
}

int task_score(struct task_plan *plan, size_t t, struct forward *forward,
               const struct weights *weights, struct err *err)
{
    const size_t n_lines = task_lines(plan);
    const size_t end = stretch_begin(plan, t + 1);
    int rc = 0;

    if (plan->texts != NULL) {
        generated_open(&plan->drafts, stretch_begin(plan, t), end);
    } else {
        rc = score_stretch(plan, t, forward, weights, err);
    }
    for (size_t i = stretch_begin(plan, t); rc == 0 && i < end; i++) {
        plan->open[i] = 0;
    }
    for (size_t line = n_lines; rc == 0 && line < task_lines(plan); line++) {
        plan->open[document_of(plan, line)]++;
    }
    return rc;
}

struct generate_prompt task_prompt(const struct task_plan *plan, size_t line)
{
    return plan->texts != NULL ? generated_prompt(&plan->drafts, line)
                               : writing_prompt(&plan->writing, line);
}

bool task_take(struct task_plan *plan, size_t line, const struct forward_place *place)
{
    const bool goes_on = plan->texts != NULL
                             ? generated_take(&plan->drafts, line, place)
                             : writing_take(&plan->writing, line, place, plan->matches);

    plan->open[document_of(plan, line)] -= goes_on ? 0 : 1;
    return goes_on;
}

/* The text of a line that ended, and what is found in it. */
static int take_text(struct task_plan *plan, size_t line, struct err *err)
{
    const size_t i = document_of(plan, line);
    const struct document *document = &plan->task->documents[plan->documents[i]];
    int rc = generated_text(&plan->drafts, line, &plan->texts[i],
                            &plan->results[plan->requests.first[i]], err);

    if (rc == 0) {
        rc = generated_matches(plan->task, document, plan->texts[i],
                               plan->matches + i * task_columns(plan->task), err);
    }
    return rc == 0 ? 0 : err_wrap(err, "task %s: document %s", plan->task->name, document->id);
}

int task_write(struct task_plan *plan, struct err *err)
{
    int rc = 0;

    for (size_t line = 0; plan->texts != NULL && rc == 0 && line < plan->drafts.n; line++) {
        if (plan->open[document_of(plan, line)] == 0) {
            rc = take_text(plan, line, err);
        }
    }
    writing_end(&plan->writing);
    generated_end(&plan->drafts);
    return rc;
}

size_t task_done(const struct task_plan *plan)
{
    size_t done = 0;

    while (done < plan->n && plan->open[done] == 0) {
        done++;
    }
    return done;
}

void task_result(struct task_plan *plan, struct score_task *out)
{
    shape(plan, task_done(plan), out);
    fill(plan, out);
}

/* ---- all of them ---- */

static bool take(void *context, size_t line, const struct forward_place *place)
{
    return task_take(context, line, place);
}

static int write_lines(struct task_plan *plan, struct forward *forward,
                       const struct weights *weights, struct err *err)
{
    const size_t n = task_lines(plan);
    const struct generate_sink sink = {.take = take, .context = plan};
    struct generate_prompt *prompts = mem_array(n, sizeof *prompts);

    for (size_t i = 0; i < n; i++) {
        prompts[i] = task_prompt(plan, i);
    }
    int rc = generate(forward, weights, prompts, n, &sink, err);
    if (rc != 0) {
        rc = err_wrap(err, "task %s", plan->task->name);
    }
    free(prompts);
    return rc == 0 ? task_write(plan, err) : rc;
}

int task_run(struct task_plan *plan, struct forward *forward, const struct weights *weights,
             struct score_task *out, struct err *err)
{
    int rc = 0;

    task_begin(plan);
    for (size_t t = 0; t < plan->n_tries && rc == 0; t++) {
        rc = task_score(plan, t, forward, weights, err);
        rc = rc == 0 ? write_lines(plan, forward, weights, err) : rc;
    }
    if (rc == 0) {
        task_result(plan, out);
    }
    return rc;
}
