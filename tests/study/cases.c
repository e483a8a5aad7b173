/*
 * cases.c - text groups: a name, '>' lines, an '=' line; '#' lines are for the reader.
 */
#include "tests/study/cases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "study/yaml.h"

struct group {
    char *name;
    struct text document; /* the '>' lines */
    char *expected;       /* NULL for the good one */
};

static void group_release(struct group *group)
{
    free(group->name);
    free(group->expected);
    text_release(&group->document);
    *group = (struct group){0};
}

static void add_line(struct group *group, const char *line)
{
    switch (*line) {
    case '#':
        break;
    case '>':
        text_printf(&group->document, "%s\n", line + (line[1] == ' ' ? 2 : 1));
        break;
    case '=':
        group->expected = mem_text(line + 2);
        break;
    default:
        group->name = mem_text(line);
        break;
    }
}

/* The next group, from *at on, which is moved behind it; false at the end. */
static bool next_group(char **at, struct group *out)
{
    *out = (struct group){0};
    while (**at != '\0') {
        char *line = *at;
        size_t n = strcspn(line, "\n");

        *at += n + (line[n] == '\n');
        line[n] = '\0';
        if (n > 0) {
            add_line(out, line);
        } else if (out->name != NULL) {
            return true;
        }
    }
    return out->name != NULL;
}

static char *read_file(const char *file)
{
    struct file_bytes bytes = {0};
    struct err err = {0};
    char *path = mem_printf("%s/cases/study/%s", TESTS_DIR, file);

    if (file_read(&bytes, path, 1 << 20, &err) != 0) {
        fail_msg("%s", err.text);
    }
    free(path);
    return bytes.data;
}

static json_t *parse_yaml(const char *name, const char *yaml)
{
    struct err err = {0};
    json_t *doc = NULL;

    if (yaml_parse(&doc, yaml, strlen(yaml), &err) != 0) {
        fail_msg("%s: %s", name, err.text);
    }
    return doc;
}

void cases_patch(json_t *doc, const json_t *patch)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)patch, key, value)
    {
        json_t *old = json_object_get(doc, key);

        if (json_is_null(value)) {
            json_object_del(doc, key);
        } else if (json_is_object(value) && json_is_object(old)) {
            cases_patch(old, value);
        } else {
            json_object_set_new(doc, key, json_deep_copy(value));
        }
    }
}

void cases_patch_yaml(json_t *doc, const char *yaml)
{
    json_t *patch = parse_yaml(yaml, yaml);

    cases_patch(doc, patch);
    json_decref(patch);
}

json_t *cases_good(const char *file)
{
    char *bytes = read_file(file);
    char *at = bytes;
    struct group group;

    assert_true(next_group(&at, &group));
    json_t *doc = parse_yaml(group.name, text_get(&group.document));

    group_release(&group);
    free(bytes);
    return doc;
}

/* True when it went as the group says. */
static bool try_case(const struct group *group, const json_t *good, cases_read *read)
{
    json_t *doc = json_deep_copy(good);
    struct err err = {0};

    cases_patch_yaml(doc, text_get(&group->document));
    int rc = read(doc, &err);
    bool as_told =
        group->expected != NULL && rc == (int)err.code && strcmp(err.text, group->expected) == 0;

    if (!as_told) {
        print_error("%s\n  expected: %s\n  said:     %s\n", group->name,
                    group->expected != NULL ? group->expected : "(nothing told)",
                    rc == 0 ? "(accepted)" : err.text);
    }
    json_decref(doc);
    return as_told;
}

size_t cases_walk(const char *file, cases_read *read)
{
    char *bytes = read_file(file);
    char *at = bytes;
    struct group group;
    struct err err = {0};
    size_t n = 0;
    size_t wrong = 0;
    json_t *good = cases_good(file);

    if (read(good, &err) != 0) {
        fail_msg("the good document of %s: %s", file, err.text);
    }
    assert_true(next_group(&at, &group));
    group_release(&group);
    while (next_group(&at, &group)) {
        wrong += !try_case(&group, good, read);
        n++;
        group_release(&group);
    }
    json_decref(good);
    free(bytes);
    assert_int_equal(wrong, 0);
    return n;
}
