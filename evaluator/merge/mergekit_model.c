/*
 * mergekit_model.c - references to models, short and long.
 */
#include "evaluator/merge/mergekit_model.h"

#include <stdlib.h>
#include <string.h>

#include "base/doc.h"
#include "base/file.h"
#include "base/mem.h"

/* "path" or "path@revision". */
static int parse_path(char **path, char **revision, const char *text, size_t n, const char *where,
                      struct err *err)
{
    const char *at = memchr(text, '@', n);
    size_t n_path = at != NULL ? (size_t)(at - text) : n;

    if (n_path == 0) {
        return err_set(err, ERR_FORMAT, "%s: a model without a path", where);
    }
    if (at != NULL && memchr(at + 1, '@', n - n_path - 1) != NULL) {
        return err_set(err, ERR_FORMAT, "%s: more than one @ in '%.*s'", where, (int)n, text);
    }
    *path = mem_text_n(text, n_path);
    if (at != NULL && n > n_path + 1) {
        *revision = mem_text_n(at + 1, n - n_path - 1);
    }
    return 0;
}

static int parse_short(struct mergekit_model *model, const char *text, const char *where,
                       struct err *err)
{
    const char *plus = strchr(text, '+');
    size_t n = plus != NULL ? (size_t)(plus - text) : strlen(text);

    if (plus != NULL && strchr(plus + 1, '+') != NULL) {
        return err_set(err, ERR_FORMAT, "%s: more than one + in '%s'", where, text);
    }
    int rc = parse_path(&model->path, &model->revision, text, n, where, err);
    if (rc == 0 && plus != NULL) {
        rc = parse_path(&model->adapter, &model->adapter_revision, plus + 1, strlen(plus + 1),
                        where, err);
    }
    return rc;
}

/* One part of the long form: a text, or {path: ..., revision: ...}. */
static int parse_part(char **path, char **revision, const json_t *part, const char *where,
                      struct err *err)
{
    const char *text = json_string_value(part);

    if (text != NULL) {
        return parse_path(path, revision, text, strlen(text), where, err);
    }
    const char *written = json_string_value(json_object_get(part, "path"));
    const char *says = json_string_value(json_object_get(part, "revision"));

    if (written == NULL || written[0] == '\0') {
        return err_set(err, ERR_FORMAT, "%s: expected a model's path, got %s", where,
                       doc_kind(part));
    }
    *path = mem_text(written);
    *revision = says != NULL ? mem_text(says) : NULL;
    return 0;
}

static bool is_given(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return value != NULL && !json_is_null(value);
}

static int parse_long(struct mergekit_model *model, const json_t *reference, const char *where,
                      struct err *err)
{
    const json_t *part = json_object_get(reference, "model");
    const char *text = json_string_value(part);
    int rc;

    /* The short form, adapter and all, may stand where the model's path does. */
    if (text != NULL && strchr(text, '+') != NULL && !is_given(reference, "lora")) {
        rc = parse_short(model, text, where, err);
    } else {
        rc = parse_part(&model->path, &model->revision, part, where, err);
    }
    if (rc == 0 && is_given(reference, "lora")) {
        rc = parse_part(&model->adapter, &model->adapter_revision,
                        json_object_get(reference, "lora"), where, err);
    }
    model->overrides_architecture = is_given(reference, "override_architecture");
    return rc;
}

int mergekit_model_parse(struct mergekit_model *out, const json_t *reference, const char *where,
                         struct err *err)
{
    struct mergekit_model made = {0};
    int rc;

    if (json_is_string(reference)) {
        rc = parse_short(&made, json_string_value(reference), where, err);
    } else if (json_is_object(reference)) {
        rc = parse_long(&made, reference, where, err);
    } else {
        rc = err_set(err, ERR_FORMAT, "%s: expected a model, got %s", where, doc_kind(reference));
    }
    if (rc != 0) {
        mergekit_model_release(&made);
        return rc;
    }
    made.name = mem_printf(
        "%s%s%s%s%s%s%s", made.path, made.revision != NULL ? "@" : "",
        made.revision != NULL ? made.revision : "", made.adapter != NULL ? "+" : "",
        made.adapter != NULL ? made.adapter : "", made.adapter_revision != NULL ? "@" : "",
        made.adapter_revision != NULL ? made.adapter_revision : "");
    *out = made;
    return 0;
}

void mergekit_model_release(struct mergekit_model *model)
{
    free(model->name);
    free(model->path);
    free(model->revision);
    free(model->adapter);
    free(model->adapter_revision);
    *model = (struct mergekit_model){0};
}

/* The last part of a path, slashes at its end aside. */
static int last_part(const char *path, const char **part)
{
    size_t end = strlen(path);

    while (end > 1 && path[end - 1] == '/') {
        end--;
    }
    size_t begin = end;
    while (begin > 0 && path[begin - 1] != '/') {
        begin--;
    }
    *part = path + begin;
    return (int)(end - begin);
}

char *mergekit_model_label(const struct mergekit_model *model)
{
    const char *part;
    int n = last_part(model->path, &part);

    if (model->adapter == NULL) {
        return mem_printf("%.*s", n, part);
    }
    const char *adapter;
    int n_adapter = last_part(model->adapter, &adapter);

    return mem_printf("%.*s+%.*s", n, part, n_adapter, adapter);
}

int mergekit_model_find(char **out, const char *path, const char *recipe_folder, struct err *err)
{
    char *beside = file_resolve(recipe_folder, path);
    bool found = file_is_dir(beside) || file_is_dir(path);
    bool is_file = file_exists(beside) || file_exists(path);

    if (found) {
        *out = file_is_dir(beside) ? mem_text(beside) : mem_text(path);
    }
    free(beside);
    if (found) {
        return 0;
    }
    if (is_file) {
        return err_set(err, ERR_MISSING, "%s: a model is a folder, this is none", path);
    }
    return err_set(err, ERR_MISSING,
                   "%s: no such folder, neither beside the recipe nor here; braid downloads "
                   "nothing, so a model of a hub must be fetched first and named by its folder",
                   path);
}
