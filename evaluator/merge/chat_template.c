/*
 * chat_template.c - templates by name, found in folders, written into one.
 */
#include "evaluator/merge/chat_template.h"

#include <stdlib.h>
#include <string.h>

#include "base/doc.h"
#include "base/file.h"
#include "base/mem.h"
#include "evaluator/chat/chat.h"

#define FILE_SIZE_MAX ((size_t)64 << 20)
#define TEXT_SIZE_MIN 20 /* shorter ones are names */
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct named {
    const char *name;
    const char *text;
} names[] = {
    {"alpaca",
     "{{ bos_token }}{% for message in messages %}"
     "{% if message['role'] == 'system' %}{{ message['content'] + '\\n\\n' }}"
     "{% elif message['role'] == 'user' %}"
     "{{ '### Instruction:\\n' + message['content'] + '\\n\\n' }}"
     "{% elif message['role'] == 'assistant' %}"
     "{{ '### Response:\\n' + message['content'] + eos_token + '\\n\\n' }}{% endif %}{% endfor %}"
     "{% if add_generation_prompt %}{{ '### Response:\\n' }}{% endif %}"},
    {"chatml",
     "{% for message in messages %}"
     "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
     "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"},
    {"llama3", "{{ bos_token }}{% for message in messages %}"
               "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + "
               "message['content'] | trim + '<|eot_id|>' }}{% endfor %}"
               "{% if add_generation_prompt %}"
               "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"},
    {"mistral",
     "{{ bos_token }}{% for message in messages %}"
     "{% if message['role'] == 'assistant' %}{{ ' ' + message['content'] + eos_token }}"
     "{% else %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% endif %}{% endfor %}"},
    {"exaone",
     "{% for message in messages %}"
     "{{ '[|' + message['role'] + '|]' + message['content'] }}"
     "{% if message['role'] == 'user' %}{{ '\\n' }}{% else %}{{ '[|endofturn|]\\n' }}{% endif %}"
     "{% endfor %}{% if add_generation_prompt %}{{ '[|assistant|]' }}{% endif %}"},
};

/* ---- in folders ---- */

static int load_if_there(json_t **out, const char *folder, const char *name, struct err *err)
{
    char *path = file_join(folder, name);
    const int rc = file_exists(path) ? doc_load(out, path, FILE_SIZE_MAX, err) : 0;

    free(path);
    return rc;
}

/* The most frequent template; of equally frequent ones the first. */
static int choose_frequent(struct text *out, const struct checkpoint *const *models,
                           size_t n_models, struct text *warnings, struct err *err)
{
    char **found = mem_array(n_models, sizeof(char *));
    const char *best = NULL;
    size_t most = 0;
    int rc = 0;

    for (size_t m = 0; m < n_models && rc == 0; m++) {
        rc = chat_find(&found[m], checkpoint_folder(models[m]), err);
    }
    for (size_t m = 0; m < n_models && rc == 0; m++) {
        size_t n = 0;

        for (size_t other = 0; other < n_models; other++) {
            n += *found[m] != '\0' && strcmp(found[m], found[other]) == 0;
        }
        if (n > most) {
            most = n;
            best = found[m];
        }
    }
    if (rc == 0 && best == NULL) {
        text_add(warnings, "chat_template: auto, but no model has one; none is written\n");
    }
    text_add(out, best != NULL ? best : "");
    for (size_t m = 0; m < n_models; m++) {
        free(found[m]);
    }
    free(found);
    return rc;
}

int chat_template_choose(struct text *out, const char *wanted,
                         const struct checkpoint *const *models, size_t n_models,
                         struct text *warnings, struct err *err)
{
    const char *known[COUNT(names) + 1] = {"auto"};

    if (strcmp(wanted, "auto") == 0) {
        return choose_frequent(out, models, n_models, warnings, err);
    }
    for (size_t i = 0; i < COUNT(names); i++) {
        if (strcmp(wanted, names[i].name) == 0) {
            text_add(out, names[i].text);
            return 0;
        }
        known[i + 1] = names[i].name;
    }
    if (strlen(wanted) >= TEXT_SIZE_MIN && strchr(wanted, '{') != NULL) {
        text_add(out, wanted);
        return 0;
    }
    const char *near = text_nearest(wanted, known, COUNT(known));
    return err_set(err, ERR_FORMAT,
                   "chat_template: '%.64s' is neither a name (auto, alpaca, chatml, exaone, "
                   "llama3, mistral) nor a template%s%s%s",
                   wanted, near != NULL ? "; did you mean " : "", near != NULL ? near : "",
                   near != NULL ? "?" : "");
}

int chat_template_write(const char *folder, const char *template, struct err *err)
{
    char *config_path = file_join(folder, "tokenizer_config.json");
    char *jinja_path = file_join(folder, "chat_template.jinja");
    json_t *config = NULL;
    struct text text = {0};
    int rc = load_if_there(&config, folder, "tokenizer_config.json", err);

    if (rc == 0 && !text_is_utf8(template, strlen(template), NULL)) {
        rc = err_set(err, ERR_FORMAT, "chat_template: it is not UTF-8");
    }
    if (rc == 0) {
        config = config != NULL ? config : json_object();
        json_object_set_new(config, "chat_template", json_string(template));
        doc_print_pretty(&text, config);
        text_add_char(&text, '\n');
        rc = file_write(config_path, text_get(&text), text.size, 0666, err);
    }
    if (rc == 0 && file_exists(jinja_path)) {
        rc = file_write(jinja_path, template, strlen(template), 0666, err);
    }
    text_release(&text);
    json_decref(config);
    free(config_path);
    free(jinja_path);
    return rc;
}
