/*
 * cmd_merge.c - braid merge RECIPE FOLDER: a mergekit recipe carried out.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/merge_card.h"
#include "cli/progress.h"
#include "cli/table.h"
#include "evaluator/merge/carry.h"
#include "evaluator/merge/export.h"
#include "evaluator/merge/mergekit_plan.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define WARNINGS_SHOWN 20
#define OPTIONS_MAX 64

struct arguments {
    const char *recipe, *folder;
    bool dry_run, exact, allow_nonfinite, no_tokenizer, no_card, quiet;
    uint64_t shard_bytes; /* 0: the usual */
    uint64_t seed;
    const char *dtype; /* NULL: the recipe's */
};

enum {
    KEY_EXACT = 1000,
    KEY_NONFINITE,
    KEY_DTYPE,
    KEY_SHARD,
    KEY_TOKENIZER,
    KEY_NO_TOKENIZER,
    KEY_CARD,
    KEY_NO_CARD,
    KEY_SEED,
    KEY_FOREIGN
};

/* ---- options of mergekit-yaml that mean nothing here ---- */

static const struct foreign {
    const char *name;
    const char *value; /* NULL: takes none */
    const char *note;
} foreigners[] = {
    {"cuda", NULL, "no GPU is needed: merging is bound by memory and disk"},
    {"device", "DEVICE", "no GPU is needed: merging is bound by memory and disk"},
    {"read-to-gpu", NULL, "no GPU is needed"},
    {"multi-gpu", NULL, "no GPU is needed"},
    {"gpu-rich", NULL, "no GPU is needed"},
    {"low-cpu-memory", NULL, "memory is bounded always; --dry-run says by how much"},
    {"lazy-unpickle", NULL, "files are mapped always"},
    {"lora-merge-cache", "DIR", "adapters are folded in without a cache"},
    {"lora-merge-dtype", "TYPE", "adapters are folded in with float32"},
    {"transformers-cache", "DIR", "nothing is downloaded; the recipe names folders"},
    {"trust-remote-code", NULL, "no code of a model folder is ever run"},
    {"clone-tensors", NULL, "not needed"},
    {"safe-serialization", NULL, "safetensors is what is written"},
    {"async-write", NULL, "every core writes"},
    {"write-threads", "N", "every core writes"},
    {"num-threads", "N", "every core is used"},
    {"verbose", NULL, "warnings are shown always; --dry-run tells all"},
    {"allow-crimes", NULL, "tensors are told by name: models of different architectures may meet"},
};

static void note_foreign(const struct foreign *foreign)
{
    fprintf(stderr, "braid merge: --%s is not needed: %s\n", foreign->name, foreign->note);
}

/* ---- arguments ---- */

/* mergekit's way to say sizes: 5B, 500M, 200K; or bytes; or with a unit, 5GB, 4GiB. */
static int parse_shard_size(uint64_t *bytes, const char *written)
{
    static const struct {
        const char *unit;
        uint64_t factor;
    } units[] = {{"", 1},
                 {"K", 1000},
                 {"M", 1000000},
                 {"B", 1000000000},
                 {"G", 1000000000},
                 {"KB", 1000},
                 {"MB", 1000000},
                 {"GB", 1000000000},
                 {"KiB", UINT64_C(1) << 10},
                 {"MiB", UINT64_C(1) << 20},
                 {"GiB", UINT64_C(1) << 30}};
    char *end = NULL;
    double number = strtod(written, &end);

    for (size_t i = 0; i < COUNT(units); i++) {
        double size = number * (double)units[i].factor;

        if (end != written && strcmp(end, units[i].unit) == 0 && size >= 1 && size < 1e18) {
            *bytes = (uint64_t)size;
            return 0;
        }
    }
    return -1;
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    char *end = NULL;

    switch (key) {
    case 'n':
        arguments->dry_run = true;
        return 0;
    case 'q':
        arguments->quiet = true;
        return 0;
    case KEY_EXACT:
        arguments->exact = true;
        return 0;
    case KEY_NONFINITE:
        arguments->allow_nonfinite = true;
        return 0;
    case KEY_DTYPE:
        arguments->dtype = value;
        return 0;
    case KEY_SHARD:
        if (parse_shard_size(&arguments->shard_bytes, value) != 0) {
            argp_error(state, "--shard-size: '%s' is no size; write 5GB or 500M", value);
        }
        return 0;
    case KEY_TOKENIZER:
    case KEY_NO_TOKENIZER:
        arguments->no_tokenizer = key == KEY_NO_TOKENIZER;
        return 0;
    case KEY_CARD:
    case KEY_NO_CARD:
        arguments->no_card = key == KEY_NO_CARD;
        return 0;
    case KEY_SEED:
        arguments->seed = strtoull(value, &end, 10);
        if (value[0] < '0' || value[0] > '9' || *end != '\0') {
            argp_error(state, "--random-seed: '%s' is no whole number", value);
        }
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->recipe == NULL) {
            arguments->recipe = value;
        } else if (arguments->folder == NULL) {
            arguments->folder = value;
        } else {
            argp_error(state, "a recipe and one folder, please");
        }
        return 0;
    case ARGP_KEY_END:
        if (arguments->folder == NULL && (arguments->recipe == NULL || !arguments->dry_run)) {
            argp_error(state, "which recipe, into which folder?");
        }
        return 0;
    default:
        if (key >= KEY_FOREIGN && (size_t)(key - KEY_FOREIGN) < COUNT(foreigners)) {
            note_foreign(&foreigners[key - KEY_FOREIGN]);
            return 0;
        }
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- a plan, for people ---- */

static void show_warnings(const struct text *warnings)
{
    const char *line = text_get(warnings);
    size_t shown = 0;
    size_t more = 0;

    for (const char *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        if (shown < WARNINGS_SHOWN) {
            fprintf(stderr, "braid merge: %.*s\n", (int)(end - line), line);
            shown++;
        } else {
            more++;
        }
    }
    if (more > 0) {
        fprintf(stderr, "braid merge: and %zu warnings more\n", more);
    }
}

static void print_size(const char *what, uint64_t bytes)
{
    if (bytes >= 1000000000) {
        printf("%s %.2f GB", what, (double)bytes / 1e9);
    } else {
        printf("%s %.2f MB", what, (double)bytes / 1e6);
    }
}

/* "weight 0.5 1  normalize 1": a value a source, then those of the whole. */
static void add_parameters(struct text *out, const struct plan *plan,
                           const struct plan_tensor *tensor)
{
    size_t n_source = method_count(plan->method, METHOD_SOURCE);

    if (tensor->copies) {
        text_add(out, "copied");
        return;
    }
    for (size_t k = 0; k < n_source; k++) {
        text_printf(out, "%s%s", out->size > 0 ? "  " : "",
                    method_at(plan->method, METHOD_SOURCE, k)->name);
        for (size_t s = 0; s < tensor->n_sources; s++) {
            text_printf(out, " %g", tensor->source_values[s * n_source + k]);
        }
    }
    for (size_t k = 0; k < method_count(plan->method, METHOD_WHOLE); k++) {
        text_printf(out, "%s%s %g", out->size > 0 ? "  " : "",
                    method_at(plan->method, METHOD_WHOLE, k)->name, tensor->whole_values[k]);
    }
}

/* "a b[7]": folders, with the layer where it is another, the tensor where it has another name. */
static void add_sources(struct text *out, const struct plan_tensor *tensor)
{
    for (size_t s = 0; s < tensor->n_sources; s++) {
        const struct checkpoint_tensor *from = tensor->sources[s];

        text_printf(out, "%s%s", s > 0 ? " " : "", file_name(from->folder));
        if (from->role != tensor->role) {
            text_printf(out, ":%s", from->name); /* an embedding for a head */
        } else if (from->depth != tensor->layer && strcmp(from->name, tensor->name) != 0) {
            text_printf(out, "[%u]", from->depth);
        }
    }
    if (tensor->base != NULL) {
        text_printf(out, " on %s", file_name(tensor->base->folder));
    }
}

static void print_tensors(const struct plan *plan)
{
    static const char *const heads[] = {"tensor", "type", "from", "parameters"};
    struct table table;

    table_init(&table, heads, COUNT(heads));
    for (size_t i = 0; i < plan->n_tensors; i++) {
        const struct plan_tensor *tensor = &plan->tensors[i];
        struct text from = {0};
        struct text parameters = {0};

        add_sources(&from, tensor);
        add_parameters(&parameters, plan, tensor);
        table_row(&table);
        table_cell(&table, "%s", tensor->name);
        table_cell(&table, "%s", dtype_name(tensor->dtype));
        table_cell(&table, "%s", text_get(&from));
        table_cell(&table, "%s", text_get(&parameters));
        text_release(&from);
        text_release(&parameters);
    }
    table_print(&table, stdout);
    table_release(&table);
}

static void print_summary(const struct plan *plan)
{
    printf("%s: %zu tensors, %zu numbers, %u layers;", plan->method->name, plan->n_tensors,
           plan->n_elements, plan->edit.n_layers);
    print_size("", plan_bytes(plan));
    print_size(" to write, at most", carry_memory(plan, 0));
    printf(" of memory\n");
}

/* ---- the command ---- */

/* All that a recipe becomes. */
struct merge {
    struct mergekit_recipe recipe;
    struct mergekit_models models;
    struct plan plan;
    struct text warnings;
};

static int make_plan(struct merge *merge, const struct arguments *arguments, struct err *err)
{
    const struct plan_rules rules = {.strict = true,
                                     .exact_mergekit = arguments->exact,
                                     .allow_nonfinite = arguments->allow_nonfinite};
    char *folder = file_folder(arguments->recipe);
    int rc = mergekit_recipe_load(&merge->recipe, arguments->recipe, err);

    if (rc == 0 && arguments->dtype != NULL) {
        rc = mergekit_recipe_store_as(&merge->recipe, arguments->dtype, err);
    }
    if (rc == 0) {
        text_add(&merge->warnings, text_get(&merge->recipe.warnings));
        rc = mergekit_models_open(&merge->models, &merge->recipe, folder, &merge->warnings, err);
    }
    if (rc == 0) {
        rc = mergekit_plan_make(&merge->plan, &merge->recipe, &merge->models, &rules,
                                arguments->seed, &merge->warnings, err);
    }
    if (rc == 0) {
        merge->plan.without_tokenizer = arguments->no_tokenizer;
    }
    free(folder);
    return rc;
}

/* The live line. */
struct watch {
    struct progress progress;
    int64_t started_ms;
    uint64_t total; /* bytes */
};

static void show_progress(void *context, uint64_t bytes)
{
    struct watch *watch = context;
    int64_t now_ms = command_now_ms();
    double seconds = (double)(now_ms - watch->started_ms) / 1e3;
    double rate = seconds > 0 ? (double)bytes / seconds : 0.0;
    char span[32];

    if (bytes == 0 || bytes == watch->total) {
        return;
    }
    progress_show(&watch->progress, now_ms, "%.2f/%.2f GB  %.0f MB/s  ETA %s", (double)bytes / 1e9,
                  (double)watch->total / 1e9, rate / 1e6,
                  progress_span(span, (double)(watch->total - bytes) / rate));
}

static int write_out(struct merge *merge, const struct arguments *arguments, struct err *err)
{
    struct text card = {0};
    struct text config = {0};
    struct watch watch = {.started_ms = command_now_ms(), .total = plan_bytes(&merge->plan)};

    merge_card_print(&card, &config, &merge->recipe, arguments->folder);
    const struct export_text texts[] = {
        {"mergekit_config.yml", text_get(&config), config.size},
        {"README.md", text_get(&card), card.size},
    };
    if (!arguments->quiet) {
        progress_begin(&watch.progress);
        merge->plan.watch = show_progress;
        merge->plan.watch_context = &watch;
    }
    int rc = export_write(&merge->plan, arguments->folder, texts, COUNT(texts) - arguments->no_card,
                          arguments->shard_bytes, NULL, NULL, err);
    if (!arguments->quiet) {
        progress_end(&watch.progress);
    }
    if (rc == 0 && !arguments->quiet) {
        double seconds = (double)(command_now_ms() - watch.started_ms) / 1e3;

        printf("%s: %zu tensors,", arguments->folder, merge->plan.n_tensors);
        print_size("", plan_bytes(&merge->plan));
        printf(" in %.1f s\n", seconds);
    }
    text_release(&card);
    text_release(&config);
    return rc;
}

static int run(const struct arguments *arguments, struct err *err)
{
    struct merge merge = {0};
    int rc = 0;

    if (arguments->folder != NULL && file_exists(arguments->folder)) {
        return err_set(err, ERR_CONFLICT, "%s: exists already; a merge overwrites nothing",
                       arguments->folder);
    }
    rc = make_plan(&merge, arguments, err);
    show_warnings(rc == 0 ? &merge.warnings : &merge.recipe.warnings);
    if (rc == 0 && arguments->dry_run) {
        print_tensors(&merge.plan);
        print_summary(&merge.plan);
    } else if (rc == 0) {
        rc = write_out(&merge, arguments, err);
    }
    plan_release(&merge.plan);
    mergekit_models_close(&merge.models);
    mergekit_recipe_release(&merge.recipe);
    text_release(&merge.warnings);
    return rc;
}

/* Ours, then mergekit's that are accepted and noted. */
static void list_options(struct argp_option options[static OPTIONS_MAX])
{
    static char denials[COUNT(foreigners)][32]; /* --no-x of those that take no value */
    static const struct argp_option ours[] = {
        {"dry-run", 'n', NULL, 0, "print every tensor's inputs and parameters, sizes and warnings",
         1},
        {"dtype", KEY_DTYPE, "TYPE", 0, "store float32, float16 or bfloat16 (as out_dtype)", 1},
        {"shard-size", KEY_SHARD, "SIZE", 0, "bytes a file at most: 5GB, 500M (default 5GB)", 1},
        {"out-shard-size", KEY_SHARD, NULL, OPTION_ALIAS, NULL, 1},
        {"random-seed", KEY_SEED, "N", 0, "of methods that drop weights at random (default 0)", 1},
        {"exact-mergekit", KEY_EXACT, NULL, 0, "where mergekit 0.1.4 has a slip, make it too", 1},
        {"allow-nonfinite", KEY_NONFINITE, NULL, 0, "carry NaN and infinity through", 1},
        {"no-copy-tokenizer", KEY_NO_TOKENIZER, NULL, 0, "leave the tokenizer's files behind", 1},
        {"no-write-model-card", KEY_NO_CARD, NULL, 0, "write no README.md", 1},
        {"quiet", 'q', NULL, 0, "print nothing but warnings", 1},
        {"copy-tokenizer", KEY_TOKENIZER, NULL, OPTION_HIDDEN, NULL, 1},
        {"write-model-card", KEY_CARD, NULL, OPTION_HIDDEN, NULL, 1},
    };
    size_t n = COUNT(ours);

    memcpy(options, ours, sizeof(ours));
    for (size_t i = 0; i < COUNT(foreigners); i++) {
        options[n++] = (struct argp_option){.name = foreigners[i].name,
                                            .key = KEY_FOREIGN + (int)i,
                                            .arg = foreigners[i].value,
                                            .flags = OPTION_HIDDEN};
        if (foreigners[i].value == NULL) {
            snprintf(denials[i], sizeof(denials[i]), "no-%s", foreigners[i].name);
            options[n++] = (struct argp_option){
                .name = denials[i], .key = KEY_FOREIGN + (int)i, .flags = OPTION_HIDDEN};
        }
    }
    assert(n < OPTIONS_MAX);
    options[n] = (struct argp_option){0};
}

int cmd_merge(int argc, char **argv)
{
    struct argp_option options[OPTIONS_MAX];
    const struct argp argp = {
        options,
        parse_option,
        "RECIPE.yaml FOLDER",
        "Merge models as a recipe in mergekit's YAML says, and write a Hugging Face folder. "
        "Nothing "
        "is overwritten, nothing is downloaded.\v"
        "Models are folders (folder+adapter for a LoRA): looked for beside the recipe, then from "
        "here. Options of mergekit-yaml are accepted; those that mean nothing here say so.\n\n"
        "Example: braid merge ties.yaml merged/",
        NULL,
        NULL,
        NULL};
    struct arguments arguments = {0};
    struct err err = {0};

    list_options(options);
    command_parse(&argp, argc, argv, &arguments);
    command_catch_signals();
    return run(&arguments, &err) == 0 ? COMMAND_DONE : command_fail(argv[0], &err);
}
