/* SPDX-License-Identifier: MIT
 *
 * command.h - the commands: a function each, in files by what they deal with
 */
#ifndef COMMAND_H
#define COMMAND_H

#include "client.h"
#include "space.h"

typedef void command_fn(struct client *c, size_t argc, const struct bytes *argv);

struct command {
    const char *name;  /* upper case */
    int         arity; /* words, its name included; negative: at least so many */
    bool        writes;
    command_fn *fn;
};

/* Execute a request. Inside heap_enter. */
void command_execute(struct client *c, size_t argc, const struct bytes *argv);

const struct command *command_find(const struct bytes *name);
size_t                command_count(void);
const struct command *command_at(size_t i);

/* ---- For the files with commands: helpers that reply with an error themselves, and then return false ---- */

bool arg_is(const struct bytes *arg, const char *word);                    /* in any case */
bool arg_number(struct client *c, const struct bytes *arg, long long *out);
void reply_wrongtype(struct client *c);
void reply_oom(struct client *c);
void reply_syntax(struct client *c);
bool glob_match(const char *pattern, size_t pattern_size, const char *text, size_t size);

/* Lend the value of a key if it is of this kind. 1; 0: there is none; -1: it is of another kind, which has been replied. */
int value_get(struct client *c, const struct bytes *key, enum kind kind, struct loan *out);  /* not locked */
int value_find(struct client *c, const struct bytes *key, enum kind kind, struct loan *out); /* locked */

extern const struct command string_commands[], key_commands[], hash_commands[], graph_commands[], server_commands[];

#endif
