/* SPDX-License-Identifier: MIT
 *
 * admin.c - commands about the connection and the server
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "command.h"
#include "loop.h"

static uint64_t
load(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static void
unknown_subcommand(struct client *c, const struct bytes *word)
{
    reply_error(&c->out, "ERR unknown subcommand '%.*s'.", (int)(word->size < 128 ? word->size : 128), word->at);
}

/* ---- The connection --------------------------------------------------------------------------------------------------- */

static void
ping(struct client *c, size_t argc, const struct bytes *argv)
{
    if (argc > 2)
        reply_error(&c->out, "ERR wrong number of arguments for 'ping' command");
    else if (argc == 2)
        reply_bulk(&c->out, argv[1].at, argv[1].size);
    else
        reply_status(&c->out, "PONG");
}

static void
echo(struct client *c, size_t argc, const struct bytes *argv)
{
    (void)argc;
    reply_bulk(&c->out, argv[1].at, argv[1].size);
}

static void
select_database(struct client *c, size_t argc, const struct bytes *argv)
{
    long long n;

    (void)argc;
    if (!arg_number(NULL, &argv[1], &n))
        reply_error(&c->out, "ERR value is not an integer or out of range");
    else if (n != 0)
        reply_error(&c->out, "ERR DB index is out of range");
    else
        reply_status(&c->out, "OK");
}

static void
quit(struct client *c, size_t argc, const struct bytes *argv)
{
    (void)argc, (void)argv;
    reply_status(&c->out, "OK");
    c->closing = true;
}

/* RESP2 is all there is. */
static void
hello(struct client *c, size_t argc, const struct bytes *argv)
{
    long long version = 2;

    if (argc > 1 && !arg_number(NULL, &argv[1], &version)) {
        reply_error(&c->out, "ERR Protocol version is not an integer or out of range");
        return;
    }
    if (version != 2) {
        reply_error(&c->out, "NOPROTO unsupported protocol version");
        return;
    }
    reply_array(&c->out, 8);
    reply_text(&c->out, "server");
    reply_text(&c->out, "graphd");
    reply_text(&c->out, "version");
    reply_text(&c->out, SERVER_VERSION);
    reply_text(&c->out, "proto");
    reply_integer(&c->out, 2);
    reply_text(&c->out, "id");
    reply_integer(&c->out, (long long)c->id);
}

static void
client(struct client *c, size_t argc, const struct bytes *argv)
{
    const struct bytes *what = &argv[1];

    if (arg_is(what, "ID")) {
        reply_integer(&c->out, (long long)c->id);
    } else if (arg_is(what, "GETNAME")) {
        reply_text(&c->out, c->name);
    } else if (arg_is(what, "SETNAME") && argc == 3) {
        snprintf(c->name, sizeof c->name, "%.*s", (int)(argv[2].size < sizeof c->name ? argv[2].size : sizeof c->name - 1),
                 argv[2].at);
        reply_status(&c->out, "OK");
    } else if (arg_is(what, "SETINFO") || arg_is(what, "NO-EVICT") || arg_is(what, "NO-TOUCH")) {
        reply_status(&c->out, "OK");
    } else {
        unknown_subcommand(c, what);
    }
}

/* ---- Commands --------------------------------------------------------------------------------------------------------- */

static void
describe(struct client *c, const struct command *command)
{
    char   name[32] = "";
    size_t i;

    for (i = 0; i + 1 < sizeof name && command->name[i]; i++)
        name[i] = (char)(command->name[i] | ('A' <= command->name[i] && command->name[i] <= 'Z' ? 0x20 : 0));
    reply_array(&c->out, 6);
    reply_text(&c->out, name);
    reply_integer(&c->out, command->arity);
    reply_array(&c->out, 1);
    reply_status(&c->out, command->writes ? "write" : "readonly");
    reply_integer(&c->out, command->arity == 1 || command->arity == -1 ? 0 : 1);
    reply_integer(&c->out, command->arity == 1 || command->arity == -1 ? 0 : 1);
    reply_integer(&c->out, command->arity == 1 || command->arity == -1 ? 0 : 1);
}

static void
command_command(struct client *c, size_t argc, const struct bytes *argv)
{
    if (argc == 1) {
        reply_array(&c->out, command_count());
        for (size_t i = 0; i < command_count(); i++)
            describe(c, command_at(i));
    } else if (arg_is(&argv[1], "COUNT")) {
        reply_integer(&c->out, (long long)command_count());
    } else if (arg_is(&argv[1], "INFO")) {
        reply_array(&c->out, argc - 2);
        for (size_t i = 2; i < argc; i++) {
            const struct command *found = command_find(&argv[i]);

            if (found)
                describe(c, found);
            else
                reply_nil(&c->out);
        }
    } else if (arg_is(&argv[1], "DOCS")) {
        reply_array(&c->out, 0);
    } else {
        unknown_subcommand(c, &argv[1]);
    }
}

/* ---- Configuration ------------------------------------------------------------------------------------------------------ */

static void
config_get(struct client *c, const struct bytes *pattern)
{
    const struct options *o = &server.options;
    const struct {
        const char *name;
        const char *text; /* or NULL: the number */
        size_t      number;
    } all[] = {
        {"appendonly", "no", 0},
        {"databases", "1", 0},
        {"maxclients", NULL, o->maxclients},
        {"maxmemory", NULL, o->maxmemory},
        {"maxmemory-policy", "allkeys-lru", 0},
        {"port", NULL, o->port},
        {"proto-max-bulk-len", NULL, RESP_BULK},
        {"save", "", 0},
        {"threads", NULL, o->threads},
        {"timeout", NULL, o->timeout},
    };
    size_t begin = reply_begin(&c->out), count = 0;
    char   text[24];

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (glob_match(pattern->at, pattern->size, all[i].name, strlen(all[i].name))) {
            snprintf(text, sizeof text, "%zu", all[i].number);
            reply_text(&c->out, all[i].name);
            reply_text(&c->out, all[i].text ? all[i].text : text);
            count += 2;
        }
    reply_end(&c->out, begin, count);
}

static void
config(struct client *c, size_t argc, const struct bytes *argv)
{
    if (arg_is(&argv[1], "GET") && argc == 3)
        config_get(c, &argv[2]);
    else if (arg_is(&argv[1], "SET"))
        reply_error(&c->out, "ERR CONFIG SET is not there: settings are flags of the program");
    else if (arg_is(&argv[1], "RESETSTAT"))
        reply_status(&c->out, "OK");
    else
        unknown_subcommand(c, &argv[1]);
}

static void
alive(const char *name, enum kind kind, char *text, size_t size)
{
    size_t n = heap_alive(kind), used = strlen(text);

    if (n != SIZE_MAX)
        snprintf(text + used, size - used, "%s:%zu\r\n", name, n);
}

static void
info(struct client *c, size_t argc, const struct bytes *argv)
{
    const struct options *o = &server.options;
    char                  text[4096];
    size_t                used;

    (void)argc, (void)argv;
    snprintf(text, sizeof text,
             "# Server\r\nredis_version:%s\r\nredis_mode:standalone\r\nserver_name:graphd\r\nheap:%s\r\nprocess_id:%ld\r\n"
             "tcp_port:%u\r\nio_threads:%u\r\nuptime_in_seconds:%lld\r\n\r\n"
             "# Clients\r\nconnected_clients:%u\r\nmaxclients:%u\r\n\r\n"
             "# Memory\r\nused_memory:%zu\r\nmaxmemory:%zu\r\nmaxmemory_policy:allkeys-lru\r\n\r\n",
             SERVER_VERSION, heap_name(), (long)getpid(), o->port, o->threads, (long long)(clock_now - server.started) / 1000,
             __atomic_load_n(&server.clients, __ATOMIC_RELAXED), o->maxclients, heap_used(), o->maxmemory);
    used = strlen(text);
    snprintf(text + used, sizeof text - used,
             "# Stats\r\ntotal_connections_received:%llu\r\ntotal_commands_processed:%llu\r\nrejected_connections:%llu\r\n"
             "dropped_connections:%llu\r\nexpired_keys:%llu\r\nevicted_keys:%llu\r\nkeyspace_hits:%llu\r\n"
             "keyspace_misses:%llu\r\n\r\n# Values\r\n",
             (unsigned long long)load(&server.connections), (unsigned long long)load(&server.commands),
             (unsigned long long)load(&server.refused), (unsigned long long)load(&server.dropped),
             (unsigned long long)load(&space_counters.expired), (unsigned long long)load(&space_counters.evicted),
             (unsigned long long)load(&space_counters.hits), (unsigned long long)load(&space_counters.misses));
    alive("texts_alive", TEXT, text, sizeof text);
    alive("hashes_alive", HASH, text, sizeof text);
    alive("nodes_alive", NODE, text, sizeof text);
    used = strlen(text);
    snprintf(text + used, sizeof text - used, "\r\n# Keyspace\r\ndb0:keys=%zu,expires=0,avg_ttl=0\r\n", space_count());
    reply_text(&c->out, text);
}

/* MEMORY PURGE: what is unreachable now is gone when the reply comes. The loop's other clients wait meanwhile. */
static void
memory(struct client *c, size_t argc, const struct bytes *argv)
{
    (void)argc;
    if (!arg_is(&argv[1], "PURGE")) {
        unknown_subcommand(c, &argv[1]);
        return;
    }
    reply_keep(&c->out);
    heap_leave();
    heap_collect();
    heap_enter();
    reply_status(&c->out, "OK");
}

static void
shut_down(struct client *c, size_t argc, const struct bytes *argv)
{
    (void)argc, (void)argv;
    c->closing = true;
    server_stop();
}

static void
time_of_day(struct client *c, size_t argc, const struct bytes *argv)
{
    char text[24];

    (void)argc, (void)argv;
    reply_array(&c->out, 2);
    snprintf(text, sizeof text, "%lld", (long long)clock_now / 1000);
    reply_text(&c->out, text);
    snprintf(text, sizeof text, "%lld", (long long)clock_now % 1000 * 1000);
    reply_text(&c->out, text);
}

const struct command server_commands[] = {
    {"PING", -1, false, ping},
    {"ECHO", 2, false, echo},
    {"SELECT", 2, false, select_database},
    {"QUIT", -1, false, quit},
    {"HELLO", -1, false, hello},
    {"CLIENT", -2, false, client},
    {"COMMAND", -1, false, command_command},
    {"CONFIG", -2, false, config},
    {"INFO", -1, false, info},
    {"MEMORY", -2, false, memory},
    {"SHUTDOWN", -1, true, shut_down},
    {"TIME", 1, false, time_of_day},
    {NULL, 0, false, NULL},
};
