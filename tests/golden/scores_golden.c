/*
 * scores_golden.c - whole tasks on the example models against another implementation.
 *
 *   scores_golden REFERENCE.json TASKS-FOLDER MODEL-FOLDER...
 *
 * For each model and each task of "models": exact_match, acc and acc_norm over all documents, the
 * sum of the answers' log-likelihoods and the first of them, the choices' of the first documents,
 * the first exact-match flags. Log-likelihoods within 1e-4 relative to one more than the magnitude;
 * marks exactly, since no document of the references is that close to a tie. Exit code 1 beyond it.
 * In the arithmetic that is this machine's default; BRAID_TILES=emulated makes that amx2.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/doc.h"
#include "base/file.h"
#include "base/mem.h"
#include "evaluator/task/dataset.h"
#include "evaluator/task/run.h"

#define REFERENCE_SIZE_MAX ((size_t)16 << 20)
#define TOLERANCE 1e-4

static double worst;
static size_t n_wrong;

static void must(int rc, const struct err *err)
{
    if (rc != 0) {
        fprintf(stderr, "scores_golden: %s\n", err->text);
        exit(2);
    }
}

static void check(const char *what, double got, double wanted, double tolerance)
{
    const double off = fabs(got - wanted) / (1.0 + fabs(wanted));

    if (tolerance > 0.0 && off > worst) {
        worst = off;
    }
    if (!(off <= tolerance)) {
        printf("%s: %.9g, expected %.9g\n", what, got, wanted);
        n_wrong++;
    }
}

struct model {
    struct checkpoint *checkpoint;
    struct weights *weights;
    struct forward *forward;
    struct tokenizer *tokenizer;
    size_t positions;
};

static struct model model_open(const char *folder)
{
    struct model model = {0};
    struct err err;

    must(checkpoint_open(&model.checkpoint, folder, &err), &err);
    const struct config *config = checkpoint_config(model.checkpoint);
    must(weights_new_on(&model.weights, config, (struct gemm_kind){numeric_best(), true}, &err),
         &err);
    must(weights_load(model.weights, model.checkpoint, &err), &err);
    must(forward_new_on(&model.forward, config, numeric_best(), 0, &err), &err);
    must(tokenizer_open(&model.tokenizer, folder, &err), &err);
    model.positions = config->positions;
    return model;
}

static void model_close(struct model *model)
{
    tokenizer_close(model->tokenizer);
    forward_free(model->forward);
    weights_free(model->weights);
    checkpoint_close(model->checkpoint);
}

/* Run one task file over all its documents, in the order of the file. */
static struct score_task run(const struct model *model, const char *folder, const char *name)
{
    char *path = mem_printf("%s/%s.yaml", folder, name);
    struct task task = {0};
    struct task_plan *plan = NULL;
    struct score_task score = {0};
    struct err err;

    must(task_load(&task, path, &err), &err);
    size_t *documents = mem_array(task.n_documents, sizeof *documents);

    for (size_t i = 0; i < task.n_documents; i++) {
        documents[i] = i;
    }
    must(task_plan_new(&plan, &task, model->tokenizer, documents, task.n_documents, 0,
                       model->positions, &err),
         &err);
    must(task_run(plan, model->forward, model->weights, &score, &err), &err);
    task_plan_free(plan);
    free(documents);
    task_release(&task);
    free(path);
    return score;
}

static double value_of(const struct score_task *score, const char *metric)
{
    const size_t m = score_metric(score, metric);

    return m == SIZE_MAX ? (double)NAN : score->values[m];
}

static double number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static void check_answers(const char *what, const struct score_task *score, const json_t *wanted)
{
    const json_t *first = json_object_get(wanted, "first_loglikelihoods");
    const json_t *exact = json_object_get(wanted, "first_exact");
    double sum = 0.0;

    for (size_t i = 0; i < score->n; i++) {
        sum += score->loglikelihoods[i];
    }
    check(what, (double)score->n, number(wanted, "n"), 0.0);
    check(what, value_of(score, "exact_match"), number(wanted, "exact_match"), 1e-12);
    check(what, sum, number(wanted, "answer_loglikelihood_sum"), TOLERANCE);
    for (size_t i = 0; i < json_array_size(first); i++) {
        check(what, score->loglikelihoods[i], json_number_value(json_array_get(first, i)),
              TOLERANCE);
    }
    for (size_t i = 0; i < json_array_size(exact); i++) {
        const json_t *flag = json_array_get(exact, i);
        const double expected =
            json_is_boolean(flag) ? json_is_true(flag) : json_number_value(flag);

        check(what, score->document_values[i], expected, 0.0);
    }
}

static void check_choices(const char *what, const struct score_task *score, const json_t *wanted)
{
    const json_t *first = json_object_get(wanted, "first_choice_loglikelihoods");

    check(what, value_of(score, "acc"), number(wanted, "acc"), 1e-12);
    check(what, value_of(score, "acc_norm"), number(wanted, "acc_norm"), 1e-12);
    for (size_t i = 0; i < json_array_size(first); i++) {
        const json_t *choices = json_array_get(first, i);

        for (size_t k = 0; k < json_array_size(choices); k++) {
            check(what, score->loglikelihoods[score->first[i] + k],
                  json_number_value(json_array_get(choices, k)), TOLERANCE);
        }
    }
}

static void check_model(const json_t *reference, const char *tasks, const char *folder)
{
    const char *name = file_name(folder);
    const json_t *wanted = json_object_get(json_object_get(reference, "models"), name);
    struct model model = model_open(folder);
    const char *task = NULL;
    json_t *values = NULL;

    if (!json_is_object(wanted)) {
        printf("%s: not in the reference\n", name);
        n_wrong++;
    }
    json_object_foreach((json_t *)wanted, task, values)
    {
        char *choice = mem_printf("%s_choice", task);
        char *what = mem_printf("%s %s", name, task);
        struct score_task answers = run(&model, tasks, task);
        struct score_task choices = run(&model, tasks, choice);

        check_answers(what, &answers, values);
        check_choices(what, &choices, values);
        score_task_release(&answers);
        score_task_release(&choices);
        free(what);
        free(choice);
    }
    model_close(&model);
}

int main(int argc, char **argv)
{
    json_t *reference = NULL;
    struct err err;

    if (argc < 4) {
        fprintf(stderr, "usage: scores_golden REFERENCE.json TASKS-FOLDER MODEL-FOLDER...\n");
        return 2;
    }
    must(doc_load(&reference, argv[1], REFERENCE_SIZE_MAX, &err), &err);
    for (int i = 3; i < argc; i++) {
        check_model(reference, argv[2], argv[i]);
    }
    json_decref(reference);
    printf("%zu differences; worst log-likelihood %.2e relative\n", n_wrong, worst);
    return n_wrong == 0 ? 0 : 1;
}
