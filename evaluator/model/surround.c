/*
 * surround.c - templates, one around the other.
 */
#include "evaluator/model/surround.h"

#include <string.h>

#include "evaluator/model/steps.h"
#include "evaluator/model/vocab.h"

/* The ids of {"SpecialToken": {"id": name}} by the template's own table. */
static int add_special(struct tokens *out, const json_t *template, const json_t *entry,
                       struct err *err)
{
    const json_t *table = json_object_get(template, "special_tokens");
    const char *name = NULL;
    json_t *ids = NULL;

    int rc = doc_text(entry, "id", &name, err);
    if (rc != 0) {
        return rc;
    }
    const json_t *token = json_object_get(table, name);

    if (token == NULL) {
        return err_set(err, ERR_FORMAT, "special_tokens lacks \"%.64s\"", name);
    }
    rc = doc_array(token, "ids", &ids, err);
    for (size_t i = 0; rc == 0 && i < json_array_size(ids); i++) {
        const json_t *id = json_array_get(ids, i);

        if (!json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) >= (json_int_t)VOCAB_IDS_MAX) {
            return err_set(err, ERR_FORMAT, "special_tokens: \"%.64s\" has no usable id", name);
        }
        tokens_add(out, (uint32_t)json_integer_value(id));
    }
    return rc;
}

/* Read `single`: special tokens, the sequence A once, special tokens. */
static int parse_template(struct tokens around[2], const json_t *json, struct err *err)
{
    json_t *single = NULL;
    size_t side = 0;

    int rc = doc_array(json, "single", &single, err);
    for (size_t i = 0; rc == 0 && i < json_array_size(single); i++) {
        const json_t *item = json_array_get(single, i);
        const json_t *special = json_object_get(item, "SpecialToken");

        if (special != NULL) {
            rc = add_special(&around[side], json, special, err);
        } else if (json_object_get(item, "Sequence") != NULL && side == 0) {
            side = 1;
        } else {
            rc = err_set(err, ERR_FORMAT, "single is not one sequence among special tokens");
        }
    }
    if (rc == 0 && side == 0) {
        rc = err_set(err, ERR_FORMAT, "single lacks the sequence");
    }
    return rc;
}

/* A template of a later processor goes around what the earlier ones added. */
static int wrap_template(struct surround *made, const json_t *json, struct err *err)
{
    struct tokens around[2] = {0};
    const int rc = parse_template(around, json, err);

    if (rc == 0) {
        tokens_add_n(&around[0], made->before.ids, made->before.n);
        tokens_add_n(&made->after, around[1].ids, around[1].n);
        tokens_release(&made->before);
        made->before = around[0];
        around[0] = (struct tokens){0};
    }
    tokens_release(&around[0]);
    tokens_release(&around[1]);
    return rc;
}

static int add_processor(void *context, const json_t *json, const char *type, struct err *err)
{
    if (strcmp(type, "ByteLevel") == 0) { /* changes offsets only */
        return 0;
    }
    if (strcmp(type, "TemplateProcessing") != 0) {
        return err_set(err, ERR_FORMAT, "type %s is not supported", type);
    }
    return wrap_template(context, json, err) == 0 ? 0 : err_wrap(err, "TemplateProcessing");
}

int surround_parse(struct surround *out, const json_t *json, struct err *err)
{
    struct surround made = {0};

    if (steps_read(json, "processors", add_processor, &made, err) != 0) {
        surround_release(&made);
        return err_wrap(err, "post_processor");
    }
    *out = made;
    return 0;
}

void surround_release(struct surround *surround)
{
    tokens_release(&surround->before);
    tokens_release(&surround->after);
}

void surround_begin_with(struct surround *surround, uint32_t id)
{
    struct tokens before = {0};

    for (size_t i = 0; i < surround->before.n; i++) {
        if (surround->before.ids[i] == id) {
            return;
        }
    }
    tokens_add(&before, id);
    tokens_add_n(&before, surround->before.ids, surround->before.n);
    tokens_release(&surround->before);
    surround->before = before;
}
