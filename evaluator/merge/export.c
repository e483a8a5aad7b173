/*
 * export.c - a plan written as a Hugging Face folder.
 */
#include "evaluator/merge/export.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "evaluator/merge/blend.h"
#include "evaluator/model/safetensors_write.h"

#define COPY_MAX ((size_t)1 << 30)
#define RENAME_KEEP 1U /* RENAME_NOREPLACE of linux/fs.h */

static const char *const copied_files[] = {
    "tokenizer.json",  "tokenizer_config.json", "special_tokens_map.json",
    "tokenizer.model", "added_tokens.json",     "vocab.json",
    "merges.txt",      "chat_template.jinja",   "generation_config.json"};

static int copy_files(const char *from, const char *to, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; i < sizeof(copied_files) / sizeof(copied_files[0]) && rc == 0; i++) {
        char *source = file_join(from, copied_files[i]);
        char *target = file_join(to, copied_files[i]);
        struct file_bytes bytes = {0};

        if (file_exists(source)) {
            rc = file_read(&bytes, source, COPY_MAX, err);
            if (rc == 0) {
                rc = file_write(target, bytes.data, bytes.size, 0666, err);
            }
        }
        file_release(&bytes);
        free(source);
        free(target);
    }
    return rc;
}

static int write_config(const struct plan *plan, const char *folder, struct err *err)
{
    const char *donor_folder = checkpoint_folder(plan->donor);
    char *source = file_join(donor_folder, "config.json");
    char *target = file_join(folder, "config.json");
    json_t *donor = NULL;
    json_t *edited = NULL;
    struct text text = {0};
    const struct config_edit edit = {.n_layers = plan->recipe->n_layers,
                                     .dtype = dtype_config_name(plan->dtype),
                                     .untie = checkpoint_config(plan->donor)->tied &&
                                              !plan->config.tied};

    int rc = doc_load(&donor, source, CONFIG_SIZE_MAX, err);
    if (rc == 0) {
        rc = config_apply(&edited, donor, &edit, err);
    }
    if (rc == 0) {
        doc_print_pretty(&text, edited);
        text_add_char(&text, '\n');
        rc = file_write(target, text_get(&text), text.size, 0666, err);
    }
    text_release(&text);
    json_decref(donor);
    json_decref(edited);
    free(source);
    free(target);
    return rc;
}

static int write_texts(const struct export_text *texts, size_t n, const char *folder,
                       struct err *err)
{
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0; i++) {
        char *path = file_join(folder, texts[i].name);

        rc = file_write(path, texts[i].bytes, texts[i].size, 0666, err);
        free(path);
    }
    return rc;
}

static int sink_write(void *context, const struct plan_tensor *tensor, const void *bytes, size_t n,
                      struct err *err)
{
    (void)tensor;
    return safetensors_write_bytes(context, bytes, n, err);
}

static int write_weights(const struct plan *plan, const char *folder, uint64_t shard_bytes,
                         char weights[DIGEST_HEX], struct err *err)
{
    struct safetensors_output *outputs = mem_array(plan->n_tensors, sizeof(*outputs));
    struct safetensors_writer *writer = NULL;
    struct blend *blend = blend_new();

    for (size_t i = 0; i < plan->n_tensors; i++) {
        const struct plan_tensor *tensor = &plan->tensors[i];

        outputs[i] = (struct safetensors_output){.name = tensor->name,
                                                 .dtype = plan->dtype,
                                                 .n_dims = tensor->n_dims,
                                                 .n_bytes = tensor->n * dtype_size(plan->dtype)};
        memcpy(outputs[i].dims, tensor->dims, sizeof(outputs[i].dims));
    }
    int rc = safetensors_write_begin(&writer, folder, outputs, plan->n_tensors,
                                     shard_bytes > 0 ? shard_bytes : SAFETENSORS_SHARD_BYTES, err);
    if (rc == 0) {
        const struct blend_sink sink = {.write = sink_write, .context = writer};

        rc = blend_run(blend, plan, &sink, weights, err);
        if (rc == 0) {
            rc = safetensors_write_end(writer, err);
        } else {
            safetensors_write_abandon(writer);
        }
    }
    blend_free(blend);
    free(outputs);
    return rc;
}

static int write_all(const struct plan *plan, const char *folder, const struct export_text *texts,
                     size_t n_texts, uint64_t shard_bytes, const char *expected,
                     char weights[DIGEST_HEX], struct err *err)
{
    int rc;

    if ((rc = write_weights(plan, folder, shard_bytes, weights, err)) != 0) {
        return rc;
    }
    if (expected != NULL && expected[0] != '\0' && strcmp(expected, weights) != 0) {
        return err_set(
            err, ERR_CONFLICT,
            "the weights hash to %.16s..., but %.16s... was measured; has a source changed?",
            weights, expected);
    }
    if ((rc = write_config(plan, folder, err)) != 0 ||
        (rc = copy_files(checkpoint_folder(plan->donor), folder, err)) != 0 ||
        (rc = write_texts(texts, n_texts, folder, err)) != 0) {
        return rc;
    }
    return file_sync_dir(folder, err);
}

/* Rename without replacing what may have appeared meanwhile. */
static int move_into_place(const char *from, const char *to, struct err *err)
{
    char *parent = file_folder(to);
    int rc = 0;

    if (syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, RENAME_KEEP) != 0) {
        rc = errno == EEXIST ? err_set(err, ERR_CONFLICT, "%s: exists already", to)
                             : err_set_errno(err, ERR_IO, "%s", to);
    } else {
        rc = file_sync_dir(parent, err);
    }
    free(parent);
    return rc;
}

int export_write(const struct plan *plan, const char *folder, const struct export_text *texts,
                 size_t n_texts, uint64_t shard_bytes, const char *expected,
                 char weights[DIGEST_HEX], struct err *err)
{
    size_t n = strlen(folder);

    while (n > 1 && folder[n - 1] == '/') {
        n--;
    }
    char *target = mem_text_n(folder, n);
    char *parent = file_folder(target);
    char *made = mem_printf("%s/.%s.%ld.tmp", parent, file_name(target), (long)getpid());
    int rc;

    if (file_exists(target)) {
        rc = err_set(err, ERR_CONFLICT, "%s: exists already; an export overwrites nothing", target);
        goto out;
    }
    rc = file_make_dirs(made, err);
    if (rc == 0) {
        rc = write_all(plan, made, texts, n_texts, shard_bytes, expected, weights, err);
    }
    if (rc == 0) {
        rc = move_into_place(made, target, err);
    }
    if (rc != 0) {
        file_remove_tree(made, NULL);
    }
out:
    free(target);
    free(parent);
    free(made);
    return rc;
}

/* ---- mergekit's YAML ---- */

/* Which substring of a tensor's name stands for a component there; NULL: it needs several. */
static const char *const *component_filters(const char *component)
{
    static const char *const attention[] = {"self_attn", NULL};
    static const char *const mlp[] = {".mlp.", NULL};
    static const char *const norms[] = {"norm", NULL};
    static const char *const embeddings[] = {"embed_tokens", NULL};
    static const char *const head[] = {"lm_head", "model.norm", NULL};

    if (strcmp(component, "attention") == 0) {
        return attention;
    }
    if (strcmp(component, "mlp") == 0) {
        return mlp;
    }
    if (strcmp(component, "norms") == 0) {
        return norms;
    }
    if (strcmp(component, "embeddings") == 0) {
        return embeddings;
    }
    if (strcmp(component, "head") == 0) {
        return head;
    }
    return NULL;
}

static void add_condition(struct text *out, const char *filter, double value)
{
    text_add(out, "        - ");
    if (filter != NULL) {
        text_printf(out, "filter: \"%s\"\n          ", filter);
    }
    text_add(out, "value: ");
    text_add_double(out, value, true);
    text_add_char(out, '\n');
}

/*
 * mergekit's filters are substrings tried in order. Components over the whole depth come as
 * themselves; groups of layers come layer by layer, "layers.3." with the component's own word where
 * there is one.
 */
static void add_conditions(struct text *out, const struct recipe *recipe, size_t source,
                           size_t parameter)
{
    size_t n = method_count(recipe->method, METHOD_SOURCE);

    for (size_t g = 0; g < recipe->n_groups; g++) {
        const struct recipe_group *group = &recipe->groups[g];
        double value = group->source_values[source * n + parameter];
        const char *const *filters = component_filters(group->component);
        bool whole = group->first == 0 && group->end == recipe->n_layers;

        if (strncmp(group->component, "filter:", 7) == 0 && whole) {
            add_condition(out, group->component + 7, value);
        } else if (whole && filters != NULL) {
            for (; *filters != NULL; filters++) {
                add_condition(out, *filters, value);
            }
        } else if (whole) {
            add_condition(out, NULL, value);
        } else {
            for (uint32_t layer = group->first; layer < group->end; layer++) {
                char filter[64];

                snprintf(filter, sizeof(filter), "layers.%u.%s", layer,
                         filters != NULL && filters != component_filters("norms") &&
                                 filters != component_filters("head")
                             ? filters[0] + (filters[0][0] == '.')
                             : "");
                add_condition(out, filter, value);
            }
            if (filters == NULL && group->first == 0) {
                add_condition(out, "embed_tokens", value);
            }
            if (filters == NULL && group->end == recipe->n_layers) {
                add_condition(out, NULL, value);
            }
        }
    }
}

static void add_source(struct text *out, const struct recipe *recipe, size_t source,
                       const char *name)
{
    text_printf(out, "  - model: %s\n    parameters:\n", name);
    for (size_t k = 0; k < method_count(recipe->method, METHOD_SOURCE); k++) {
        text_printf(out, "      %s:\n", method_at(recipe->method, METHOD_SOURCE, k)->name);
        add_conditions(out, recipe, source, k);
    }
}

void export_mergekit(struct text *out, const struct recipe *recipe, const char *base_name,
                     const char *const *names)
{
    text_printf(out, "merge_method: %s\n", recipe->method->name);
    if (base_name != NULL) {
        text_printf(out, "base_model: %s\n", base_name);
    }
    text_add(out, "models:\n");
    for (size_t s = 0; s < recipe->n_sources; s++) {
        add_source(out, recipe, s, names[s]);
    }
    size_t n = method_count(recipe->method, METHOD_WHOLE);
    if (n > 0) {
        text_add(out, "parameters:\n");
    }
    for (size_t k = 0; k < n; k++) {
        const struct method_parameter *parameter = method_at(recipe->method, METHOD_WHOLE, k);
        double value = recipe->groups[0].whole_values[k];

        text_printf(out, "  %s: ", parameter->name);
        if (parameter->kind == METHOD_BOOL) {
            text_add(out, value != 0.0 ? "true" : "false");
        } else {
            text_add_double(out, value, true);
        }
        text_add_char(out, '\n');
    }
    text_printf(out, "dtype: float32\nout_dtype: %s\n", recipe_dtype_name(recipe->dtype));
}
