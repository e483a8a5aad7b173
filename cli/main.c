/*
 * main.c - the front door: the table of commands.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "cli/command.h"

struct command {
    const char *name;
    const char *about;
    int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
    {"search", "search for the best merge a study asks for; started again, it resumes", cmd_search},
    {"serve", "open the dashboard of a study's database, running elsewhere or finished", cmd_serve},
    {"work", "evaluate candidates for a coordinator", cmd_work},
    {"check", "validate a study and all it names before a search", cmd_check},
    {"eval", "score a model on tasks", cmd_eval},
    {"export", "write a candidate as a Hugging Face folder", cmd_export},
    {"merge", "merge models as a mergekit recipe says", cmd_merge},
    {"show", "show one candidate: its recipe, scores and documents", cmd_show},
    {"recipe", "print a candidate's recipe", cmd_recipe},
    {"status", "say how a study stands", cmd_status},
    {"methods", "list the merge methods, their parameters and bounds", cmd_methods},
    {"import", "read a mergekit-evolve genome as a study", cmd_import},
    {"inspect", "say what is in a model folder", cmd_inspect},
    {"version", "print version, kernels and libraries", cmd_version},
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_help(FILE *to)
{
    fprintf(to, "Usage: braid COMMAND [ARGUMENTS]\n\n"
                "Search for the best merge of fine-tuned language models.\n\n");
    for (size_t i = 0; i < N_COMMANDS; i++) {
        fprintf(to, "  %-9s %s\n", commands[i].name, commands[i].about);
    }
    fprintf(to, "\nA night's work:\n"
                "  braid check study.yaml\n"
                "  braid search study.yaml\n"
                "  braid export study.db best/\n\n"
                "braid COMMAND --help explains one command.\n"
                "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 stopped by a signal with "
                "everything saved.\n");
}

static int refuse(const char *word)
{
    const char *names[N_COMMANDS];

    for (size_t i = 0; i < N_COMMANDS; i++) {
        names[i] = commands[i].name;
    }
    const char *near = text_nearest(word, names, N_COMMANDS);
    if (near != NULL) {
        fprintf(stderr, "braid: no command '%s'; did you mean '%s'?\n", word, near);
    } else {
        fprintf(stderr, "braid: no command '%s'; braid --help lists them\n", word);
    }
    return COMMAND_USAGE;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return COMMAND_USAGE;
    }
    const char *word = argv[1];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        print_help(stdout);
        return COMMAND_DONE;
    }
    if (strcmp(word, "--version") == 0) {
        return cmd_version(1, argv);
    }
    for (size_t i = 0; i < N_COMMANDS; i++) {
        if (strcmp(word, commands[i].name) == 0) {
            char *name = mem_printf("braid %s", word);

            argv[1] = name;
            int rc = commands[i].run(argc - 1, argv + 1);
            free(name);
            return rc;
        }
    }
    return refuse(word);
}
