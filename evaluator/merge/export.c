/*
 * export.c - a plan written as a Hugging Face folder.
 */
#include "evaluator/merge/export.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/stop.h"
#include "evaluator/merge/carry.h"
#include "evaluator/merge/chat_template.h"
#include "evaluator/model/safetensors_write.h"

#define COPY_MAX ((size_t)1 << 30)
#define RENAME_KEEP 1U /* RENAME_NOREPLACE of linux/fs.h */

/* The last is no tokenizer's. */
static const char *const copied_files[] = {
    "tokenizer.json",  "tokenizer_config.json", "special_tokens_map.json",
    "tokenizer.model", "added_tokens.json",     "vocab.json",
    "merges.txt",      "chat_template.jinja",   "generation_config.json"};

static int copy_files(const char *from, const char *to, bool without_tokenizer, struct err *err)
{
    size_t n = sizeof(copied_files) / sizeof(copied_files[0]);
    int rc = 0;

    for (size_t i = without_tokenizer ? n - 1 : 0; i < n && rc == 0; i++) {
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

/* Where the tokenizer and what belongs to it come from. */
static const char *tokenizer_folder(const struct plan *plan)
{
    return plan->vocabulary != NULL ? vocabulary_folder(plan->vocabulary)
                                    : checkpoint_folder(plan->donor);
}

/* Ids of special tokens are those of the tokenizer's own model. */
static int set_token_ids(const struct plan *plan, json_t *config, struct err *err)
{
    static const char *const keys[] = {"bos_token_id", "eos_token_id", "pad_token_id"};
    char *path = file_join(tokenizer_folder(plan), "config.json");
    json_t *other = NULL;
    int rc = 0;

    if (strcmp(tokenizer_folder(plan), checkpoint_folder(plan->donor)) != 0) {
        rc = doc_load(&other, path, CONFIG_SIZE_MAX, err);
    }
    for (size_t i = 0; other != NULL && i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (json_object_get(other, keys[i]) != NULL) {
            json_object_set(config, keys[i], json_object_get(other, keys[i]));
        } else {
            json_object_del(config, keys[i]);
        }
    }
    json_decref(other);
    free(path);
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

    int rc = doc_load(&donor, source, CONFIG_SIZE_MAX, err);
    if (rc == 0) {
        rc = config_apply(&edited, donor, &plan->edit, err);
    }
    if (rc == 0) {
        rc = set_token_ids(plan, edited, err);
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

/* The donor's files, then what the plan changes in them. */
static int write_tokenizer(const struct plan *plan, const char *folder, struct err *err)
{
    int rc = copy_files(tokenizer_folder(plan), folder, plan->without_tokenizer, err);

    if (rc == 0 && plan->vocabulary != NULL && !plan->without_tokenizer) {
        rc = vocabulary_write(plan->vocabulary, folder, err);
    }
    if (rc == 0 && plan->chat_template != NULL && !plan->without_tokenizer) {
        rc = chat_template_write(folder, plan->chat_template, err);
    }
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

static int write_weights(const struct plan *plan, const char *folder, uint64_t shard_bytes,
                         char weights[DIGEST_HEX], struct err *err)
{
    struct safetensors_output *outputs = mem_array(plan->n_tensors, sizeof(*outputs));
    struct safetensors_writer *writer = NULL;

    for (size_t i = 0; i < plan->n_tensors; i++) {
        const struct plan_tensor *tensor = &plan->tensors[i];

        outputs[i] = (struct safetensors_output){.name = tensor->name,
                                                 .dtype = tensor->dtype,
                                                 .n_dims = tensor->n_dims,
                                                 .n_bytes = tensor->n * dtype_size(tensor->dtype)};
        memcpy(outputs[i].dims, tensor->dims, sizeof(outputs[i].dims));
    }
    int rc = safetensors_write_begin(&writer, folder, outputs, plan->n_tensors,
                                     shard_bytes > 0 ? shard_bytes : SAFETENSORS_SHARD_BYTES, err);
    if (rc == 0) {
        rc = carry_out(plan, writer, 0, weights, err);
        if (rc == 0) {
            rc = safetensors_write_seal(writer, err);
        } else {
            safetensors_write_abandon(writer);
        }
    }
    free(outputs);
    return rc;
}

static int write_all(const struct plan *plan, const char *folder, const struct export_text *texts,
                     size_t n_texts, uint64_t shard_bytes, const char *expected,
                     char weights[DIGEST_HEX], struct err *err)
{
    bool is_checked = expected != NULL && expected[0] != '\0';
    char own[DIGEST_HEX];

    weights = weights == NULL && is_checked ? own : weights;
    int rc = write_weights(plan, folder, shard_bytes, weights, err);
    if (rc != 0) {
        return rc;
    }
    if (is_checked && strcmp(expected, weights) != 0) {
        return err_set(
            err, ERR_CONFLICT,
            "the weights hash to %.16s..., but %.16s... was measured; has a source changed?",
            weights, expected);
    }
    if ((rc = write_config(plan, folder, err)) != 0 ||
        (rc = write_tokenizer(plan, folder, err)) != 0 ||
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
    /* What a killed process of the same number may have left. */
    rc = file_remove_tree(made, err);
    if (rc == 0) {
        rc = file_make_dirs(made, err);
    }
    if (rc == 0) {
        rc = write_all(plan, made, texts, n_texts, shard_bytes, expected, weights, err);
    }
    if (rc == 0 && stop_requested()) {
        rc = err_set(err, ERR_STOPPED, "stopped by a signal");
    }
    if (rc == 0) {
        rc = move_into_place(made, target, err);
    }
    if (rc == ERR_STOPPED) {
        (void)err_wrap(err, "%s: not written", target);
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
