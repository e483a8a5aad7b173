#include "tests/sim/world.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/doc.h"
#include "base/mem.h"
#include "base/text.h"
#include "search/route_frame.h"

static const char study_form[] =
    "{\"study\":\"sim\",\"seed\":%llu,"
    "\"models\":{\"base\":\"base\",\"left\":\"left\",\"right\":\"right\"},"
    "\"merge\":{\"method\":\"task_arithmetic\",\"base\":\"base\",\"sources\":[\"left\",\"right\"],"
    "\"layers\":1,\"search\":{\"weight\":[0,1.5]}},"
    "\"tasks\":[{\"task\":\"count.yaml\",\"metric\":\"acc\"},{\"task\":\"spell.yaml\",\"metric\":"
    "\"acc\"}],"
    "\"optimizer\":{\"algorithm\":\"cma-es\",\"population\":%zu},"
    "\"budget\":{\"evaluations\":%llu},\"finalists\":3}";

static const char route_form[] =
    "{\"study\":\"sim\",\"seed\":%llu,"
    "\"models\":{\"base\":\"base\",\"left\":\"left\",\"right\":\"right\"},"
    "\"route\":{\"host\":\"left\",\"sources\":[\"right\"],\"length\":2},"
    "\"tasks\":[{\"task\":\"count.yaml\",\"metric\":\"acc\"},{\"task\":\"spell.yaml\",\"metric\":"
    "\"acc\"}],"
    "\"optimizer\":{\"population\":%zu},"
    "\"budget\":{\"evaluations\":%llu},\"finalists\":3}";

/* ---- the study ---- */

/* Takes text over. */
static void read_study(struct world *world, char *text)
{
    json_t *doc = NULL;
    struct err err = {0};
    int rc = doc_parse(&doc, text, strlen(text), &err);

    if (rc == 0) {
        rc = study_parse(&world->study, doc, ".", &err);
    }
    if (rc != 0) {
        fprintf(stderr, "the simulator's study: %s\n", err.text);
        abort();
    }
    json_decref(doc);
    free(text);
}

static char *print_recipe(const char *method_name, const char *const *sources, size_t n,
                          const char *base)
{
    const struct method *method;
    struct recipe recipe = {0};
    struct text text = {0};
    int rc = method_find(&method, method_name, NULL);

    assert(rc == 0);
    recipe_init(&recipe, method, RECIPE_BFLOAT16, 0, 2, sources, n, base);
    recipe_print(&text, &recipe);
    recipe_release(&recipe);
    return text_take(&text);
}

static void make_baselines(struct world *world)
{
    const char *const *digests = world->digest_texts;
    static const char *const labels[WORLD_BASELINES] = {
        "parent left", "parent right", "uniform average", "task_arithmetic at its defaults"};

    world->recipes[0] = print_recipe("linear", &digests[1], 1, NULL);
    world->recipes[1] = print_recipe("linear", &digests[2], 1, NULL);
    world->recipes[2] = print_recipe("linear", &digests[1], 2, NULL);
    world->recipes[3] = print_recipe("task_arithmetic", &digests[1], 2, digests[0]);
    for (size_t i = 0; i < WORLD_BASELINES; i++) {
        world->baselines[i] = (struct coordinator_baseline){
            .label = labels[i], .parent = i < 2, .recipe = world->recipes[i]};
    }
}

static void make_tasks(struct world *world)
{
    static const char *const names[WORLD_TASKS] = {"count", "spell"};

    for (size_t t = 0; t < WORLD_TASKS; t++) {
        digest_hex_of(names[t], strlen(names[t]), world->task_digests[t]);
        world->tasks[t] = (struct coordinator_task){
            .name = names[t],
            .digest = world->task_digests[t],
            .metric = "acc",
            .higher_is_better = true,
            .weight = 1.0,
            .documents = {3 * WORLD_DOCUMENTS, WORLD_DOCUMENTS, WORLD_DOCUMENTS, WORLD_DOCUMENTS},
        };
    }
}

void world_init(struct world *world, uint64_t seed, size_t population, uint64_t evaluations)
{
    *world = (struct world){.failing = 12};
    read_study(world, mem_printf(study_form, (unsigned long long)seed, population,
                                 (unsigned long long)evaluations));
    for (size_t m = 0; m < WORLD_MODELS; m++) {
        digest_hex_of(&m, sizeof(m), world->digests[m]);
        world->digest_texts[m] = world->digests[m];
    }
    make_tasks(world);
    make_baselines(world);
    world->options = (struct coordinator_options){
        .study = &world->study,
        .n_layers = 2,
        .model_digests = world->digest_texts,
        .tasks = world->tasks,
        .baselines = world->baselines,
        .n_baselines = WORLD_BASELINES,
        .version = "sim",
        .ttl_ms = 3000,
    };
}

void world_objectives(struct world *world)
{
    world->apart = 0.5;
    world->study.objective = STUDY_PARETO;
    world->study.n_objectives = WORLD_TASKS;
    for (size_t t = 0; t < WORLD_TASKS; t++) {
        world->study.objectives[t] = t;
    }
    free(world->study.optimizer.algorithm);
    world->study.optimizer.algorithm = mem_text("auto");
}

void world_release(struct world *world)
{
    for (size_t i = 0; i < WORLD_BASELINES; i++) {
        free(world->recipes[i]);
    }
    study_release(&world->study);
    *world = (struct world){0};
}

void world_refine(struct world *world)
{
    world->study.merge.n_finer = 1;
    world->study.merge.finer[0] = (struct study_finer){.layers = STUDY_LAYERS_EACH};
}

void world_route(struct world *world, uint64_t evaluations)
{
    const uint64_t seed = world->study.seed;
    const size_t population = world->study.optimizer.population;

    study_release(&world->study);
    read_study(world, mem_printf(route_form, (unsigned long long)seed, population,
                                 (unsigned long long)evaluations));
    world->options.n_layers = 6;
}

/* ---- what a recipe is worth ---- */

enum score_failure world_failure(const struct world *world, const char *recipe)
{
    unsigned char digest[DIGEST_SIZE];

    digest_of(recipe, strlen(recipe), digest);
    if (digest[0] >= world->failing) {
        return SCORE_OK;
    }
    return digest[1] % 2 == 0 ? SCORE_NAN : digest[1] % 4 == 1 ? SCORE_EXIT : SCORE_SIGNAL;
}

/* In [0, 1]: nearer to the planted route is better, and so are gains near its own. */
static double skill_of_route(const struct route *route)
{
    struct route planted = {0};
    double logs = 0.0;
    int rc = route_parse(&planted, "A0-1 B2-3*2 A4-5*0.5", NULL);

    assert(rc == 0);
    size_t distance = route_frame_distance(route, &planted);

    for (size_t k = 0; k < route->n_hops; k++) {
        double meant = distance == 0 ? planted.hops[k].scale : 1.0;

        logs += fabs(log(route->hops[k].scale / meant));
    }
    route_release(&planted);
    return 0.8 - 0.1 * (double)distance - 0.02 * logs;
}

/* In [0, 1]: best where the weights are 0.4, and `apart` more, and 0.9, a little more and less in
 * upper layers. */
static double skill(const char *text, double apart)
{
    struct recipe recipe = {0};
    double skill = 0.3;
    int rc = recipe_parse(&recipe, text, strlen(text), NULL);

    assert(rc == 0);
    if (recipe.route.n_hops > 0) {
        skill = skill_of_route(&recipe.route);
    } else if (recipe.n_sources == 2) {
        size_t stride = method_count(recipe.method, METHOD_SOURCE);
        double squares = 0.0;

        for (size_t g = 0; g < recipe.n_groups; g++) {
            double left = recipe.groups[g].source_values[0] - 0.4 - apart - 0.1 * (double)g;
            double right = recipe.groups[g].source_values[stride] - 0.9 + 0.1 * (double)g;

            squares += left * left + right * right;
        }
        skill = 0.9 - squares / (double)recipe.n_groups;
    }
    recipe_release(&recipe);
    return skill;
}

static void fill_task(struct score_task *task, const struct coordinator_task *from, double skill,
                      const unsigned char noise[DIGEST_SIZE], enum split split)
{
    size_t n = from->documents[split];
    double sum = 0.0;

    task->name = mem_text(from->name);
    memcpy(task->digest, from->digest, DIGEST_HEX);
    task->n = n;
    task->n_metrics = 1;
    task->metrics = mem_array(1, sizeof(char *));
    task->metrics[0] = mem_text(from->metric);
    task->values = mem_array(1, sizeof(double));
    task->errors = mem_array(1, sizeof(double));
    task->document_values = mem_array(n, sizeof(double));
    task->first = mem_array(n + 1, sizeof(uint32_t));
    task->loglikelihoods = mem_array(n, sizeof(double));
    task->greedy = mem_array(n, 1);
    for (size_t i = 0; i < n; i++) {
        double value = skill + ((double)noise[(i + split) % DIGEST_SIZE] / 255.0 - 0.5) * 0.2;

        task->document_values[i] = fmin(fmax(value, 0.0), 1.0);
        task->first[i + 1] = (uint32_t)(i + 1);
        task->loglikelihoods[i] = -value;
        sum += task->document_values[i];
    }
    task->values[0] = sum / (double)n;
    task->errors[0] = 0.01;
}

void world_score(const struct world *world, const char *recipe, enum split split, struct score *out)
{
    unsigned char noise[DIGEST_SIZE];

    digest_of(recipe, strlen(recipe), noise);
    *out = (struct score){
        .path = mem_text("f32/sim"),
        .wall_s = 1.0,
        .cpu_s = 1.0,
        .positions = 100,
        .n_tasks = WORLD_TASKS,
        .tasks = mem_array(WORLD_TASKS, sizeof(struct score_task)),
    };
    digest_hex_of(noise, sizeof(noise), out->weights);
    for (size_t t = 0; t < WORLD_TASKS; t++) {
        fill_task(&out->tasks[t], &world->tasks[t], skill(recipe, (double)t * world->apart),
                  noise + t, split);
    }
}

/* ---- the run that nothing disturbs ---- */

static void must(int rc, const struct err *err)
{
    if (rc != 0) {
        fprintf(stderr, "the undisturbed run: %s\n", err->text);
        abort();
    }
}

static void work(const struct world *world, struct coordinator *coordinator, const struct job *job,
                 int64_t now_ms)
{
    enum score_failure failure = world_failure(world, job->recipe);
    enum coordinator_verdict verdict;
    struct score score = {0};
    struct err err = {0};

    if (failure != SCORE_OK) {
        must(coordinator_fail(coordinator, job->lease, failure, "so it is", now_ms, &err), &err);
        return;
    }
    world_score(world, job->recipe, job->split, &score);
    must(coordinator_result(coordinator, job->candidate, job->attempt, job->lease, &score, now_ms,
                            &verdict, &err),
         &err);
    assert(verdict == COORDINATOR_STORED);
    score_release(&score);
}

void world_undisturbed(const struct world *world, struct store *store, struct world_end *out)
{
    const struct coordinator_worker hello = {"00000000000000000000000000000001", "one", "sim",
                                             "f32/sim"};
    struct coordinator *coordinator;
    struct coordinator_status status;
    enum coordinator_offer offer;
    struct err err = {0};
    uint64_t worker;

    must(coordinator_open(&coordinator, store, &world->options, 0, &err), &err);
    must(coordinator_register(coordinator, &hello, 0, &worker, &err), &err);
    for (uint64_t seq = 1;; seq++) {
        struct job job = {0};

        must(coordinator_lease(coordinator, worker, seq, 0, &offer, &job, &err), &err);
        if (offer != COORDINATOR_JOB) {
            break;
        }
        work(world, coordinator, &job, 0);
        job_release(&job);
    }
    assert(offer == COORDINATOR_OVER);
    coordinator_status(coordinator, &status);
    memcpy(out->trajectory, status.trajectory, DIGEST_HEX);
    snprintf(out->state, sizeof(out->state), "%s", status.state);
    snprintf(out->reason, sizeof(out->reason), "%s", status.reason);
    out->evaluations = status.evaluations;
    coordinator_close(coordinator);
}
