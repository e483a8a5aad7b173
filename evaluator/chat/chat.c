/*
 * chat.c - a template with the variables that transformers gives it: messages,
 * add_generation_prompt, tools and documents (none), and each special token by its name.
 */
#include "evaluator/chat/chat.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "evaluator/chat/jinja.h"
#include "evaluator/model/unicode.h"

#define FILE_SIZE_MAX ((size_t)64 << 20)

struct chat {
    struct jinja *jinja; /* NULL: refused says why */
    struct err refused;
    json_t *specials; /* "bos_token": "<s>", ... */
};

/* ---- in folders ---- */

/* The template of a list of named ones is that named default. */
static const char *default_of(const json_t *value)
{
    size_t i;
    json_t *entry;

    json_array_foreach(value, i, entry)
    {
        const char *name = json_string_value(json_object_get(entry, "name"));

        if (name != NULL && strcmp(name, "default") == 0) {
            return json_string_value(json_object_get(entry, "template"));
        }
    }
    return json_string_value(value);
}

static int load_if_there(json_t **out, const char *folder, const char *name, struct err *err)
{
    char *path = file_join(folder, name);
    const int rc = file_exists(path) ? doc_load(out, path, FILE_SIZE_MAX, err) : 0;

    free(path);
    return rc;
}

int chat_find(char **out, const char *folder, struct err *err)
{
    char *path = file_join(folder, "chat_template.jinja");
    struct file_bytes bytes = {0};
    json_t *config = NULL;
    int rc = 0;

    if (file_exists(path)) {
        rc = file_read(&bytes, path, FILE_SIZE_MAX, err);
        *out = rc == 0 ? mem_text_n(bytes.data, bytes.size) : NULL;
    } else {
        rc = load_if_there(&config, folder, "tokenizer_config.json", err);
        const char *text = default_of(json_object_get(config, "chat_template"));
        *out = rc == 0 ? mem_text(text != NULL ? text : "") : NULL;
    }
    file_release(&bytes);
    json_decref(config);
    free(path);
    return rc;
}

/* ---- special tokens ---- */

/* A text, or an object with the text as its content. */
static json_t *token_text(json_t *value)
{
    return json_is_object(value) ? json_object_get(value, "content") : value;
}

/* Those that config names and the ones before did not. */
static void add_specials(json_t *specials, const json_t *config)
{
    static const char *const names[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                        "pad_token", "cls_token", "mask_token"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        json_t *text = token_text(json_object_get(config, names[i]));

        if (json_is_string(text) && json_object_get(specials, names[i]) == NULL) {
            json_object_set(specials, names[i], text);
        }
    }
}

static int read_specials(json_t *specials, const char *folder, struct err *err)
{
    static const char *const files[] = {"tokenizer_config.json", "special_tokens_map.json"};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < 2; i++) {
        json_t *config = NULL;

        rc = load_if_there(&config, folder, files[i], err);
        add_specials(specials, config);
        json_decref(config);
    }
    return rc;
}

/* ---- opening ---- */

static int parse(struct chat *made, const char *folder, const char *template, struct err *err)
{
    char *path = file_join(folder, "chat_template.jinja");
    int rc = 0;

    if (*template == '\0') {
        rc = err_set(err, ERR_MISSING,
                     "%s: no chat template, neither in chat_template.jinja nor in "
                     "tokenizer_config.json",
                     folder);
    } else if (jinja_parse(&made->jinja, template, strlen(template), err) != 0) {
        rc = err_wrap(err, "%s/%s: chat template", folder,
                      file_exists(path) ? "chat_template.jinja" : "tokenizer_config.json");
    }
    free(path);
    return rc;
}

struct chat *chat_open(const char *folder)
{
    struct chat *made = mem_alloc(sizeof *made);
    char *template = NULL;

    made->specials = json_object();
    if (chat_find(&template, folder, &made->refused) == 0 &&
        read_specials(made->specials, folder, &made->refused) == 0) {
        (void)parse(made, folder, template, &made->refused);
    }
    free(template);
    return made;
}

void chat_close(struct chat *chat)
{
    if (chat != NULL) {
        jinja_free(chat->jinja);
        json_decref(chat->specials);
        free(chat);
    }
}

int chat_usable(const struct chat *chat, struct err *err)
{
    return chat->jinja != NULL ? 0 : err_set(err, chat->refused.code, "%s", chat->refused.text);
}

/* ---- rendering ---- */

static struct text stripped(const char *text)
{
    const size_t from = unicode_leading_space(text, strlen(text));
    struct text made = {0};

    text_add_n(&made, text + from,
               unicode_without_trailing_space(text + from, strlen(text + from)));
    return made;
}

/* The last place of what in text, or NULL. */
static const char *find_last(const char *text, const char *what)
{
    const char *last = NULL;

    for (const char *at = text; (at = strstr(at, what)) != NULL; at++) {
        last = at;
        if (*at == '\0') {
            break;
        }
    }
    return last;
}

/*
 * Cut what the template closes the last message with. Templates may strip a message: it is looked
 * for without the whitespace around it, and ends with it where that was kept.
 */
static int leave_open(struct text *prompt, const json_t *messages, struct err *err)
{
    const json_t *last = json_array_get(messages, json_array_size(messages) - 1);
    const char *content = json_string_value(json_object_get(last, "content"));
    struct text bare = stripped(content != NULL ? content : "");
    const char *at = find_last(text_get(prompt), text_get(&bare));
    int rc = 0;

    if (content == NULL || bare.size == 0 || at == NULL) {
        rc = err_set(err, ERR_FORMAT, "the template leaves the beginning of the answer out");
    } else {
        const bool kept = strncmp(at, content, strlen(content)) == 0;

        prompt->size = (size_t)(at - text_get(prompt)) + (kept ? strlen(content) : bare.size);
        prompt->data[prompt->size] = '\0';
    }
    text_release(&bare);
    return rc;
}

int chat_render(const struct chat *chat, const json_t *messages, enum chat_end end,
                struct text *out, struct err *err)
{
    json_t *variables = json_copy(chat->specials);
    struct text prompt = {0};

    json_object_set(variables, "messages", (json_t *)(uintptr_t)messages);
    json_object_set_new(variables, "tools", json_null());
    json_object_set_new(variables, "documents", json_null());
    json_object_set_new(variables, "add_generation_prompt", json_boolean(end == CHAT_ANSWER));
    int rc = chat_usable(chat, err);
    if (rc == 0) {
        rc = jinja_render(chat->jinja, variables, JINJA_DATE, &prompt, err);
        rc = rc == 0 ? 0 : err_wrap(err, "chat template");
    }
    if (rc == 0 && end == CHAT_CONTINUE) {
        rc = leave_open(&prompt, messages, err);
    }
    if (rc == 0) {
        text_add_n(out, text_get(&prompt), prompt.size);
    }
    text_release(&prompt);
    json_decref(variables);
    return rc;
}
