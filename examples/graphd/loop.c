/* SPDX-License-Identifier: MIT
 *
 * loop.c - reading, executing, writing
 *
 * A client belongs to one loop for good. What it has sent is executed as one batch inside heap_enter .. heap_leave, so values are
 * borrowed from the first look until the socket has them; nothing is held across epoll_wait, where a loop may sleep for long.
 *
 * A client with nothing half-read has no buffer: the loop's is used. One that does not read its replies is not read from, and
 * its requests are not executed, once PAUSE bytes wait; one reply may exceed that, up to the output limit. A client that takes
 * nothing of what waits for the time STUCK is closed, as one that is silent for longer than --timeout.
 */
#include "loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "command.h"
#include "graph.h"

#define EVENTS 128
#define BUFFER ((size_t)64 << 10)
#define PAUSE ((size_t)1 << 20)
#define TICK 100    /* milliseconds */
#define STUCK 60000 /* milliseconds */
#define NEW 1u      /* in the event's data: a socket that has no client yet */

/* ---- Clients ---------------------------------------------------------------------------------------------------------- */

static struct client *
client_new(struct loop *l, int fd)
{
    struct client *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    c->loop = l;
    c->fd = fd;
    c->id = __atomic_add_fetch(&server.connections, 1, __ATOMIC_RELAXED);
    c->active = clock_now;
    resp_next(&c->parser);
    c->next = l->clients;
    if (c->next)
        c->next->previous = c;
    l->clients = c;
    return c;
}

static void
client_close(struct client *c)
{
    if (c->previous)
        c->previous->next = c->next;
    else
        c->loop->clients = c->next;
    if (c->next)
        c->next->previous = c->previous;
    close(c->fd);
    __atomic_fetch_sub(&server.clients, 1, __ATOMIC_RELAXED);
    reply_free(&c->out);
    resp_free(&c->parser);
    free(c->in);
    free(c);
}

static void
drop(struct client *c)
{
    __atomic_fetch_add(&server.dropped, 1, __ATOMIC_RELAXED);
    client_close(c);
}

static bool
watch(struct client *c, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = c};

    return epoll_ctl(c->loop->epoll, EPOLL_CTL_MOD, c->fd, &e) == 0;
}

/* ---- Executing -------------------------------------------------------------------------------------------------------- */

/* Execute what is complete in the buffer, until too much waits to be sent. Returns how many bytes are done with. */
static size_t
execute(struct client *c, char *buffer, size_t size)
{
    size_t at = 0;

    while (at < size && !c->closing && reply_waiting(&c->out) < PAUSE) {
        enum resp_result result = resp_read(&c->parser, buffer + at, size - at);

        if (result == RESP_MORE)
            break;
        if (result == RESP_BAD) {
            reply_error(&c->out, "ERR %s", c->parser.error);
            c->closing = true;
            return size;
        }
        if (result == RESP_REQUEST_READ) {
            command_execute(c, c->parser.argc, c->parser.argv);
            c->loop->commands++;
        }
        at += c->parser.used;
        resp_next(&c->parser);
    }
    return c->closing ? size : at;
}

enum outcome { GOES_ON, WAITS, GONE, TOO_MUCH };

/* Execute and write in turns. *done: how many bytes of the buffer are done with. */
static enum outcome
batch(struct client *c, char *buffer, size_t size, size_t *done)
{
    enum outcome outcome = GOES_ON;
    bool         paused;

    *done = 0;
    heap_tend();
    heap_enter();
    do {
        int left;

        *done += execute(c, buffer + *done, size - *done);
        paused = reply_waiting(&c->out) >= PAUSE;
        if (c->out.broken || reply_waiting(&c->out) > server.options.output_limit) {
            outcome = TOO_MUCH;
            break;
        }
        left = reply_write(&c->out, c->fd);
        if (left < 0)
            outcome = GONE;
        else if (left > 0)
            outcome = WAITS;
        else if (c->closing)
            outcome = GONE;
    } while (outcome == GOES_ON && paused && *done < size);
    if (outcome == WAITS)
        reply_keep(&c->out);
    heap_leave();
    return outcome;
}

/* Returns false: the client is gone. */
static bool
settle(struct client *c, enum outcome outcome)
{
    if (outcome == GONE) {
        client_close(c);
        return false;
    }
    if (outcome == TOO_MUCH || ((outcome == WAITS) != c->waits && !watch(c, outcome == WAITS ? EPOLLOUT : EPOLLIN))) {
        drop(c);
        return false;
    }
    c->waits = outcome == WAITS;
    return true;
}

/* ---- Reading ---------------------------------------------------------------------------------------------------------- */

static bool
in_room(struct client *c, size_t size)
{
    size_t capacity = c->in_capacity ? c->in_capacity : 1024;
    char  *in;

    if (c->in_capacity - c->in_used >= size)
        return true;
    while (capacity - c->in_used < size)
        capacity *= 2;
    in = realloc(c->in, capacity);
    if (!in)
        return false;
    c->in = in;
    c->in_capacity = capacity;
    return true;
}

static void
in_free(struct client *c)
{
    free(c->in);
    c->in = NULL;
    c->in_used = c->in_capacity = 0;
}

/* Out of the client's own buffer. */
static void
go_on(struct client *c)
{
    size_t       done;
    enum outcome outcome = batch(c, c->in, c->in_used, &done);

    if (!settle(c, outcome))
        return;
    c->in_used -= done;
    if (c->in_used == 0)
        in_free(c);
    else if (done)
        memmove(c->in, c->in + done, c->in_used);
}

/* As much as there is, but no more than is known to come, or a bufferful. */
static void
read_more(struct client *c)
{
    size_t  wanted = resp_wanted(&c->parser, c->in_used), size = wanted > BUFFER ? wanted : BUFFER;
    ssize_t n;

    if (size > 16 * BUFFER)
        size = 16 * BUFFER;
    if (!in_room(c, size)) {
        drop(c);
        return;
    }
    n = read(c->fd, c->in + c->in_used, size);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        client_close(c);
        return;
    }
    c->in_used += (size_t)n;
    go_on(c);
}

static void
readable(struct client *c)
{
    struct loop *l = c->loop;
    enum outcome outcome;
    size_t       done;
    ssize_t      n;

    c->active = clock_now;
    if (c->in_used > 0) {
        read_more(c);
        return;
    }
    n = read(c->fd, l->buffer, BUFFER);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        client_close(c);
        return;
    }
    outcome = batch(c, l->buffer, (size_t)n, &done);
    if (!settle(c, outcome) || done == (size_t)n)
        return;
    if (!in_room(c, (size_t)n - done)) {
        drop(c);
        return;
    }
    c->in_used = (size_t)n - done;
    memcpy(c->in, l->buffer + done, c->in_used);
}

static void
writable(struct client *c)
{
    size_t waited = reply_waiting(&c->out);
    int    left;

    left = reply_write(&c->out, c->fd);
    if (reply_waiting(&c->out) < waited)
        c->active = clock_now;
    if (left < 0 || (left == 0 && c->closing)) {
        client_close(c);
    } else if (left == 0) {
        if (settle(c, GOES_ON) && c->in_used > 0)
            go_on(c);
    }
}

/* ---- The thread ------------------------------------------------------------------------------------------------------- */

static void
adopt(struct loop *l, int fd)
{
    struct client *c = client_new(l, fd);

    if (!c) {
        close(fd);
        __atomic_fetch_sub(&server.clients, 1, __ATOMIC_RELAXED);
    } else if (!watch(c, EPOLLIN)) {
        drop(c);
    }
}

static void
event(struct loop *l, const struct epoll_event *e)
{
    struct client *c = e->data.ptr;

    if (e->data.u64 & NEW)
        adopt(l, (int)(e->data.u64 >> 1));
    else if (!c)
        l->ends = true;
    else if (c->waits)
        writable(c);
    else
        readable(c);
}

static void
tick(struct loop *l)
{
    int64_t silent = (int64_t)server.options.timeout * 1000;

    heap_enter();
    space_tick(l->number, server.options.threads);
    heap_leave();
    __atomic_fetch_add(&server.commands, l->commands, __ATOMIC_RELAXED);
    l->commands = 0;
    for (struct client *c = l->clients, *next; c; c = next) {
        next = c->next;
        if ((c->waits && clock_now - c->active > STUCK) || (silent && clock_now - c->active > silent))
            drop(c);
    }
}

static void
close_all(struct loop *l)
{
    while (l->clients) {
        (void)reply_write(&l->clients->out, l->clients->fd);
        client_close(l->clients);
    }
}

static void *
run(void *arg)
{
    struct loop       *l = arg;
    struct epoll_event events[EVENTS];
    int64_t            ticked;

    heap_thread_begin();
    ticked = clock_look();
    while (!l->ends) {
        int n = epoll_wait(l->epoll, events, EVENTS, TICK);

        clock_look();
        for (int i = 0; i < n; i++)
            event(l, &events[i]);
        if (clock_now - ticked >= TICK || clock_now < ticked) {
            ticked = clock_now;
            tick(l);
        }
    }
    close_all(l);
    walk_thread_end();
    heap_thread_end();
    return NULL;
}

bool
loop_start(struct loop *l, unsigned number)
{
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = 0};

    *l = (struct loop){.number = number, .epoll = epoll_create1(EPOLL_CLOEXEC), .wake = eventfd(0, EFD_CLOEXEC)};
    l->buffer = malloc(BUFFER);
    if (l->epoll < 0 || l->wake < 0 || !l->buffer || epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->wake, &e) != 0)
        return false;
    errno = pthread_create(&l->thread, NULL, run, l);
    return errno == 0;
}

/* A socket is writable at once: so the loop hears of it at once, and makes the client itself. */
bool
loop_give(struct loop *l, int fd)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.u64 = (uint64_t)fd << 1 | NEW};

    return epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &e) == 0;
}

void
loop_end(struct loop *l)
{
    uint64_t one = 1;

    if (write(l->wake, &one, sizeof one) == sizeof one)
        pthread_join(l->thread, NULL);
    close(l->epoll);
    close(l->wake);
    free(l->buffer);
}
