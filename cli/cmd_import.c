/*
 * cmd_import.c - braid import GENOME [STUDY]: a mergekit-evolve configuration as a study.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/doc.h"
#include "base/file.h"
#include "base/mem.h"
#include "cli/command.h"
#include "evaluator/model/config.h"
#include "study/genome.h"
#include "study/yaml.h"

struct arguments {
    const char *genome, *study; /* study: NULL for the standard output */
};

/* A study's name in the letters it may have, from the file's. */
static char *name_of(const char *path)
{
    char *name = mem_text(file_name(path));
    char *dot = strrchr(name, '.');

    if (dot != NULL && dot != name) {
        *dot = '\0';
    }
    for (char *at = name; *at != '\0'; at++) {
        *at = isalnum((unsigned char)*at) ? (char)tolower((unsigned char)*at) : '-';
    }
    return name;
}

/* Layers of a model beside the genome. */
static int count_layers(const char *genome, const char *model, uint32_t *out, struct err *err)
{
    char *folder = file_folder(genome);
    char *path = file_resolve(folder, model);
    char *file = file_join(path, "config.json");
    struct config config;
    int rc;

    if (!file_exists(file)) {
        rc = err_set(err, ERR_MISSING,
                     "%s: no local model folder; download it and name the folder in the genome",
                     path);
    } else {
        rc = config_load(&config, path, err);
        *out = rc == 0 ? config.n_layers : 0;
    }
    free(folder);
    free(path);
    free(file);
    return rc;
}

static int import(const struct arguments *arguments, struct text *study, struct text *notes,
                  struct err *err)
{
    json_t *doc = NULL;
    json_t *made = NULL;
    const char *model;
    uint32_t n_layers = 0;
    char *name = name_of(arguments->genome);
    int rc = yaml_load(&doc, arguments->genome, err);

    if (rc == 0 && (rc = genome_model(doc, &model, err)) != 0) {
        err_wrap(err, "%s", arguments->genome);
    }
    if (rc == 0) {
        rc = count_layers(arguments->genome, model, &n_layers, err);
    }
    if (rc == 0 && (rc = genome_study(&made, doc, name, n_layers, notes, err)) != 0) {
        err_wrap(err, "%s", arguments->genome);
    }
    if (rc == 0) {
        yaml_print(study, made);
    }
    json_decref(doc);
    json_decref(made);
    free(name);
    return rc;
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;

    switch (key) {
    case ARGP_KEY_ARG:
        if (arguments->study != NULL) {
            argp_error(state, "a genome and a study, no more");
        }
        *(arguments->genome == NULL ? &arguments->genome : &arguments->study) = value;
        return 0;
    case ARGP_KEY_END:
        if (arguments->genome == NULL) {
            argp_error(state, "which genome?");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int cmd_import(int argc, char **argv)
{
    static const struct argp argp = {
        NULL,
        parse_option,
        "GENOME.yaml [STUDY.yaml]",
        "Read a mergekit-evolve configuration and write a study with the same coordinates: to the "
        "standard output, or to a file that does not exist yet.\v"
        "Paths in it stay as they are, so the study belongs beside the genome.\n\n"
        "Example: braid import genome.yaml study.yaml && braid check study.yaml",
        NULL,
        NULL,
        NULL};
    struct arguments arguments = {0};
    struct text study = {0};
    struct text notes = {0};
    struct err err = {0};

    command_parse(&argp, argc, argv, &arguments);
    int rc = import(&arguments, &study, &notes, &err);
    if (rc == 0 && arguments.study != NULL && file_exists(arguments.study)) {
        rc = err_set(&err, ERR_CONFLICT, "%s: exists already", arguments.study);
    } else if (rc == 0 && arguments.study != NULL) {
        rc = file_write(arguments.study, text_get(&study), study.size, 0666, &err);
    } else if (rc == 0) {
        fputs(text_get(&study), stdout);
    }
    if (rc == 0) {
        fputs(text_get(&notes), stderr);
    }
    text_release(&study);
    text_release(&notes);
    return rc == 0 ? COMMAND_DONE : command_fail(argv[0], &err);
}
